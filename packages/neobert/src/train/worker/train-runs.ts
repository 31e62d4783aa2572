// The runs that train, each in a worker thread of its own, so that the caller's event loop stays free while steps are
// computed: `pretrain`, `finetuneContrastive`, `finetuneClassifier`, `finetuneGlue`, `finetuneSuperglue`. Progress comes back
// as messages; stopping is a flag in shared memory, read between micro-batches.

import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { parse } from "yaml";
import { glue } from "../../evaluate/glue/glue.js";
import type { Benchmark } from "../../evaluate/glue/glue-task.js";
import { superglue } from "../../evaluate/glue/superglue.js";
import { compiledFile } from "../../files/package.js";
import { pinnedName } from "../../hub/pinned.js";
import { resolveModel } from "../../hub/resolve.js";
import type { BenchmarkProgress, BenchmarkResult } from "../classify/benchmark.js";
import { type BenchmarkOptions, benchmarkConfig } from "../classify/benchmark-config.js";
import type { ClassifyResult } from "../classify/classify.js";
import type { ClassifyConfig } from "../classify/classify-config.js";
import type { ContrastiveConfig } from "../contrastive/contrastive-config.js";
import type { ContrastiveResult } from "../contrastive/contrastive-task.js";
import type { LoopOptions } from "../loop/loop.js";
import type { RunConfig } from "../pretrain/pretrain-config.js";
import type { PretrainResult } from "../pretrain/pretrain-task.js";

export interface WorkerRunOptions extends Omit<LoopOptions, "shouldStop" | "signal"> {
  /**
   * Aborting it writes a checkpoint and ends the run early, without an error; while a model or data are fetched, before the
   * first step, it rejects.
   */
  signal?: AbortSignal;
}

export type PretrainOptions = WorkerRunOptions;

export interface FinetuneBenchmarkOptions extends BenchmarkOptions {
  /** Called after every step of every run. */
  onStep?: (progress: BenchmarkProgress) => void;
  /** Lines for a person: finished runs, tasks that cannot be run and why. */
  onNote?: (text: string) => void;
  /** Aborting it stops in the midst of a run, without an error; the same call goes on there. */
  signal?: AbortSignal;
}

/**
 * Pretrains as a run file says (`loadRunConfig`) and resolves when the run is at its end, or was stopped by `signal`.
 * The run's folder, `config.out`, then holds checkpoints, metrics, TensorBoard events and, at the end, `model/`.
 * Rejects when settings, data and folder do not fit together, and on a loss that is not finite.
 */
export const pretrain = (config: RunConfig, options: PretrainOptions = {}): Promise<PretrainResult> =>
  runWithModel("pretrain", config, options);

/**
 * Fine-tunes as a run file says (`loadContrastiveConfig`) and resolves when the run is at its end, or was stopped by
 * `signal`. The run's folder, `config.out`, then holds checkpoints, metrics, TensorBoard events and, at the end, `model/`,
 * a sentence-transformers folder. Rejects when settings, data and folder do not fit together, and on a loss that is not
 * finite.
 */
export const finetuneContrastive = (
  config: ContrastiveConfig,
  options: WorkerRunOptions = {},
): Promise<ContrastiveResult> => runWithModel("contrastive", config, options);

/**
 * Fine-tunes as `parseClassifyConfig` has it and resolves when the run is at its end, or was stopped by `signal`. The run's
 * folder, `config.out`, then holds checkpoints, metrics and `model/`, the model of the best evaluation, which `Classifier`,
 * `TokenClassifier`, `QuestionAnswerer` and `CrossEncoder` load. Rejects where settings and data do not fit together.
 */
export const finetuneClassifier = (config: ClassifyConfig, options: WorkerRunOptions = {}): Promise<ClassifyResult> =>
  runWithModel("classify", config, options);

/**
 * Fine-tunes on GLUE's tasks: the grid by the first seed, the best point by all seeds. `out` then holds `glue.json`, the
 * table `glue.md`, `models/TASK` (the best model of each) and `runs/`; runs that are finished there are not done again.
 * Tasks without data in a local folder are left out, which is said. Rejects where settings and data do not fit together.
 */
export const finetuneGlue = (options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> =>
  finetuneBenchmark(glue, options);

/** The same on SuperGLUE's tasks; results are `superglue.json` and `superglue.md`. */
export const finetuneSuperglue = (options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> =>
  finetuneBenchmark(superglue, options);

async function finetuneBenchmark(benchmark: Benchmark, options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> {
  const { onStep, onNote, signal, ...given } = options;
  const config = benchmarkConfig(benchmark, given);
  if (config.data !== undefined && !existsSync(config.data)) {
    throw new Error(`finetune ${benchmark.id}: expected data to be a folder, got ${config.data}, which is none`);
  }
  const hub = signal ? { signal } : {};
  const model = pinnedName(await resolveModel(config.model, hub));
  const mnli = config.mnli === undefined ? undefined : pinnedName(await resolveModel(config.mnli, hub));
  const local = { ...config, model, ...(mnli !== undefined && { mnli }) };
  return runInWorker<BenchmarkResult>(benchmark.id, local, {
    ...(onStep && { onStep: (progress) => onStep(progress as BenchmarkProgress) }),
    ...(onNote && { onNote }),
    ...(signal && { signal }),
  });
}

/** What the worker is given. */
export interface TrainWorkerInput {
  /** Names the entry of train-worker.ts' table. */
  kind: "pretrain" | "contrastive" | "classify" | "glue" | "superglue";
  config: object;
  resume: boolean;
  /** Int32 [1]: not 0 means stop. A message comes with it, for what waits for the network. */
  stop: SharedArrayBuffer;
}

/** What it says. */
export type WorkerMessage =
  | { kind: "step"; progress: Parameters<NonNullable<LoopOptions["onStep"]>>[0] }
  | { kind: "note"; text: string }
  | { kind: "result"; result: object }
  /** It was given up before its first step, as it was asked. */
  | { kind: "stopped" }
  /** NOTE: cloning keeps the names of the language's own errors alone. */
  | { kind: "error"; error: Error; name: string | undefined };

/** Runs a task's loop, or many, in a worker to its end; rejects with what the loop, or a callback, throws. */
async function runInWorker<Result extends object>(
  kind: TrainWorkerInput["kind"],
  config: object,
  options: WorkerRunOptions,
): Promise<Result> {
  const { resume = false, onStep = () => {}, onNote = () => {}, signal } = options;
  const stop = new SharedArrayBuffer(4);
  const workerData: TrainWorkerInput = { kind, config, resume, stop };
  const worker = new Worker(compiledFile("train/worker/train-worker"), {
    workerData,
    env: SHARE_ENV, // so that what @neobert/torch sets for OpenMP reaches it
    execArgv: [], // a worker does not understand all of the caller's
  });
  const askToStop = () => {
    Atomics.store(new Int32Array(stop), 0, 1);
    worker.postMessage("stop");
  };
  if (signal?.aborted) askToStop();
  signal?.addEventListener("abort", askToStop);
  try {
    return await new Promise<Result>((resolve, reject) => {
      worker.on("message", (message: WorkerMessage) => {
        try {
          if (message.kind === "step") onStep(message.progress);
          else if (message.kind === "note") onNote(message.text);
          else if (message.kind === "result") resolve(message.result as Result);
          else if (message.kind === "stopped") reject(signal?.reason);
          else reject(Object.assign(message.error, message.name && { name: message.name }));
        } catch (error) {
          reject(error); // the caller's own, which no one else would hear of
        }
      });
      worker.on("error", reject);
      worker.on("exit", (code) => reject(new Error(`internal: the training worker ended with code ${code}`)));
    });
  } finally {
    signal?.removeEventListener("abort", askToStop);
    await worker.terminate();
  }
}

async function runWithModel<C extends { out: string; model: { from?: string | undefined } }, Result extends object>(
  kind: TrainWorkerInput["kind"],
  config: C,
  options: WorkerRunOptions,
): Promise<Result> {
  return runInWorker(kind, await withLocalModel(config, options), options);
}

/**
 * The config with a `model.from` on the Hub fetched and named with its commit. A run that is resumed goes on with the commit
 * that it began with, whatever the newest is.
 */
async function withLocalModel<C extends { out: string; model: { from?: string | undefined } }>(
  config: C,
  { signal, resume }: WorkerRunOptions,
): Promise<C> {
  const { from } = config.model;
  if (from === undefined || isAbsolute(from) || existsSync(from)) return config;
  const began = resume ? startOfRun(config.out) : undefined;
  const wanted = began?.startsWith(`${from}@`) ? began : from;
  const folder = await resolveModel(wanted, signal ? { signal } : {});
  return { ...config, model: { ...config.model, from: pinnedName(folder) } };
}

/** What the run of a folder started from. */
function startOfRun(out: string): string | undefined {
  const file = join(out, "run.yaml");
  const from = existsSync(file) ? parse(readFileSync(file, "utf8"))?.model?.from : undefined;
  return typeof from === "string" ? pinnedName(from) : undefined;
}
