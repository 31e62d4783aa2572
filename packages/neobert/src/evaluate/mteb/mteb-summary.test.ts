import { expect, test } from "vitest";
import type { TaskOutcome } from "./evaluate-mteb.js";
import { outcomeLine, summarize, summaryLines } from "./mteb-summary.js";
import { mtebTasks, taskOf } from "./mteb-tasks.js";

const timing = { seconds: 2, encodeSeconds: 1 };
const outcome = (name: string, score: number): TaskOutcome => {
  return { task: mtebTasks.find((task) => task.name === name)!, score, timing };
};
const failed = (name: string): TaskOutcome => ({ task: outcome(name, 0).task, error: new Error("no data") });
const about = (name: string) => ({ name });

test("a category says of how many tasks it is the mean, and a failure is listed, not counted as a score", () => {
  const outcomes = [outcome("STS12", 0.5), outcome("STS13", 0.7), failed("STS14"), outcome("SciFact", 0.3)];
  const summary = summarize({ about: about("m"), outcomes });
  expect(summary.categories.find(({ type }) => type === "STS")).toMatchObject({ scored: 2, of: 10 });
  expect(summary.mean).toBeCloseTo(50, 10);
  expect(summary.scored).toBe(3);
  const lines = summaryLines([summary]).join("\n");
  expect(lines).toMatch(/^STS +60\.00 \(2 of 10\)$/m);
  expect(lines).toMatch(/^Mean of MTEB tasks +50\.00 \(3 of 56\)$/m);
  expect(lines).toContain("is over all 56 tasks; this one is not");
  expect(lines).toContain("failed: m: STS14: no data");
});

test("the mean of the benchmark is that of its 56 tasks: neither parts of CQADupstack nor own sets count", () => {
  const parts = mtebTasks.flatMap(({ subtasks = [] }) => subtasks);
  const all = mtebTasks.map((task, i) => outcome(task.name, i / 100));
  const extra = [
    ...parts.map((task) => ({ task, score: 1, timing })),
    { task: taskOf("Own", "STS"), score: 1, timing },
  ];
  const summary = summarize({ about: about("m"), outcomes: [...all, ...extra] });
  expect(summary.scored).toBe(56);
  expect(summary.mean).toBeCloseTo(27.5, 10);
  const lines = summaryLines([summary]);
  expect(lines).toContain("Mean of MTEB tasks   27.50");
  expect(lines.join("\n")).toMatch(/Own \(not of MTEB\) +100\.00/);
  expect(lines.join("\n")).not.toContain("CQADupstackTexRetrieval");
});

test("models with different tasks are compared over those that all have", () => {
  const one = summarize({ about: about("one"), outcomes: [outcome("STS12", 0.5), outcome("STS13", 0.9)] });
  const two = summarize({ about: about("two"), outcomes: [outcome("STS12", 0.6), failed("STS13")] });
  const lines = summaryLines([one, two]).join("\n");
  expect(lines).toMatch(/^STS +70\.00 \(2 of 10\) +60\.00 \(1 of 10\)$/m);
  expect(lines).toContain("Over the 1 tasks that every model has: one 50.00, two 60.00");
  expect(lines).toContain("failed: two: STS13: no data");
});

test("a task's line has score and time, or that it was kept, or why it failed", () => {
  expect(outcomeLine(outcome("STS12", 0.4567))).toMatch(/^STS12 +45\.67 {2}cosine_spearman +2\.0 s$/);
  expect(outcomeLine({ ...outcome("STS12", 0.4567), kept: true })).toMatch(/kept$/);
  expect(outcomeLine(failed("STS12"))).toMatch(/^STS12 +failed: no data$/);
});
