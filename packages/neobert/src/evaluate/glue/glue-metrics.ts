// The official scores of GLUE and SuperGLUE over answers, on top of the general metrics. Definitions: scikit-learn's and
// scipy's for GLUE (Wang et al. 2019a, arXiv 1804.07461), the organisers' scripts for MultiRC and ReCoRD (Wang et al.
// 2019b, arXiv 1905.00537).

import { answerScores } from "../metrics/answer-metrics.js";
import { accuracy, f1Binary, f1Macro, matthews } from "../metrics/classification-metrics.js";
import { pearson, spearman } from "../metrics/correlation.js";
import type { Example, Predictions, TaskMetrics } from "./glue-task.js";

export interface Answered {
  examples: readonly Example[];
  predictions: Predictions;
}

const truth = ({ examples }: Answered) =>
  examples.map(({ label, id }) => {
    if (label !== undefined) return label;
    throw new Error(`score: expected examples with labels, got example ${id} without\nTest sets keep theirs secret.`);
  });

export const accuracyOf = (part: Answered): number => accuracy(truth(part), Array.from(part.predictions));
export const f1Of = (part: Answered): number => f1Binary(truth(part), Array.from(part.predictions));
export const macroF1Of = (part: Answered): number => f1Macro(truth(part), Array.from(part.predictions));
export const matthewsOf = (part: Answered): number => matthews(truth(part), Array.from(part.predictions));

/** Both correlations; 0 where the answers, or a tiny set's scores, are all the same and there is none. */
export function correlationsOf(part: Answered): { pearson: number; spearman: number } {
  const [expected, got] = [truth(part), Array.from(part.predictions)];
  const known = (value: number) => (Number.isNaN(value) ? 0 : value);
  return { pearson: known(pearson(expected, got)), spearman: known(spearman(expected, got)) };
}

/** Share of the questions whose chosen candidate is right. */
export function choiceAccuracyOf({ examples, predictions }: Answered): number {
  let [right, questions] = [0, 0];
  for (const [i, { label }] of examples.entries()) {
    if (predictions[i] !== 1) continue;
    questions++;
    if (label === 1) right++;
  }
  return right / questions;
}

/** MultiRC: F1 of the right answers over all, the share of questions answered without a fault, and the mean F1 by question. */
export function multircScores({ examples, predictions }: Answered): { f1a: number; exactMatch: number; f1m: number } {
  const labels = truth({ examples, predictions });
  const questions = new Map<string, number[]>();
  for (const [row, { path }] of examples.entries()) {
    const key = `${path![0]}/${path![1]}`;
    questions.set(key, [...(questions.get(key) ?? []), row]);
  }
  let [exact, f1Sum] = [0, 0];
  for (const rows of questions.values()) {
    const [expected, got] = [rows.map((row) => labels[row]!), rows.map((row) => predictions[row]!)];
    if (rows.every((_, i) => expected[i] === got[i])) exact++;
    f1Sum += f1Macro(expected, got);
  }
  const f1a = f1Binary(labels, Array.from(predictions));
  return { f1a, exactMatch: exact / questions.size, f1m: f1Sum / questions.size };
}

/** ReCoRD's exact match and token F1: the means over the chosen candidates. */
export function recordMeans({ examples, predictions }: Answered): TaskMetrics {
  const chosen = examples.filter((_, i) => predictions[i] === 1);
  const scores = chosen.map(({ candidate, answers }) => answerScores(candidate!, answers!));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { f1: mean(scores.map(({ f1 }) => f1)), exactMatch: mean(scores.map(({ exactMatch }) => exactMatch)) };
}

/** AX-g: share of the pairs of sentences, which differ in a pronoun's gender alone, that are answered alike. */
export function genderParity({ examples, predictions }: Answered): number {
  let alike = 0;
  for (let i = 0; i + 1 < examples.length; i += 2) if (predictions[i] === predictions[i + 1]) alike++;
  return alike / Math.floor(examples.length / 2);
}
