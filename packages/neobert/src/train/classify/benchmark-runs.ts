// What runs on a benchmark leave behind: `runs/TASK/POINT/result.json` of each, without its checkpoints, and `models/TASK`, the
// best model of all the task's runs. Each step can be killed and done again.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { FinishedRun } from "../../evaluate/glue/glue-summary.js";
import { type BenchmarkTask, mainScore } from "../../evaluate/glue/glue-task.js";
import type { GridPoint } from "../../evaluate/glue/grid.js";
import { replaceFolder, writeFileAtomic } from "../../files/atomic.js";
import { readJsonObject } from "../../files/input-file.js";
import { checkpointsOf, finishedModelOf, latestFile } from "../../files/run-folder.js";
import type { ComputeType } from "../../model/torch/torch-compute-weights.js";

/** What decides a run's result beside its place in the grid. */
export interface RunSettings {
  /** Identity of the weights that it started from. */
  start: string;
  epochs: number;
  patience: number;
  maxLength: number;
  texts: number;
  evaluationsPerEpoch?: number;
}

interface ResultFile {
  run: FinishedRun;
  settings: RunSettings;
  dtype: ComputeType;
}

const resultFile = (folder: string) => join(folder, "result.json");

export function runFolder(
  out: string,
  task: BenchmarkTask,
  startsFrom: "model" | "mnli",
  { learningRate, batchSize, weightDecay }: GridPoint,
  seed: number,
): string {
  const of = startsFrom === "mnli" ? `${task.id}-from-mnli` : task.id;
  return join(out, "runs", of, `batch-${batchSize}_rate-${learningRate}_decay-${weightDecay}_seed-${seed}`);
}

/** The result of a finished run, if it is one. Throws where it was made with other settings. */
export function readResult(folder: string, settings: RunSettings): ResultFile | undefined {
  if (!existsSync(resultFile(folder))) return undefined;
  const found = readJsonObject<ResultFile>(resultFile(folder));
  const changed = (Object.keys(settings) as (keyof RunSettings)[]).filter(
    (key) => key in found.settings && found.settings[key] !== settings[key],
  );
  if (changed.length === 0) return found;
  const [was, is] = [found.settings, settings].map((one) => changed.map((key) => `${key} ${one[key]}`).join(", "));
  throw new Error(
    `${folder}: expected a result of the same settings (${is}), got one of others (${was})\n` +
      "Choose another folder for the results, or delete that one.",
  );
}

export function writeResult(folder: string, result: ResultFile): void {
  writeFileAtomic(resultFile(folder), `${JSON.stringify(result, null, 2)}\n`);
}

export const keptModel = (out: string, task: string) => join(out, "models", task);
export const modelIsKept = (out: string, task: string) => existsSync(join(keptModel(out, task), "config.json"));

/** Clears away what a finished run has left beside its result; its model stays as the task's if it is the best so far. */
export function settleRun(out: string, task: BenchmarkTask, folder: string, run: FinishedRun): void {
  const best = join(folder, "best");
  const kept = keptModel(out, task.id);
  if (existsSync(best)) {
    if (mainScore(task, run.scores) > keptScore(task, kept)) {
      writeFileAtomic(resultFile(best), `${JSON.stringify(run)}\n`);
      mkdirSync(dirname(kept), { recursive: true });
      replaceFolder(best, kept);
    } else rmSync(best, { recursive: true });
  }
  for (const leftover of [checkpointsOf(folder), finishedModelOf(folder), latestFile(folder)]) {
    rmSync(leftover, { recursive: true, force: true });
  }
}

function keptScore(task: BenchmarkTask, kept: string): number {
  if (!existsSync(resultFile(kept))) return Number.NEGATIVE_INFINITY;
  return mainScore(task, readJsonObject<FinishedRun>(resultFile(kept)).scores);
}
