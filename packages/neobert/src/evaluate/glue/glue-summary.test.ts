// The summary of finished runs: oracles are written out by hand.

import { expect, test } from "vitest";
import { glue } from "./glue.js";
import { averageOf, bestPoint, type FinishedRun, summarizeTask, summaryTable } from "./glue-summary.js";
import { taskOf } from "./glue-task.js";

const mrpc = taskOf(glue, "mrpc");
const run = (learningRate: number, seed: number, accuracy: number, f1: number): FinishedRun => {
  const point = { learningRate, batchSize: 8, weightDecay: 0.01 };
  return { task: "mrpc", point, seed, scores: { accuracy, f1 }, bestStep: 1, steps: 2 };
};
// The second point has the better mean, the first the better accuracy.
const runs = [run(1e-5, 0, 0.9, 0.5), run(2e-5, 0, 0.8, 0.8), run(2e-5, 1, 0.6, 0.6), run(1e-5, 1, 1, 1)];

test("the point is chosen by the mean of the metrics and by the first seed alone", () => {
  expect(bestPoint(mrpc, runs, 0)!.learningRate).toBe(2e-5);
  expect(bestPoint(mrpc, [], 0)).toBeUndefined();
});

test("a task's mean and spread are those of the chosen point's seeds", () => {
  const summary = summarizeTask(mrpc, runs, { firstSeed: 0, startsFrom: "mnli" })!;
  expect(summary.seeds.map(({ seed, main }) => [seed, main])).toEqual([
    [0, 0.8],
    [1, 0.6],
  ]);
  expect(summary.mean).toBeCloseTo(0.7, 12);
  expect(summary.std).toBeCloseTo(Math.sqrt(0.02), 12);
  expect(summary.tried.map(({ main }) => main)).toEqual([0.7, 0.8]);
});

test("the average says which tasks it lacks, and leaves WNLI out", () => {
  const found = summarizeTask(mrpc, runs, { firstSeed: 0, startsFrom: "model" })!;
  const other = { ...found, mean: 0.5 };
  const { average, missing } = averageOf(glue, { mrpc: found, cola: other, wnli: { ...found, mean: 0 } });
  expect(average).toBeCloseTo(0.6, 12);
  expect(missing).toEqual(["sst2", "stsb", "qqp", "mnli", "qnli", "rte"]);
  const table = summaryTable({ tasks: { mrpc: found, cola: other }, average, missing });
  expect(table).toContain("| MRPC ");
  expect(table).toContain("70.0 ± 14.1");
  expect(table).toContain("average of these");
  expect(table).toContain("Not in the average, as not run: sst2, stsb, qqp, mnli, qnli, rte.");
  expect(averageOf(glue, {}).average).toBeNull();
});
