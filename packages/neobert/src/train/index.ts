// `neobert/train`: what makes models. Needs libtorch.

export { type PrepareOptions, type PrepareProgress, type PrepareResult, prepareData } from "../data/prepare/prepare.js";
export { formatDuration, Progress } from "../terminal/run-progress.js";
export type { BenchmarkProgress, BenchmarkResult } from "./classify/benchmark.js";
export {
  type FinetuneBenchmarkOptions,
  finetuneGlue,
  finetuneSuperglue,
} from "./classify/finetune-benchmark.js";
export {
  type ClassifyConfig,
  finetuneClassifier,
  parseClassifyConfig,
} from "./classify/finetune-classifier.js";
export {
  type ContrastiveConfig,
  loadContrastiveConfig,
  parseContrastiveConfig,
} from "./contrastive/contrastive-config.js";
export { type ContrastiveResult, finetuneContrastive } from "./contrastive/finetune-contrastive.js";
export { type HeldOutOptions, heldOutScores, type MaskedScores } from "./pretrain/masked-scores.js";
export { type PretrainOptions, pretrain } from "./pretrain/pretrain.js";
export type { PretrainResult } from "./pretrain/pretraining.js";
export { type TrainTokenizerOptions, trainTokenizer } from "./pretrain/train-tokenizer.js";
export { loadRunConfig, parseRunConfig, type RunConfig } from "./run-file/run-config.js";
