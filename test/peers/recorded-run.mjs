// A pretraining run left so that PyTorch can repeat it: text, tokenizer and data, the initial weights of a small NeoBERT, and
// the batches of every step as the run draws them.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseRunConfig, prepareData, trainTokenizer } from "neobert/train";
import { createBatches } from "#neobert/data/index";
import { writeSafetensors } from "#neobert/files/safetensors";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { documents } from "./text.mjs";

/**
 * Writes into the folder, and into run.json a run of 4 layers x 128 with the given options; returns the run's config. Step s
 * has micro-batches `s.0`, `s.1`, ... in batches.safetensors.
 */
export async function recordRun(folder, options) {
  const at = (name) => join(folder, name);
  mkdirSync(at("text"));
  for (const [index, text] of documents(1000).entries()) writeFileSync(at(`text/${index}.txt`), text);
  const { vocabSize } = await trainTokenizer({ sources: at("text"), vocabSize: 4096, out: at("tokenizer") });
  await prepareData({ sources: at("text"), tokenizer: at("tokenizer"), out: at("data") });

  const model = TorchModel.create({
    ...{ model_type: "neobert", vocab_size: vocabSize, pad_token_id: 0, max_length: 64, norm_eps: 1e-5 },
    ...{ hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 512 },
    ...{ embedding_init_range: 0.06, decoder_init_range: 0.06 },
  });
  model.save(at("initial"));
  model.dispose();

  const files = { out: at("run"), model: { from: at("initial") }, tokenizer: at("tokenizer"), data: at("data") };
  const run = { ...files, dtype: "fp32", maxLength: 64, microBatchTokens: 512, clipNorm: 1, ...options };
  writeFileSync(at("run.json"), JSON.stringify({ ...run, log: { everySteps: 1 } }));
  const config = parseRunConfig(JSON.stringify({ ...run, log: { everySteps: 1 } }), { file: "run.json" });

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
  return config;
}
