// The public face of `data`: text to token shards, token shards to batches.
export { describePieces, type MicroBatch } from "./batch.js";
export { type BatchCursor, type BatchOptions, batchCursorSchema, createBatches, type Share } from "./batches.js";
export { evaluationBatches } from "./evaluation.js";
export { prefetchBatches, prefetchSteps } from "./prefetch.js";
export { prepareData, preparedTokenizer } from "./prepare/prepare.js";
export { type ReadOptions, readDocuments } from "./read/read.js";
export { openShards, type TokenShards } from "./shards.js";
