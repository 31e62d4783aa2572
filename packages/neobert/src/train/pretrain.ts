// `pretrain`: the run in a worker thread of its own, so that the caller's event loop stays free while steps are computed.
// Progress comes back as messages; stopping is a flag in shared memory, read between micro-batches.

import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { resolveModel } from "../hub/resolve.js";
import type { RunConfig } from "./config.js";
import type { LoopOptions, PretrainResult } from "./loop.js";

export interface PretrainOptions extends Omit<LoopOptions, "shouldStop"> {
  /** Aborting it writes a checkpoint and ends the run early, without an error. */
  signal?: AbortSignal;
}

/** What the worker is given. */
export interface WorkerInput {
  config: RunConfig;
  resume: boolean;
  /** Int32 [1]: not 0 means stop. */
  stop: SharedArrayBuffer;
}

/** What it says. */
export type WorkerMessage =
  | { kind: "step"; progress: Parameters<NonNullable<LoopOptions["onStep"]>>[0] }
  | { kind: "note"; text: string }
  | { kind: "result"; result: PretrainResult }
  | { kind: "error"; error: Error };

/**
 * Pretrains as a run file says (`loadRunConfig`) and resolves when the run is at its end, or was stopped by `signal`.
 * The run's folder, `config.out`, then holds checkpoints, metrics, TensorBoard events and, at the end, `model/`.
 * Rejects when settings, data and folder do not fit together, and on a loss that is not finite.
 */
export async function pretrain(config: RunConfig, options: PretrainOptions = {}): Promise<PretrainResult> {
  const { resume = false, onStep = () => {}, onNote = () => {}, signal } = options;
  const { from } = config.model;
  const isOnHub = from !== undefined && !isAbsolute(from) && !existsSync(from);
  const local = isOnHub ? { ...config, model: { ...config.model, from: await resolveModel(from) } } : config;
  const stop = new SharedArrayBuffer(4);
  const workerData: WorkerInput = { config: local, resume, stop };
  const worker = new Worker(new URL("./pretrain-worker.js", import.meta.url.replace("/src/train/", "/dist/train/")), {
    workerData,
    env: SHARE_ENV, // so that what @neobert/torch sets for OpenMP reaches it
    execArgv: [], // a worker does not understand all of the caller's
  });
  const askToStop = () => Atomics.store(new Int32Array(stop), 0, 1);
  if (signal?.aborted) askToStop();
  signal?.addEventListener("abort", askToStop);
  try {
    return await new Promise<PretrainResult>((resolve, reject) => {
      worker.on("message", (message: WorkerMessage) => {
        if (message.kind === "step") onStep(message.progress);
        else if (message.kind === "note") onNote(message.text);
        else if (message.kind === "result") resolve(message.result);
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
