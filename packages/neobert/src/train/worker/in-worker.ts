// A run in a worker thread of its own, so that the caller's event loop stays free while steps are computed. Progress comes
// back as messages; stopping is a flag in shared memory, read between micro-batches.

import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { compiledFile } from "../../files/package.js";
import { resolveModel } from "../../hub/resolve.js";
import type { LoopOptions } from "../loop/loop.js";

export interface WorkerRunOptions extends Omit<LoopOptions, "shouldStop"> {
  /** Aborting it writes a checkpoint and ends the run early, without an error. */
  signal?: AbortSignal;
}

/** What the worker is given. */
export interface TrainWorkerInput {
  /** Names the entry of train-worker.ts' table. */
  kind: "pretrain" | "contrastive" | "classify" | "glue" | "superglue";
  config: object;
  resume: boolean;
  /** Int32 [1]: not 0 means stop. */
  stop: SharedArrayBuffer;
}

/** What it says. */
export type WorkerMessage =
  | { kind: "step"; progress: Parameters<NonNullable<LoopOptions["onStep"]>>[0] }
  | { kind: "note"; text: string }
  | { kind: "result"; result: object }
  | { kind: "error"; error: Error };

/** Runs a task's loop, or many, in a worker to its end; rejects with what the loop throws. */
export async function runInWorker<Result extends object>(
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
  const askToStop = () => Atomics.store(new Int32Array(stop), 0, 1);
  if (signal?.aborted) askToStop();
  signal?.addEventListener("abort", askToStop);
  try {
    return await new Promise<Result>((resolve, reject) => {
      worker.on("message", (message: WorkerMessage) => {
        if (message.kind === "step") onStep(message.progress);
        else if (message.kind === "note") onNote(message.text);
        else if (message.kind === "result") resolve(message.result as Result);
        else reject(message.error);
      });
      worker.on("error", reject);
      worker.on("exit", (code) => reject(new Error(`internal: the training worker ended with code ${code}`)));
    });
  } finally {
    signal?.removeEventListener("abort", askToStop);
    await worker.terminate();
  }
}

/** The config with a `model.from` on the Hub fetched, as a worker takes it. */
export async function withLocalModel<C extends { model: { from?: string | undefined } }>(config: C): Promise<C> {
  const { from } = config.model;
  const isOnHub = from !== undefined && !isAbsolute(from) && !existsSync(from);
  return isOnHub ? { ...config, model: { ...config.model, from: await resolveModel(from) } } : config;
}
