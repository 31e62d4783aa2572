// For tests: folders of small models with random weights and a vocabulary of some English words.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { writeSafetensors } from "../files/safetensors.js";
import { architectureOf, type Head, initialValues, savedName } from "../model/index.js";
import { saveTokenizer, trainWordPiece } from "../tokenizer/index.js";

const words = "the house of a united people shall govern its own free states in peace and war by law query".split(" ");

/** A text of `length` of those words. */
export function wordsText(length: number, seed = 0): string {
  return Array.from({ length }, (_, i) => words[(seed * 7 + i * (3 + (seed % 5))) % words.length]).join(" ");
}

const bert = {
  model_type: "bert",
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 48,
  max_position_embeddings: 64,
  vocab_size: 90,
  // Far above the usual 0.02, so that outputs differ between texts.
  initializer_range: 0.3,
};

export interface SmallModel {
  head?: Head;
  /** Fields of config.json, over those of a BERT of 2 layers of 32. */
  config?: Record<string, unknown>;
  /** Further JSON files by path. */
  files?: Record<string, unknown>;
}

/** A new temporary folder with config, weights and tokenizer; the same for the same arguments. */
export async function writeSmallModel({ head = "none", config = {}, files = {} }: SmallModel = {}): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "neobert-model-"));
  const raw = { ...bert, ...config };
  const architecture = architectureOf(raw);
  writeJson(folder, "config.json", { ...raw, architectures: [architecture.classNames[head]] });
  writeSafetensors(
    join(folder, "model.safetensors"),
    architecture.parameters(head).map((spec) => {
      const data = initialValues(spec, 1) as Float32Array<ArrayBuffer>;
      return { name: savedName(spec.name, architecture, head), dtype: "F32" as const, shape: spec.shape, data };
    }),
  );
  const texts = Array.from({ length: 40 }, (_, seed) => wordsText(30, seed));
  saveTokenizer(await trainWordPiece(texts, { vocabSize: raw.vocab_size }), folder);
  for (const [path, value] of Object.entries(files)) writeJson(folder, path, value);
  return folder;
}

export function writeJson(folder: string, path: string, value: unknown): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), JSON.stringify(value));
}
