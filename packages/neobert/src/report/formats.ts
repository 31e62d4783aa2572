// The files that evaluations leave behind, as this report reads them: what must be there and of which type. Fields that
// it does not show are let through.

import { existsSync, readFileSync } from "node:fs";
import * as z from "zod";
import { checked, shortened } from "../files/checked.js";

const versions = z.record(z.string(), z.unknown()).default({});
const settings = z.record(z.string(), z.unknown()).default({});
/** A score that could not be computed is null. */
const score = z.number().nullable();
const scores = z.record(z.string(), score);

const classScores = z.object({
  step: z.number(),
  labels: z
    .array(
      z.object({ label: z.string(), precision: z.number(), recall: z.number(), f1: z.number(), count: z.number() }),
    )
    .min(1),
  confusion: z.array(z.array(z.number())).optional(),
});

const ablations = z.object({
  scale: z.string(),
  versions,
  runs: z
    .array(
      z.object({
        id: z.string(),
        change: z.string(),
        /** Tried and not built upon: the next run follows the one before it. */
        branch: z.boolean(),
        seeds: z.array(z.object({ seed: z.number(), tasks: scores, average: z.number() })),
        mean: z.number(),
        std: z.number(),
        heldOut: z.object({ loss: z.number() }).optional(),
      }),
    )
    .min(1),
});

const comparison = z.object({
  scale: z.string(),
  versions,
  models: z
    .array(z.object({ name: z.string(), parameters: z.number(), categories: scores, tasks: scores, mean: score }))
    .min(1),
});

const pseudoPerplexity = z.object({
  model: z.string(),
  versions,
  settings,
  texts: z.array(z.object({ tokens: z.number(), pseudoPerplexity: z.number() })),
  points: z
    .array(
      z.object({
        /** Upper bound of the bin, in tokens. */
        length: z.number(),
        texts: z.number(),
        median: z.number(),
        q25: z.number(),
        q75: z.number(),
      }),
    )
    .min(1),
});

const glue = z.object({
  benchmark: z.string(),
  model: z.string(),
  versions,
  settings,
  tasks: z.record(
    z.string(),
    z.object({
      best: z.record(z.string(), z.unknown()).optional(),
      seeds: z.array(z.object({ seed: z.number(), scores, main: z.number() })),
      mean: z.number(),
      std: z.number(),
    }),
  ),
  average: score.optional(),
  missing: z.array(z.string()).default([]),
});

const taskResult = z.object({
  task_name: z.string(),
  mteb_version: z.string().nullish(),
  scores: z.record(z.string(), z.array(z.looseObject({ main_score: score, hf_subset: z.string() }))),
});

export const formats = { ablations, classScores, comparison, pseudoPerplexity, glue, taskResult };

/** `ablations.json` of a series: each run is one change, scores from 0 to 1. */
export type Ablations = z.output<typeof ablations>;
/** `scores.json` of a classifier: how well each label is told from the others. */
export type ClassScoresFile = z.output<typeof classScores>;
/** `compare.json`: encoders after the same fine-tuning and evaluation, scores from 0 to 1. */
export type Comparison = z.output<typeof comparison>;
/** `pppl.json`: pseudo-perplexity by length. */
export type PseudoPerplexity = z.output<typeof pseudoPerplexity>;
/** `glue.json` or `superglue.json`, scores from 0 to 1. */
export type Glue = z.output<typeof glue>;
/** A result file of mteb's. */
export type TaskResultFile = z.output<typeof taskResult>;

/** The content of a JSON file. Throws, naming the file and the first field that is not as expected. */
export function readFormat<T extends z.ZodType>(path: string, format: T): z.output<T> {
  if (!existsSync(path)) throw new Error(`${path}: expected a file, got none`);
  let content: unknown;
  try {
    const text = readFileSync(path, "utf8");
    content = JSON.parse(text.replace(/(?<=[:[,]\s*)(NaN|-?Infinity)(?=\s*[,\]}])/g, "null")); // as Python writes them
  } catch (error) {
    throw new Error(`${path}: expected JSON, got what cannot be read as it (${shortened((error as Error).message)})`);
  }
  return checked(content, format, { where: path, wayOut: "Write it anew with the command that made the folder." });
}
