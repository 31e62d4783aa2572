// `finetuneClassifier`: fine-tuning on an own labelled file in a worker thread.

import { runInWorker, type WorkerRunOptions, withLocalModel } from "../worker/in-worker.js";
import type { ClassifyResult } from "./classify.js";
import { type ClassifyConfig, parseClassifyConfig } from "./classify-config.js";

export { type ClassifyConfig, parseClassifyConfig };

/**
 * Fine-tunes as `parseClassifyConfig` has it and resolves when the run is at its end, or was stopped by `signal`. The run's
 * folder, `config.out`, then holds checkpoints, metrics and `model/`, the model of the best evaluation, which `Classifier`,
 * `TokenClassifier` and `CrossEncoder` load. Rejects where settings and data do not fit together.
 */
export async function finetuneClassifier(
  config: ClassifyConfig,
  options: WorkerRunOptions = {},
): Promise<ClassifyResult> {
  return runInWorker<ClassifyResult>("classify", await withLocalModel(config), options);
}
