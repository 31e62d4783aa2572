// `finetuneContrastive`: a contrastive fine-tuning run in a worker thread.

import type { RunResult } from "../loop/loop.js";
import { runInWorker, type WorkerRunOptions, withLocalModel } from "../worker/in-worker.js";
import type { ContrastiveScores } from "./contrastive.js";
import type { ContrastiveConfig } from "./contrastive-config.js";

export type ContrastiveResult = RunResult<ContrastiveScores>;

/**
 * Fine-tunes as a run file says (`loadContrastiveConfig`) and resolves when the run is at its end, or was stopped by
 * `signal`. The run's folder, `config.out`, then holds checkpoints, metrics, TensorBoard events and, at the end, `model/`,
 * a sentence-transformers folder. Rejects when settings, data and folder do not fit together, and on a loss that is not
 * finite.
 */
export async function finetuneContrastive(
  config: ContrastiveConfig,
  options: WorkerRunOptions = {},
): Promise<ContrastiveResult> {
  return runInWorker<ContrastiveResult>("contrastive", await withLocalModel(config), options);
}
