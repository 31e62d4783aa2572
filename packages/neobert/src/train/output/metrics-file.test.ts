import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MetricsFile } from "./metrics-file.js";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-metrics-"));
  path = join(folder, "metrics.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const lines = () => readFileSync(path, "utf8").split("\n");

function record(steps: number[], resumeStep?: number): void {
  const file = new MetricsFile(path, { resumeStep });
  for (const step of steps) file.write({ step, loss: 1 / step });
  file.close();
}

test("a run resumed at step 20 leaves the file of an unbroken run", () => {
  record([10, 20, 30, 40]);
  const unbroken = readFileSync(path);
  rmSync(path);
  record([10, 20, 30]);
  record([30, 40], 20);
  expect(readFileSync(path)).toEqual(unbroken);
});

test("a line torn by a kill is cut off on resume", () => {
  record([10, 20]);
  appendFileSync(path, '{"step":30,"lo');
  record([30], 25);
  expect(lines()).toEqual(['{"step":10,"loss":0.1}', '{"step":20,"loss":0.05}', `{"step":30,"loss":${1 / 30}}`, ""]);
});

test("several lines of the step resumed from all stay", () => {
  writeFileSync(path, '{"step":5,"loss":1}\n{"step":5,"evaluationLoss":2}\n{"step":6,"loss":3}\n');
  record([], 5);
  expect(lines()).toEqual(['{"step":5,"loss":1}', '{"step":5,"evaluationLoss":2}', ""]);
});

test("a fresh run does not append to an older file, and resuming without a file starts one", () => {
  record([1, 2]);
  record([1]);
  expect(lines()).toEqual(['{"step":1,"loss":1}', ""]);
  rmSync(path);
  record([8], 7);
  expect(lines()).toEqual(['{"step":8,"loss":0.125}', ""]);
});

test("a loss that is not a number is written as null", () => {
  const file = new MetricsFile(path);
  file.write({ step: 1, loss: Number.NaN });
  file.close();
  expect(JSON.parse(lines()[0]!)).toEqual({ step: 1, loss: null });
});
