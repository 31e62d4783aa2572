// A pretraining run of ours, start to end, left so that PyTorch can repeat it: the initial weights, the batches of every
// step as the run draws them, and the losses it logs. 4 layers x 128 on 300 steps, fp32, two micro-batches a step, with the
// paper's optimizer and the form of its schedule.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseRunConfig, prepareData, pretrain, trainTokenizer } from "neobert/train";
import { createBatches } from "#neobert/data/index";
import { writeSafetensors } from "#neobert/files/safetensors";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { documents } from "./text.mjs";

const [, folder] = process.argv.slice(2);
const at = (...names) => join(folder, ...names);
mkdirSync(at("text"));
for (const [index, text] of documents(1000).entries()) writeFileSync(at("text", `${index}.txt`), text);
const { vocabSize } = await trainTokenizer({ sources: at("text"), vocabSize: 4096, out: at("tokenizer") });
await prepareData({ sources: at("text"), tokenizer: at("tokenizer"), out: at("data") });

const model = TorchModel.create({
  ...{ model_type: "neobert", vocab_size: vocabSize, pad_token_id: 0, max_length: 64, norm_eps: 1e-5 },
  ...{ hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 512 },
  ...{ embedding_init_range: 0.06, decoder_init_range: 0.06 },
});
model.save(at("initial"));
model.dispose();

const run = {
  ...{ out: at("run"), model: { from: at("initial") }, tokenizer: at("tokenizer"), data: at("data"), dtype: "fp32" },
  ...{ steps: 300, maxLength: 64, tokensPerStep: 1024, microBatchTokens: 512, clipNorm: 1 },
  optimizer: { name: "adamw", lr: 2e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 },
  schedule: { name: "cosine", warmupSteps: 30, decaySteps: 270, finalRatio: 0.1 },
  log: { everySteps: 1 },
};
writeFileSync(at("run.json"), JSON.stringify(run));
const config = parseRunConfig(JSON.stringify(run), { file: "run.json" });

const { data, maxLength, tokensPerStep, microBatchTokens, seed, masking } = config;
const batches = createBatches({ sources: data.train, maxLength, tokensPerStep, microBatchTokens, seed, masking });
const tensors = [];
for (let step = 0; step < config.steps; step++) {
  for (const [part, batch] of batches.nextStep().microBatches.entries()) {
    for (const name of ["ids", "cuSeqlens", "maskedRows", "labels"]) {
      tensors.push({ name: `${step}.${part}.${name}`, dtype: "I32", shape: [batch[name].length], data: batch[name] });
    }
  }
}
batches.close();
writeSafetensors(at("batches.safetensors"), tensors);
await pretrain(config);
