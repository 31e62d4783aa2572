// Scores of predicted classes and of rankings of a yes/no answer, defined as scikit-learn's: accuracy, precision, recall,
// F1, Matthews, average precision, ROC AUC. Labels are numbers or strings; in yes/no answers 1 is yes. A quotient of
// nothing is 0 (zero_division=0).

import { checkLengths, midRanks } from "./ranks.js";
export type Labels = ArrayLike<number | string>;

/** `binary` scores class 1 alone, `macro` is the mean over classes, `weighted` weights it by their rows, `micro` counts all rows. */
export type Average = "binary" | "macro" | "weighted" | "micro";

/** The part of rows whose prediction is right. */
export function accuracy(yTrue: Labels, yPred: Labels): number {
  checkLengths("accuracy", yTrue, yPred);
  let right = 0;
  for (let i = 0; i < yTrue.length; i++) if (yTrue[i] === yPred[i]) right++;
  return right / yTrue.length;
}

interface ClassCounts {
  hits: number;
  /** Rows that are of the class, and rows predicted to be. */
  actual: number;
  predicted: number;
}

/** Counts of every class seen in either list. */
function countClasses(yTrue: Labels, yPred: Labels): Map<number | string, ClassCounts> {
  const classes = new Map<number | string, ClassCounts>();
  const of = (label: number | string) => {
    let counts = classes.get(label);
    if (!counts) classes.set(label, (counts = { hits: 0, actual: 0, predicted: 0 }));
    return counts;
  };
  for (let i = 0; i < yTrue.length; i++) {
    of(yTrue[i]!).actual++;
    of(yPred[i]!).predicted++;
    if (yTrue[i] === yPred[i]) of(yTrue[i]!).hits++;
  }
  return classes;
}

const divide = (a: number, b: number) => (b === 0 ? 0 : a / b);

/** Precision, recall and F1 over the classes seen in either list. */
export function precisionRecallF1(
  yTrue: Labels,
  yPred: Labels,
  average: Average,
): { precision: number; recall: number; f1: number } {
  checkLengths("precisionRecallF1", yTrue, yPred);
  const classes = countClasses(yTrue, yPred);
  const n = yTrue.length;
  let chosen: { counts: ClassCounts; share: number }[];
  if (average === "binary") {
    chosen = [{ counts: classes.get(1) ?? { hits: 0, actual: 0, predicted: 0 }, share: 1 }];
  } else if (average === "micro") {
    const hits = [...classes.values()].reduce((sum, counts) => sum + counts.hits, 0);
    chosen = [{ counts: { hits, actual: n, predicted: n }, share: 1 }];
  } else {
    chosen = Array.from(classes.values(), (counts) => ({
      counts,
      share: average === "macro" ? 1 / classes.size : counts.actual / n,
    }));
  }
  const result = { precision: 0, recall: 0, f1: 0 };
  for (const { counts, share } of chosen) {
    result.precision += share * divide(counts.hits, counts.predicted);
    result.recall += share * divide(counts.hits, counts.actual);
    result.f1 += share * divide(2 * counts.hits, counts.actual + counts.predicted);
  }
  return result;
}

/** F1 of class 1. */
export const f1Binary = (yTrue: Labels, yPred: Labels): number => precisionRecallF1(yTrue, yPred, "binary").f1;
/** The mean of the classes' F1. */
export const f1Macro = (yTrue: Labels, yPred: Labels): number => precisionRecallF1(yTrue, yPred, "macro").f1;
/** The mean of the classes' F1, weighted by their rows. */
export const f1Weighted = (yTrue: Labels, yPred: Labels): number => precisionRecallF1(yTrue, yPred, "weighted").f1;

/** Matthews' correlation of true and predicted classes, two or more: 0 where either list is constant. */
export function matthews(yTrue: Labels, yPred: Labels): number {
  checkLengths("matthews", yTrue, yPred);
  const n = yTrue.length;
  let [hits, both, squareTrue, squarePred] = [0, 0, 0, 0];
  for (const counts of countClasses(yTrue, yPred).values()) {
    hits += counts.hits;
    both += counts.actual * counts.predicted;
    squareTrue += counts.actual ** 2;
    squarePred += counts.predicted ** 2;
  }
  const scale = Math.sqrt((n ** 2 - squareTrue) * (n ** 2 - squarePred));
  return divide(hits * n - both, scale);
}

/**
 * Average precision of a ranking by falling score: the sum over distinct scores of (recall gained) * precision. Rows of
 * equal score enter together. 0 without a positive.
 */
export function averagePrecision(isPositive: ArrayLike<number | boolean>, scores: ArrayLike<number>): number {
  checkLengths("averagePrecision", isPositive, scores);
  const order = Array.from(scores, (_, i) => i).sort((i, j) => scores[j]! - scores[i]!);
  let [hits, hitsBefore, sum] = [0, 0, 0];
  for (let rank = 0; rank < order.length; rank++) {
    if (Number(isPositive[order[rank]!]) === 1) hits++;
    if (rank + 1 < order.length && scores[order[rank + 1]!] === scores[order[rank]!]) continue;
    sum += (hits - hitsBefore) * (hits / (rank + 1));
    hitsBefore = hits;
  }
  return divide(sum, hits);
}

/** The chance that a positive scores above a negative, ties counting half. NaN where one of the two is missing. */
export function rocAuc(isPositive: ArrayLike<number | boolean>, scores: ArrayLike<number>): number {
  checkLengths("rocAuc", isPositive, scores);
  const ranks = midRanks(scores);
  let [positives, sum] = [0, 0];
  for (let i = 0; i < ranks.length; i++) {
    if (Number(isPositive[i]) !== 1) continue;
    positives++;
    sum += ranks[i]!;
  }
  return (sum - (positives * (positives + 1)) / 2) / (positives * (ranks.length - positives));
}
