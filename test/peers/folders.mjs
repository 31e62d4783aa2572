// write FOLDER: `export hf` folders of the encoders, bare and with heads, and an embedder, with what we compute on a
// packed batch. read FOLDER: what transformers saved from them loads here and gives the same.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad, tidy } from "@neobert/torch";
import { exportHf } from "neobert/export";
import { openSafetensors, writeSafetensors } from "#neobert/files/safetensors";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { saveTokenizer, trainWordPiece } from "#neobert/tokenizer/index";
import { randomModel } from "./models.mjs";
import { documents } from "./text.mjs";

const [mode, folder] = process.argv.slice(2);
const sizes = { hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 6, vocab_size: 300, num_labels: 3 };
const models = {
  neobert: { intermediate_size: 200, max_length: 128, norm_eps: 1e-5 },
  bert: { intermediate_size: 160, max_position_embeddings: 128, initializer_range: 0.1 },
  roberta: { intermediate_size: 160, max_position_embeddings: 130, type_vocab_size: 1, initializer_range: 0.1 },
  nomic_bert: { intermediate_size: 256, initializer_range: 0.1 },
  modernbert: {
    ...{ intermediate_size: 160, local_attention: 16, pad_token_id: 0, initializer_range: 0.1 },
    ...{ bos_token_id: 1, eos_token_id: 2, cls_token_id: 1, sep_token_id: 2 },
  },
  eurobert: {
    ...{ intermediate_size: 160, num_key_value_heads: 2, attention_bias: true, mlp_bias: true, initializer_range: 0.1 },
    ...{ pad_token_id: 0, bos_token_id: 1, eos_token_id: 2, mask_token_id: 4, rope_parameters: { rope_theta: 250000 } },
  },
};
const heads = ["none", "maskedLM", "sequenceClassification", "tokenClassification"];

const lengths = [17, 3, 128, 46];
const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
const N = cuSeqlens.at(-1);
const ids = Int32Array.from({ length: N }, (_, i) => 3 + ((i * i + 7 * i) % 297)); // no padding id: RoBERTa counts those
const segments = { bert: 2, nomic_bert: 2 };

function outputs(model) {
  const { model_type } = model.config;
  const tokenTypes = segments[model_type] && Int32Array.from({ length: N }, (_, i) => (i >> 3) % segments[model_type]);
  const batch = { ids, cuSeqlens, ...(tokenTypes && { tokenTypes }) };
  const rows = Int32Array.from(ids.keys());
  return tidy(() =>
    noGrad(() => {
      const results = { hidden: model.hidden(batch) };
      if (model.head === "maskedLM") results.logits = model.logits(batch, rows);
      if (model.head === "sequenceClassification") results.logits = model.sequenceLogits(batch);
      if (model.head === "tokenClassification") results.logits = model.tokenLogits(batch);
      const tensors = Object.entries(results).map(([name, tensor]) => {
        return { name, dtype: "F32", shape: tensor.shape, data: tensor.toTypedArray() };
      });
      const inputs = Object.entries(batch).map(([name, data]) => ({ name, dtype: "I32", shape: [data.length], data }));
      return [...inputs, ...tensors];
    }),
  );
}

if (mode === "write") {
  for (const [model_type, fields] of Object.entries(models)) {
    for (const head of model_type === "neobert" ? ["maskedLM"] : heads) {
      const name = `${model_type}-${head}`;
      const model = randomModel({ model_type, ...sizes, ...fields }, head, 7);
      model.save(join(folder, "saved", name));
      exportHf(join(folder, "saved", name), join(folder, name));
      writeSafetensors(join(folder, name, "outputs.safetensors"), outputs(model));
      model.dispose();
    }
  }
  // An embedder: vectors are the means over the tokens of each text, of length 1.
  const texts = documents(20).map((text) => text.slice(0, 400));
  const tokenizer = await trainWordPiece(texts, { vocabSize: sizes.vocab_size });
  const config = { model_type: "bert", ...sizes, ...models.bert, vocab_size: tokenizer.vocabSize };
  const model = randomModel(config, "maskedLM", 8);
  const saved = join(folder, "saved", "embedder");
  mkdirSync(saved, { recursive: true });
  model.save(saved);
  saveTokenizer(tokenizer, saved);
  exportHf(saved, join(folder, "embedder"), { pooling: "mean", normalize: true, maxTokens: 100 });
  const vectors = texts.map((text) => {
    const { ids } = tokenizer.encode(text, { maxLength: 100, truncation: "longestFirst" });
    const cuSeqlens = Int32Array.of(0, ids.length);
    return tidy(() => {
      const mean = model.hidden({ ids, cuSeqlens }).detach().mean(0); // [T, C] -> [C]
      return mean.div(mean.norm()).toArray();
    });
  });
  writeFileSync(join(folder, "embedder", "vectors.json"), JSON.stringify({ texts, vectors }));
  model.dispose();
} else {
  let worst = 0;
  const names = readdirSync(join(folder, "theirs"));
  for (const name of names) {
    const head = name.split("-")[1];
    const model = TorchModel.load(join(folder, "theirs", name), { head });
    const file = openSafetensors(join(folder, name, "outputs.safetensors"));
    for (const { name: output, data } of outputs(model)) {
      const expected = file.read(output).data;
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
      assert.ok(difference <= 1e-6 * largest, `${name} ${output}: ${difference}`);
      worst = Math.max(worst, difference / largest);
    }
    file.close();
    model.dispose();
  }
  assert.ok(names.length > 0 && existsSync(join(folder, "embedder")));
  console.log(
    `what transformers saved of ${names.length} models loads here: largest difference ${worst.toExponential(1)}`,
  );
}
