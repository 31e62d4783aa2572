// `neobert/train`: what makes models. Needs libtorch.

export { type PrepareOptions, type PrepareProgress, type PrepareResult, prepareData } from "../data/prepare.js";
export type { BenchmarkProgress, BenchmarkResult } from "./classify/benchmark.js";
export { loadRunConfig, parseRunConfig, type RunConfig } from "./config.js";
export {
  type ContrastiveConfig,
  loadContrastiveConfig,
  parseContrastiveConfig,
} from "./contrastive/config.js";
export { type ContrastiveResult, finetuneContrastive } from "./contrastive/finetune.js";
export { type HeldOutOptions, heldOutScores, type MaskedScores } from "./evaluate.js";

export {
  type FinetuneBenchmarkOptions,
  finetuneGlue,
  finetuneSuperglue,
} from "./finetune-benchmark.js";
export {
  type ClassifyConfig,
  finetuneClassifier,
  parseClassifyConfig,
} from "./finetune-classifier.js";
export { type PretrainOptions, pretrain } from "./pretrain.js";
export type { PretrainResult } from "./pretraining.js";
export { formatDuration, Progress } from "./progress.js";
export { type TrainTokenizerOptions, trainTokenizer } from "./train-tokenizer.js";
