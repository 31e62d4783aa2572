// The public surface of `neobert`: using models. Making them is `neobert/train`.

export type { Answer } from "./encoder/answers.js";
export { Classifier, type ClassifyOptions, type LabelScore } from "./encoder/classifier.js";
export { CrossEncoder, type Ranked, type RerankOptions } from "./encoder/cross-encoder.js";
export {
  Embeddings,
  type EncodeOptions,
  Encoder,
  type StreamOptions,
  type TokenOptions,
  TokenVectors,
  type Vectors,
} from "./encoder/encoder.js";
export type { Aggregation, Entity } from "./encoder/entities.js";
export { type Filling, FillMask, type FillOptions } from "./encoder/fill-mask.js";
export type { ScoreActivation } from "./encoder/labels.js";
export type { CallOptions, LoadOptions } from "./encoder/loaded-model.js";
export { type AnswerOptions, QuestionAnswerer } from "./encoder/question-answerer.js";
export { type TagOptions, TokenClassifier } from "./encoder/token-classifier.js";
export { ZeroShotClassifier, type ZeroShotLabel, type ZeroShotOptions } from "./encoder/zero-shot-classifier.js";
export type { DtypeChoice, EngineDtype, EngineName } from "./engine/engine.js";
export { DeadlineError, QueueFullError } from "./engine/queue.js";
export type { DownloadProgress } from "./hub/resolve.js";
export type { TextInput, TokenIds } from "./texts/text-input.js";
export type { PoolingMode } from "./vectors/pooling.js";
export type { Output, Ranges } from "./vectors/quantize.js";
export { type NumberArray, Rows } from "./vectors/rows.js";
export type { SimilarityFunction } from "./vectors/similarity.js";
