// Oracle: golden/metrics/classification.json, made by scikit-learn.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import {
  accuracy,
  averagePrecision,
  f1Binary,
  f1Macro,
  f1Weighted,
  matthews,
  precisionRecallF1,
  rocAuc,
} from "./classification-metrics.js";

interface Case {
  y_true: number[];
  y_pred: number[];
  y_score?: number[];
  expected: Record<string, number>;
}
const cases: Case[] = golden("classification.json").cases;

describe("classification metrics equal scikit-learn's", () => {
  test.each(cases.map((one, i) => [i, one] as const))("case %i", (_, { y_true, y_pred, y_score, expected }) => {
    const macro = precisionRecallF1(y_true, y_pred, "macro");
    const weighted = precisionRecallF1(y_true, y_pred, "weighted");
    const got: Record<string, number> = {
      accuracy: accuracy(y_true, y_pred),
      matthews: matthews(y_true, y_pred),
      f1_macro: f1Macro(y_true, y_pred),
      f1_micro: precisionRecallF1(y_true, y_pred, "micro").f1,
      f1_weighted: f1Weighted(y_true, y_pred),
      precision_macro: macro.precision,
      precision_weighted: weighted.precision,
      recall_macro: macro.recall,
      recall_weighted: weighted.recall,
      f1_binary: f1Binary(y_true, y_pred),
      average_precision_of_labels: averagePrecision(y_true, y_pred),
      average_precision_of_labels_weighted: averagePrecision(y_true, y_pred),
    };
    if (y_score) {
      got.average_precision_of_scores = averagePrecision(y_true, y_score);
      got.roc_auc_of_scores = rocAuc(y_true, y_score);
    }
    for (const [name, value] of Object.entries(expected)) {
      expect(Math.abs(got[name]! - value), name).toBeLessThan(1e-9);
    }
  });

  test("the cases have yes/no answers, several classes, and a class that was never predicted", () => {
    expect(cases.some(({ y_score }) => y_score)).toBe(true);
    expect(cases.some(({ y_true }) => new Set(y_true).size > 2)).toBe(true);
  });
});

test("classes may be strings, and are told apart from numbers", () => {
  expect(accuracy(["a", "b", "1"], ["a", "b", 1])).toBeCloseTo(2 / 3, 12);
  expect(f1Macro(["a", "b", "b"], ["a", "b", "a"])).toBeCloseTo((2 / 3 + 2 / 3) / 2, 12);
});

test("a quotient of nothing is 0: no positive, a constant prediction", () => {
  expect(averagePrecision([0, 0], [0.3, 0.1])).toBe(0);
  expect(matthews([0, 1, 1], [1, 1, 1])).toBe(0);
  expect(f1Binary([0, 0], [0, 0])).toBe(0);
});

test("lists of different lengths are refused with both lengths", () => {
  expect(() => accuracy([1, 2], [1])).toThrow(
    "accuracy: expected two lists of the same length of at least 1, got 2 and 1",
  );
});
