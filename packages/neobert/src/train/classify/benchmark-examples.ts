// A benchmark's examples as a classifier takes them, and its outputs as the answers that the benchmark scores.

import { type BenchmarkTask, type Example, predictionsOf } from "../../evaluate/glue/glue-task.js";
import type { BenchmarkData } from "../../evaluate/glue/load-examples.js";
import type { BenchmarkConfig } from "./benchmark-config.js";
import type { LabelledInputs } from "./examples.js";
import type { Problem } from "./problem.js";

/** A task's examples as labelled texts. */
export function labelledOf(examples: readonly Example[]): LabelledInputs {
  return {
    inputs: examples.map(({ text, pair }) => (pair === undefined ? text : { text, pair })),
    labels: examples.map(({ label }) => label ?? Number.NaN),
    places: examples.map(({ where }) => where),
  };
}

export function problemOf(task: BenchmarkTask): Problem {
  return task.kind === "regression"
    ? { type: "regression", labels: ["score"] }
    : { type: "single", labels: task.labels };
}

/** The answers to each part of a split, from the outputs of all its examples one after another. */
export function answersOf(task: BenchmarkTask, parts: readonly Example[][], logits: readonly Float32Array[]) {
  const width = problemOf(task).labels.length;
  let at = 0;
  return parts.map((examples) => {
    const outputs = logits.slice(at, (at += examples.length)).flatMap((row) => [...row]);
    return { examples, predictions: predictionsOf(examples, outputs, width) };
  });
}

export function loadOptionsOf({ data }: BenchmarkConfig, signal: AbortSignal | undefined): BenchmarkData {
  return { ...(data !== undefined && { data }), ...(signal && { signal }) };
}
