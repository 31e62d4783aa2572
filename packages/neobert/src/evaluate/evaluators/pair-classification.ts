// Pair classification: whether two sentences belong together, by their similarity alone. For each similarity the average
// precision of the ranking, and the best accuracy and F1 that a threshold between two neighbouring scores reaches. The main
// score is the best average precision of all.

import { averagePrecision } from "../metrics/classification-metrics.js";
import type { Encode, Scores } from "./types.js";
import { encodeUnique, pairSimilarities } from "./vectors.js";

export interface PairClassificationData {
  sentences1: readonly string[];
  sentences2: readonly string[];
  /** 1 for a pair that belongs together, else 0. */
  labels: readonly number[];
}

const maxima = ["ap", "f1", "accuracy", "precision", "recall"] as const;

export async function evaluatePairClassification(data: PairClassificationData, encode: Encode): Promise<Scores> {
  const { labels } = data;
  const n = labels.length;
  if (n === 0 || data.sentences1.length !== n || data.sentences2.length !== n) {
    throw new RangeError(
      `evaluatePairClassification: expected two sentences for each of ${n} labels, got ${data.sentences1.length} and ${data.sentences2.length}`,
    );
  }
  const wrong = labels.findIndex((label) => label !== 0 && label !== 1);
  if (wrong >= 0) {
    throw new RangeError(`evaluatePairClassification: expected labels 0 and 1, got ${labels[wrong]} in row ${wrong}`);
  }
  const { vectors, rows } = await encodeUnique([...data.sentences1, ...data.sentences2], encode, "query");
  const similar = pairSimilarities(vectors, rows.subarray(0, n), vectors, rows.subarray(n));
  const scores: Record<string, number> = {};
  const best: Record<string, number> = {};
  const kinds = [
    ["similarity", similar.cosine, 1],
    ["cosine", similar.cosine, 1],
    ["manhattan", similar.manhattan, -1],
    ["euclidean", similar.euclidean, -1],
    ["dot", similar.dot, 1],
  ] as const;
  for (const [kind, values, sign] of kinds) {
    const metrics = thresholdScores(values, labels, sign);
    for (const [name, value] of Object.entries(metrics)) scores[`${kind}_${name}`] = value;
    for (const name of maxima) best[name] = Math.max(best[name] ?? 0, metrics[name]);
  }
  for (const name of maxima) scores[`max_${name}`] = best[name]!;
  return { ...scores, main_score: best.ap! };
}

/** `sign` is 1 where a high score means alike, -1 where a low one does. Equal scores are decided in their order. */
function thresholdScores(values: Float32Array, labels: readonly number[], sign: 1 | -1) {
  const n = labels.length;
  const signed = values.map((value) => sign * value);
  const order = Array.from(values, (_, i) => i).sort((i, j) => signed[j]! - signed[i]!);
  const positives = labels.filter((label) => label === 1).length;
  const accuracy = { value: 0, threshold: -1 };
  const f1 = { value: 0, threshold: 0, precision: 0, recall: 0 };
  let hits = 0;
  for (let i = 0; i < n - 1; i++) {
    if (labels[order[i]!] === 1) hits++;
    const threshold = (values[order[i]!]! + values[order[i + 1]!]!) / 2;
    const right = (hits + (n - positives - (i + 1 - hits))) / n;
    if (right > accuracy.value) Object.assign(accuracy, { value: right, threshold });
    if (hits === 0) continue;
    const [precision, recall] = [hits / (i + 1), hits / positives];
    const value = (2 * precision * recall) / (precision + recall);
    if (value > f1.value) Object.assign(f1, { value, threshold, precision, recall });
  }
  return {
    accuracy: accuracy.value,
    accuracy_threshold: accuracy.threshold,
    f1: f1.value,
    f1_threshold: f1.threshold,
    precision: f1.precision,
    recall: f1.recall,
    ap: averagePrecision(labels, signed),
  };
}
