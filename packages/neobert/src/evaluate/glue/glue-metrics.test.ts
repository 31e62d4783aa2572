// Oracle: golden/metrics/glue.json and superglue.json, made by scikit-learn, scipy and the organisers' definitions.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { answerScores } from "../metrics/answer-metrics.js";
import { glue } from "./glue.js";
import { genderParity } from "./glue-metrics.js";
import { type Example, mainScore, predictionsOf, taskOf } from "./glue-task.js";
import { superglue } from "./superglue.js";

const labelled = (labels: number[]): Example[] => labels.map((label, id) => ({ text: "", id, label }));
const close = (got: number | undefined, expected: number) => expect(Math.abs(got! - expected)).toBeLessThan(1e-9);

interface Case {
  task: string;
  y_true: number[];
  y_pred: number[];
  expected: Record<string, number>;
}

describe("GLUE's scores equal scikit-learn's and scipy's", () => {
  test.each((golden("glue.json").cases as Case[]).map((one) => [one.task, one] as const))("%s", (name, one) => {
    const task = taskOf(glue, name);
    const part = { examples: labelled(one.y_true), predictions: one.y_pred };
    const scores = task.score(task.splits.validation!.map(() => part));
    const { matthews_correlation: matthews, combined, ...others } = one.expected;
    if (matthews !== undefined) close(scores.matthews, matthews);
    if (combined !== undefined) close(mainScore(task, scores), combined);
    if (name === "mnli") close(mainScore(task, scores), others.accuracy!);
    else for (const [metric, value] of Object.entries(others)) close(scores[metric], value);
  });

  test("a task with two scores, or two validation sets, is chosen by their mean and not by one of them", () => {
    // The published code looks at QQP's F1, STS-B's Pearson and MRPC's accuracy alone.
    for (const [name, scores] of [
      ["mrpc", { accuracy: 0.9, f1: 0.5 }],
      ["qqp", { accuracy: 0.9, f1: 0.5 }],
      ["stsb", { pearson: 0.9, spearman: 0.5 }],
      ["mnli", { accuracyMatched: 0.9, accuracyMismatched: 0.5 }],
    ] as const) {
      expect(mainScore(taskOf(glue, name), scores)).toBeCloseTo(0.7, 12);
    }
  });

  test("MNLI's two sets are scored apart", () => {
    const parts = [
      { examples: labelled([0, 1]), predictions: [0, 1] },
      { examples: labelled([0, 1, 2, 2]), predictions: [1, 1, 0, 0] },
    ];
    expect(taskOf(glue, "mnli").score(parts)).toEqual({ accuracyMatched: 1, accuracyMismatched: 0.25 });
  });

  test("answers that are all the same have a correlation of 0, not none", () => {
    const part = { examples: labelled([1, 2, 3]), predictions: [2, 2, 2] };
    expect(taskOf(glue, "stsb").score([part])).toEqual({ pearson: 0, spearman: 0 });
  });

  test("scoring a test set without labels is refused", () => {
    const part = { examples: [{ text: "", id: 7 }], predictions: [1] };
    expect(() => taskOf(glue, "rte").score([part])).toThrow("expected examples with labels, got example 7 without");
  });
});

describe("SuperGLUE's scores equal the official ones", () => {
  const { cb, multirc, record, axb } = golden("superglue.json");

  test("CB: accuracy and macro F1", () => {
    const scores = taskOf(superglue, "cb").score([{ examples: labelled(cb.y_true), predictions: cb.y_pred }]);
    close(scores.accuracy, cb.expected.accuracy);
    close(scores.f1, cb.expected.f1_macro);
    close(mainScore(taskOf(superglue, "cb"), scores), (cb.expected.accuracy + cb.expected.f1_macro) / 2);
  });

  test("MultiRC: F1 over answers, exact match and mean F1 over questions", () => {
    const rows = multirc.rows as Record<"paragraph" | "question" | "answer" | "label" | "prediction", number>[];
    const examples = rows.map(({ paragraph, question, answer, label }): Example => {
      return { text: "", id: paragraph, label, path: [paragraph, question, answer] };
    });
    const task = taskOf(superglue, "multirc");
    const scores = task.score([{ examples, predictions: rows.map(({ prediction }) => prediction) }]);
    close(scores.f1a, multirc.expected.f1_a);
    close(scores.exactMatch, multirc.expected.em);
    close(scores.f1m, multirc.expected.f1_m);
    close(mainScore(task, scores), (multirc.expected.f1_a + multirc.expected.em) / 2);
  });

  test("ReCoRD: exact match and token F1, each row and their means", () => {
    const rows = record.rows as { prediction: string; answers: string[] }[];
    for (const [i, { prediction, answers }] of rows.entries()) {
      const { exactMatch, f1 } = answerScores(prediction, answers);
      close(exactMatch, Number(record.per_row[i].em));
      close(f1, record.per_row[i].f1);
    }
    const examples = rows.map(({ prediction, answers }, i): Example => {
      return { text: "", id: i, group: i, candidate: prediction, answers };
    });
    const scores = taskOf(superglue, "record").score([{ examples, predictions: rows.map(() => 1) }]);
    close(scores.exactMatch, record.expected.em);
    close(scores.f1, record.expected.f1);
  });

  test("AX-b: Matthews correlation", () => {
    const part = { examples: labelled(axb.y_true), predictions: axb.y_pred };
    close(taskOf(superglue, "axb").score([part]).matthews, axb.expected.matthews_correlation);
  });

  test("AX-g's gender parity counts the pairs that are answered alike, right or wrong", () => {
    expect(genderParity({ examples: labelled([0, 0, 1, 1, 0, 0]), predictions: [1, 1, 1, 0, 0, 0] })).toBeCloseTo(
      2 / 3,
    );
  });
});

test("outputs answer by the highest class, the value, or the best candidate of each question", () => {
  const plain = labelled([0, 0]);
  expect([...predictionsOf(plain, [0.1, 0.3, 0.2, 5, 4, 3], 3)]).toEqual([1, 0]);
  expect([...predictionsOf(plain, [0.5, -2], 1)]).toEqual([0.5, -2]);
  const candidates = [7, 7, 9, 9, 9].map((group, id): Example => ({ text: "", id, group }));
  // By the margin of "right" over "wrong", not by "right" alone.
  const outputs = [0, 1, -3, 0, 0, 0, 2, 1, 0, 0.5];
  expect([...predictionsOf(candidates, outputs, 2)]).toEqual([0, 1, 0, 0, 1]);
});
