// `neobert/train`: what makes models. Needs libtorch.

export { type MergeResult, mergeParts } from "../data/prepare/merge.js";
export { type PrepareOptions, type PrepareProgress, type PrepareResult, prepareData } from "../data/prepare/prepare.js";
export { everyNth, type Part } from "../files/part.js";
export { formatDuration, Progress } from "../terminal/run-progress.js";
export type { BenchmarkProgress, BenchmarkResult } from "./classify/benchmark.js";
export { type ClassifyConfig, parseClassifyConfig } from "./classify/classify-config.js";
export {
  type ContrastiveConfig,
  loadContrastiveConfig,
  parseContrastiveConfig,
} from "./contrastive/contrastive-config.js";
export type { ContrastiveResult } from "./contrastive/contrastive-task.js";
export { type HeldOutOptions, heldOutScores, type MaskedScores } from "./pretrain/masked-scores.js";
export { loadRunConfig, parseRunConfig, type RunConfig } from "./pretrain/pretrain-config.js";
export type { PretrainResult } from "./pretrain/pretrain-task.js";
export { type TrainTokenizerOptions, trainTokenizer } from "./pretrain/train-tokenizer.js";
export {
  type FinetuneBenchmarkOptions,
  finetuneClassifier,
  finetuneContrastive,
  finetuneGlue,
  finetuneSuperglue,
  type PretrainOptions,
  pretrain,
} from "./worker/train-runs.js";
export { readPart } from "./world/launchers.js";
