// For tests: a prepared folder of English-like text and a run small enough for hundreds of steps a second.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareData } from "../data/index.js";
import { randomBelow } from "../data/random.js";
import { saveTokenizer, trainBpe, trainWordPiece } from "../tokenizer/index.js";
import { parseRunConfig, type RunConfig } from "./pretrain/pretrain-config.js";
import { formatRunConfig } from "./run-file/run-file.js";

const words = "the house of a united people shall govern its own free states in peace and war by law".split(" ");

/** Sentences in which each word follows from the one before, with some chance: a model can learn them. */
function sentence(number: number): string {
  let word = randomBelow(words.length, 1, 1, number);
  const length = 8 + randomBelow(30, 1, 2, number);
  return Array.from({ length }, (_, i) => {
    word = (word + 1 + randomBelow(3, 2, number, i)) % words.length;
    return words[word];
  }).join(" ");
}

/** A new temporary folder with `data/{train,validation,tokenizer}`; the vocabulary is WordPiece or byte-level BPE. */
export async function writePreparedFolder(kind: "wordpiece" | "bpe" = "wordpiece"): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "neobert-train-"));
  const texts = Array.from({ length: 300 }, (_, number) => sentence(number));
  mkdirSync(join(root, "text"));
  writeFileSync(join(root, "text", "all.txt"), texts.join("\n"));
  const tokenizer = await (kind === "bpe"
    ? trainBpe(texts, { vocabSize: 300 })
    : trainWordPiece(texts, { vocabSize: 80 }));
  saveTokenizer(tokenizer, join(root, "tokenizer"));
  await prepareData({
    sources: join(root, "text"),
    split: "line",
    tokenizer: join(root, "tokenizer"),
    out: join(root, "data"),
    validation: { fraction: 0.1 },
    workers: 1,
  });
  return root;
}

/** A run of 12 steps on that folder: a 2 x 32 model with dropout, two micro-batches a step, more than an epoch. */
export function smallRun(root: string, name: string, ...overrides: string[]): RunConfig {
  const yaml = `
out: ${join(root, name)}
model: { hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48, dropout: 0.1 }
data: ${join(root, "data")}
maxLength: 24
steps: 12
tokensPerStep: 1024
microBatchTokens: 512
optimizer: { lr: 1e-2 }
schedule: { warmupSteps: 2 }
dtype: fp32
threads: 1
evaluate: { everySteps: 5, tokens: 500 }
checkpoint: { everySteps: 4, keep: 2 }
log: { everySteps: 3 }
`;
  return parseRunConfig(yaml, { file: "smallRun", overrides });
}

/** `smallRun` as a run file beside the prepared folder. */
export function writeSmallRun(root: string, name: string, ...overrides: string[]): { file: string; out: string } {
  const config = smallRun(root, name, ...overrides);
  const file = join(root, `${name}.yaml`);
  writeFileSync(file, formatRunConfig(config));
  return { file, out: config.out };
}
