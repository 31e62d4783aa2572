// Scores of bitext mining: which sentence of the other language is found for each. With one right answer a row, precision,
// recall and F1 are those of the row numbers as classes, weighted by their rows, as mteb 1.34 reports them.

import { accuracy, precisionRecallF1 } from "./classification-metrics.js";

/** `found[i]` is the sentence found for sentence i, `gold[i]` the right one. */
export function bitextScores(
  gold: ArrayLike<number>,
  found: ArrayLike<number>,
): { precision: number; recall: number; f1: number; accuracy: number } {
  return { ...precisionRecallF1(gold, found, "weighted"), accuracy: accuracy(gold, found) };
}
