// `pretrain`: a pretraining run in a worker thread.

import type { RunConfig } from "../run-file/run-config.js";
import { runInWorker, type WorkerRunOptions, withLocalModel } from "../worker/in-worker.js";
import type { PretrainResult } from "./pretraining.js";

export type PretrainOptions = WorkerRunOptions;

/**
 * Pretrains as a run file says (`loadRunConfig`) and resolves when the run is at its end, or was stopped by `signal`.
 * The run's folder, `config.out`, then holds checkpoints, metrics, TensorBoard events and, at the end, `model/`.
 * Rejects when settings, data and folder do not fit together, and on a loss that is not finite.
 */
export async function pretrain(config: RunConfig, options: PretrainOptions = {}): Promise<PretrainResult> {
  return runInWorker<PretrainResult>("pretrain", await withLocalModel(config), options);
}
