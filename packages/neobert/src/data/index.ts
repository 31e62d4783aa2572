// The public face of `data`: text to token shards, token shards to batches.
export { describePieces, type MicroBatch, type Packing } from "./batch.js";
export {
  type BatchCursor,
  type BatchOptions,
  batchCursorSchema,
  createBatches,
  type StepBatch,
  StepBatches,
} from "./batches.js";
export { type EvaluationOptions, evaluationBatches } from "./evaluation.js";
export { type DataReport, inspectData } from "./inspect.js";
export type { Manifest, ManifestIds, PrepareSettings } from "./manifest.js";
export { defaultMasking, type MaskingOptions } from "./masking.js";
export type { LongDocuments } from "./pieces.js";
export { type Prefetched, type PrefetchedStep, prefetchBatches, prefetchSteps } from "./prefetch.js";
export {
  type PrepareOptions,
  type PrepareProgress,
  type PrepareResult,
  prepareData,
  preparedTokenizer,
} from "./prepare/prepare.js";
export { type ReadOptions, readDocuments, type SourceDocument } from "./read/read.js";
export { openShards, type TokenShards } from "./shards.js";
