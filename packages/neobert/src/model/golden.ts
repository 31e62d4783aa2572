// For tests: a golden file of expected values (test/golden), made by PyTorch on padded batches, read as the packed batch
// that we compute on.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../files/safetensors.js";
import type { ModelType } from "./architectures.js";

export const goldenRoot = fileURLToPath(new URL("../../../../test/golden/", import.meta.url));

/** The golden folders of every encoder: models with the masked-language-model head, and heads that classify. */
export const goldens: Record<ModelType, { models: string[]; classifiers: string[]; taggers?: string[] }> = {
  neobert: {
    models: ["neobert/base", "neobert/m0", "neobert/ngpt", "neobert/ngpt-own"],
    classifiers: ["neobert/classification"],
  },
  bert: { models: ["bert"], classifiers: ["bert/classification"] },
  roberta: { models: ["roberta"], classifiers: ["roberta/classification"] },
  nomic_bert: { models: ["nomicbert"], classifiers: ["nomicbert/classification"] },
  modernbert: { models: ["modernbert"], classifiers: ["modernbert/classification"] },
  eurobert: {
    models: ["eurobert", "eurobert/tied"],
    classifiers: ["bos", "mean", "late"].map((pooling) => `eurobert/classification-${pooling}`),
    taggers: ["eurobert/tokens"],
  },
};
export const goldenModels = Object.values(goldens).flatMap(({ models }) => models);
export const goldenClassifiers = Object.values(goldens).flatMap(({ classifiers }) => classifiers);
export const goldenTaggers = Object.values(goldens).flatMap(({ taggers = [] }) => taggers);

export const goldenConfig = (folder: string) =>
  JSON.parse(readFileSync(join(goldenRoot, folder, "config.json"), "utf8"));

export class Golden {
  readonly values = new Map<string, Float32Array>();
  readonly metadata: Record<string, string>;
  readonly batch: { ids: Int32Array; cuSeqlens: Int32Array; maskedRows: Int32Array; labels: Int32Array };
  /** The padded rows that were kept. */
  readonly kept: number[] = [];

  constructor(path: string) {
    const file = openSafetensors(join(goldenRoot, path));
    this.metadata = file.metadata;
    const integers = new Map<string, number[]>();
    for (const name of file.names()) {
      const { data } = file.read(name);
      if (data instanceof BigInt64Array) integers.set(name, [...data].map(Number));
      else this.values.set(name, data as Float32Array);
    }
    const [B, S] = (integers.has("input_ids") ? file.info("input_ids").shape : [0, 0]) as [number, number];
    file.close();
    const cuSeqlens = [0];
    for (let row = 0; row < B * S; row++) {
      if (integers.get("attention_mask")![row] === 1) this.kept.push(row);
      if ((row + 1) % S === 0) cuSeqlens.push(this.kept.length);
    }
    const labels = integers.get("labels") ?? [];
    const masked = this.kept.flatMap((row, i) => (labels.length === B * S && labels[row] !== -100 ? [i] : []));
    this.batch = {
      ids: Int32Array.from(this.kept, (row) => integers.get("input_ids")![row]!),
      cuSeqlens: Int32Array.from(cuSeqlens),
      maskedRows: Int32Array.from(masked),
      labels:
        labels.length === B * S ? Int32Array.from(masked, (i) => labels[this.kept[i]!]!) : Int32Array.from(labels),
    };
  }

  /** The rows of a padded value [B, S, width] that the packed batch has. */
  packed(name: string, width: number): Float32Array {
    const padded = this.values.get(name)!;
    const rows = this.kept.flatMap((row) => [...padded.subarray(row * width, (row + 1) * width)]);
    return Float32Array.from(rows);
  }
}
