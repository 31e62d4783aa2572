// The labels of a classification head: their names in config.json, and scores out of logits.

import type { ModelConfig } from "../model/architectures.js";

export type ScoreActivation = "softmax" | "sigmoid" | "none";

/** Names of the labels by index; LABEL_0 and so on where the config gives none. */
export function labelNames(config: ModelConfig, count: number): string[] {
  const { id2label } = config as { id2label?: Record<string, string> };
  return Array.from({ length: count }, (_, i) => id2label?.[i] ?? `LABEL_${i}`);
}

/**
 * How a sequence classifier's logits become scores, as transformers does: each label on its own where
 * the problem has many or the head has one, as they are for regression, else together.
 */
export function activationOf(config: ModelConfig, labels: number): ScoreActivation {
  const { problem_type } = config as { problem_type?: string | null };
  if (problem_type === "regression") return "none";
  return problem_type === "multi_label_classification" || labels === 1 ? "sigmoid" : "softmax";
}

/** Scores of one row of logits. */
export function scoresOf(logits: ArrayLike<number>, activation: ScoreActivation): Float32Array {
  const scores = Float32Array.from(logits);
  if (activation === "sigmoid") return scores.map((logit) => 1 / (1 + Math.exp(-logit)));
  if (activation === "none") return scores;
  const top = scores.reduce((top, logit) => Math.max(top, logit), Number.NEGATIVE_INFINITY);
  const parts = Float64Array.from(scores, (logit) => Math.exp(logit - top));
  const sum = parts.reduce((sum, part) => sum + part, 0);
  return Float32Array.from(parts, (part) => part / sum);
}
