// NeoBERT and the like of the paper's M0, saved by us, with hidden states and logits of a packed batch.
import { join } from "node:path";
import { Generator, noGrad, randn, tidy } from "@neobert/torch";
import { writeSafetensors } from "#neobert/files/safetensors";
import { TorchModel } from "#neobert/model/torch/torch-model";

const [, folder] = process.argv.slice(2);
const common = {
  model_type: "neobert",
  ...{ hidden_size: 96, num_hidden_layers: 3, num_attention_heads: 6, intermediate_size: 200 },
  ...{ vocab_size: 300, max_length: 128, norm_eps: 1e-5, embedding_init_range: 1, decoder_init_range: 0.2 },
};
const variants = { neobert: {}, m0: { rope: false, rms_norm: false, hidden_act: "gelu" } };

const lengths = [17, 1, 128, 46];
const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
const N = cuSeqlens.at(-1);
const ids = Int32Array.from({ length: N }, (_, i) => 1 + ((i * i + 7 * i) % 299));

for (const [name, config] of Object.entries(variants)) {
  const model = TorchModel.create({ ...common, ...config }, { seed: 7 });
  const generator = new Generator(8);
  // Norms of 1 and biases of 0 would hide a norm or bias left out.
  for (const { name, role, shape } of model.specs) {
    if (role === "vector") tidy(() => noGrad(() => model.weight(name).add_(randn(shape, { generator }).mul(0.2))));
  }
  model.save(join(folder, name));
  tidy(() =>
    noGrad(() => {
      const hidden = model.hidden({ ids, cuSeqlens });
      const logits = model.logits(
        { ids, cuSeqlens },
        Int32Array.from({ length: N }, (_, i) => i),
      );
      const outputs = Object.entries({ hidden, logits }).map(([name, tensor]) => {
        return { name, dtype: "F32", shape: tensor.shape, data: tensor.toTypedArray() };
      });
      const inputs = Object.entries({ ids, cuSeqlens }).map(([name, data]) => {
        return { name, dtype: "I32", shape: [data.length], data };
      });
      writeSafetensors(join(folder, name, "outputs.safetensors"), [...inputs, ...outputs]);
    }),
  );
}
