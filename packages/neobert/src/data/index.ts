// The public face of `data`: text files to token shards, token shards to batches.
export { type Batch, describePieces } from "./batch.js";
export { type BatchCursor, type BatchOptions, createBatches, type StepBatch, StepBatches } from "./batches.js";
export { type EvaluationOptions, evaluationBatches } from "./evaluation.js";
export type { Manifest, PrepareSettings, SpecialIds } from "./manifest.js";
export { defaultMasking, type MaskingOptions } from "./masking.js";
export type { LongDocuments } from "./pieces.js";
export { openShards, type TokenShards } from "./shards.js";
