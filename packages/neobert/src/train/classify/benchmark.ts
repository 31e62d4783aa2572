// Fine-tuning on the tasks of a benchmark: each point of the grid by the first seed, the best point by the other seeds too.
// Every run has a folder of its own and leaves `result.json` there, so that what a kill leaves undone is all that is
// done again. The summary is written anew after each run.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { version } from "@neobert/torch";
import {
  averageOf,
  type BenchmarkSummary,
  bestPoint,
  type FinishedRun,
  summarizeTask,
  summaryTable,
} from "../../evaluate/glue/glue-summary.js";
import { type Benchmark, type BenchmarkTask, type Example, mainScore } from "../../evaluate/glue/glue-task.js";
import { fineTuningSchedule, gridPoints, runLength } from "../../evaluate/glue/grid.js";
import { loadExamples } from "../../evaluate/glue/load-examples.js";
import { writeFileAtomic } from "../../files/atomic.js";
import { packageVersion } from "../../files/package.js";
import { everyNth } from "../../files/part.js";
import { modelFolder } from "../../files/run-folder.js";
import { weightsIdentity } from "../../files/weights-identity.js";
import { pinnedFolder } from "../../hub/pinned.js";
import type { LoopOptions } from "../loop/loop.js";
import type { BenchmarkConfig } from "./benchmark-config.js";
import { answersOf, labelledOf, loadOptionsOf, problemOf } from "./benchmark-examples.js";
import {
  keptModel,
  modelIsKept,
  type RunSettings,
  readResult,
  runFolder,
  settleRun,
  writeResult,
} from "./benchmark-runs.js";
import { fineTune } from "./classify-task.js";
import type { FineTuning } from "./fine-tuning.js";
import { writeSubmission } from "./submission.js";

type StepProgress = Parameters<NonNullable<LoopOptions["onStep"]>>[0];

/** A step of one of the runs. */
export interface BenchmarkProgress extends StepProgress {
  task: string;
  /** Number of the run among those of its task, from 1. */
  run: number;
  runs: number;
}

export interface BenchmarkResult {
  summary: BenchmarkSummary;
  /** False when it was stopped early. */
  finished: boolean;
}

/** What a task starts from. */
interface Start {
  from: string;
  startsFrom: "model" | "mnli";
  identity: string;
}

interface Work {
  benchmark: Benchmark;
  config: BenchmarkConfig;
  options: LoopOptions;
  summary: BenchmarkSummary;
  /** The compute type that the first run has measured. */
  dtype: BenchmarkConfig["dtype"];
}

/** Runs what is not yet done, in this thread. Throws where a task has data that cannot be read. */
export async function runBenchmark(
  benchmark: Benchmark,
  config: BenchmarkConfig,
  options: LoopOptions = {},
): Promise<BenchmarkResult> {
  const { model, grid, seeds, seed, maxLength, limit, data, out } = config;
  mkdirSync(out, { recursive: true });
  const summary: BenchmarkSummary = {
    benchmark: benchmark.id,
    model,
    versions: { neobert: packageVersion(), libtorch: version(), node: process.version },
    settings: { grid, seeds, seed, maxLength, data: data ?? benchmark.hub.name, ...(limit && { limit }) },
    tasks: {},
    average: null,
    missing: [],
  };
  const work: Work = { benchmark, config, options, summary, dtype: config.dtype };
  const chosen = benchmark.tasks.filter(({ id, answeredBy }) => config.tasks.includes(id) && !answeredBy);
  // MNLI's best model is where others begin.
  const ordered = chosen.toSorted((a, b) => Number(b.id === "mnli") - Number(a.id === "mnli"));
  let finished = true;
  for (const [turn, task] of ordered.entries()) {
    finished = await runTask(work, task, turn);
    if (!finished) break;
  }
  if (finished && config.submission && !config.part) {
    finished = (await untilStopped(options, () => writeSubmission(benchmark, config, options))) ?? false;
  }
  if (!config.part) writeSummary(work);
  return { summary, finished };
}

/** What `work` returns; undefined where it was given up, as it was asked. */
async function untilStopped<T>({ signal }: LoopOptions, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

/** The task's runs, or the part's of them, that are not yet done; false where they were stopped. `turn` is the task's number. */
async function runTask(work: Work, task: BenchmarkTask, turn: number): Promise<boolean> {
  const { benchmark, config, options, summary } = work;
  const { part } = config;
  const { onNote = () => {} } = options;
  const loaded = await untilStopped(options, async () => {
    const loading = loadOptionsOf(config, options.signal);
    const train = (await loadExamples(benchmark, task, "train", loading))?.flat();
    return { train, validation: await loadExamples(benchmark, task, "validation", loading) };
  });
  if (!loaded) return false;
  const { train, validation } = loaded;
  if (!train || !validation) {
    const lacking = [...(train ? [] : ["training"]), ...(validation ? [] : ["validation"])].join(" and ");
    onNote(`${task.id}: not run, as there is no ${lacking} data in ${config.data}`);
    return true;
  }
  if (waitsForMnli(work, task)) {
    onNote(
      `${task.id}: not run, as it starts from MNLI's best: run MNLI without --part when its parts are done, then these parts again`,
    );
    return true;
  }
  const start = await startOf(work, task);
  const used = config.limit === undefined ? train : train.slice(0, config.limit);
  const runs: FinishedRun[] = [];
  const points = gridPoints(config.grid);
  const total = points.length + config.seeds - 1;
  const takeRun = async (point: (typeof points)[number], seed: number) => {
    const run = await runPoint(work, task, {
      start,
      point,
      seed,
      train: used,
      validation,
      number: runs.length + 1,
      total,
    });
    if (!run) return false;
    runs.push(run);
    if (part) return true; // a summary of all runs is made without a part
    const { startsFrom } = start;
    summary.tasks[task.id] = summarizeTask(task, runs, { firstSeed: config.seed, startsFrom })!;
    writeSummary(work);
    return true;
  };
  for (const point of everyNth(points, part, turn)) if (!(await takeRun(point, config.seed))) return false;
  const searched = part ? finishedRuns(work, task, start, used.length) : runs;
  if (searched.length < points.length) return true; // other parts' points are not all done
  const best = bestPoint(task, searched, config.seed)!;
  const others = Array.from({ length: config.seeds - 1 }, (_, index) => config.seed + 1 + index);
  for (const seed of everyNth(others, part, turn)) if (!(await takeRun(best, seed))) return false;
  return true;
}

/** Whether a part's task begins where MNLI ends, whose parts are not yet made one. */
function waitsForMnli({ config }: Work, task: BenchmarkTask): boolean {
  const hasOwn = config.mnli === undefined && config.tasks.includes("mnli") && !modelIsKept(config.out, "mnli");
  return config.part !== undefined && task.startsFromMnli === true && hasOwn;
}

/** The points of the grid, of whatever part, that are done by the first seed. */
function finishedRuns({ config }: Work, task: BenchmarkTask, start: Start, texts: number): FinishedRun[] {
  return gridPoints(config.grid).flatMap((point) => {
    const folder = runFolder(config.out, task, start.startsFrom, point, config.seed);
    return readResult(folder, settingsOf(config, start, texts))?.run ?? [];
  });
}

/** What decides a run's result beside its place in the grid. */
function settingsOf({ grid, maxLength }: BenchmarkConfig, start: Start, texts: number): RunSettings {
  const { epochs, patience, evaluationsPerEpoch = 10 } = grid;
  return { start: start.identity, epochs, patience, maxLength, texts, evaluationsPerEpoch };
}

/** The model that a task begins with: the one given, or for some tasks one that has learnt MNLI. */
async function startOf({ config, options, summary }: Work, task: BenchmarkTask): Promise<Start> {
  const { onNote = () => {} } = options;
  const given = async (from: string, startsFrom: Start["startsFrom"]) => ({
    from,
    startsFrom,
    identity: await weightsIdentity(modelFolder(pinnedFolder(from))),
  });
  if (!task.startsFromMnli) return given(config.model, "model");
  if (config.mnli) return given(config.mnli, "mnli");
  const hasMnli = summary.tasks.mnli || (config.part && config.tasks.includes("mnli"));
  if (hasMnli && modelIsKept(config.out, "mnli")) return given(keptModel(config.out, "mnli"), "mnli");
  onNote(`${task.id}: starts from ${config.model}, as MNLI was not run here; the paper starts it from MNLI's best`);
  return given(config.model, "model");
}

interface Point {
  start: Start;
  point: ReturnType<typeof gridPoints>[number];
  seed: number;
  train: Example[];
  validation: Example[][];
  number: number;
  total: number;
}

/** One run, or its result where it is done; undefined where it was stopped. */
async function runPoint(work: Work, task: BenchmarkTask, one: Point): Promise<FinishedRun | undefined> {
  const { config, options } = work;
  const { onNote = () => {}, onStep, shouldStop } = options;
  const { start, point, seed, train, validation, number, total } = one;
  const { epochs, patience, evaluationsPerEpoch } = config.grid;
  const folder = runFolder(config.out, task, start.startsFrom, point, seed);
  const settings = settingsOf(config, start, train.length);
  const done = readResult(folder, settings);
  // Parts leave their best checkpoints to the run that has all of them.
  const settle = (run: FinishedRun) => config.part === undefined && settleRun(config.out, task, folder, run);
  if (done) {
    settle(done.run);
    work.dtype = done.dtype;
    return done.run;
  }
  const { steps, evaluateEverySteps } = runLength(train.length, point.batchSize, epochs, evaluationsPerEpoch);
  const result = await fineTune(
    fineTuningOf(task, train, validation, {
      out: folder,
      seed,
      steps,
      epochs,
      patience,
      batchSize: point.batchSize,
      model: { from: start.from },
      optimizer: {
        name: "adamw",
        lr: point.learningRate,
        betas: [0.9, 0.95],
        eps: 1e-8,
        weightDecay: point.weightDecay,
      },
      schedule: fineTuningSchedule(steps),
      evaluate: { everySteps: evaluateEverySteps },
      checkpoint: { everySteps: 1000, keep: 1 },
      log: { everySteps: evaluateEverySteps },
      clipNorm: 1,
      sharding: "none",
      timeoutMinutes: 5,
      activationCheckpointing: false,
      dtype: work.dtype,
      threads: config.threads,
      device: config.device,
      maxLength: config.maxLength,
      microBatchTokens: config.microBatchTokens,
    }),
    {
      resume: true,
      ...(shouldStop && { shouldStop }),
      onStep: (progress) => {
        const shown: BenchmarkProgress = { ...progress, task: task.id, run: number, runs: total };
        onStep?.(shown);
      },
    },
  );
  if (!result.finished) return undefined;
  const { step: bestStep, scores } = result.best!;
  const official = Object.fromEntries(Object.entries(scores).filter(([name]) => name !== "main" && name !== "loss"));
  const run: FinishedRun = { task: task.id, point, seed, scores: official, bestStep, steps: result.step };
  work.dtype = result.record.dtype;
  writeResult(folder, { run, settings, dtype: work.dtype });
  settle(run);
  const { batchSize, learningRate, weightDecay } = point;
  onNote(
    `${task.id} ${number}/${total}: batch ${batchSize}, rate ${learningRate}, decay ${weightDecay}, seed ${seed}: ` +
      `${describe(scores)} at step ${bestStep} of ${result.step}`,
  );
  return run;
}

function fineTuningOf(
  task: BenchmarkTask,
  train: Example[],
  validation: Example[][],
  config: FineTuning["config"],
): FineTuning {
  return {
    name: `finetune ${task.id}`,
    config,
    problem: problemOf(task),
    train: labelledOf(train),
    validation: labelledOf(validation.flat()),
    score({ logits }) {
      const scores = task.score(answersOf(task, validation, logits));
      return { ...scores, main: mainScore(task, scores) };
    },
    describeScores: describe,
    describeText: (text) => `${task.name} training example ${train[text]!.id} (${train[text]!.where})`,
  };
}

const describe = ({ main: _, loss: __, ...scores }: Record<string, number>) =>
  Object.entries(scores)
    .map(([name, value]) => `${name} ${(100 * value).toFixed(1)}`)
    .join(", ");

function writeSummary({ benchmark, config, summary }: Work): void {
  Object.assign(summary, averageOf(benchmark, summary.tasks));
  writeFileAtomic(join(config.out, `${benchmark.id}.json`), `${JSON.stringify(summary, null, 2)}\n`);
  writeFileAtomic(
    join(config.out, `${benchmark.id}.md`),
    `# ${benchmark.title}\n\n${config.model}\n\n${summaryTable(summary)}`,
  );
}
