// Fixed held-out batches: the same pieces with the same masks at every evaluation, in every run with this seed, whatever
// the size of a micro-batch.
import { type MicroBatch, makeBatch, type PieceItem, prefetchItems } from "./batch.js";
import { Masker, type MaskingOptions } from "./masking.js";
import { sourceStream } from "./mixture.js";
import { Packer } from "./packing.js";
import { type LongDocuments, PieceIndex } from "./pieces.js";
import { Permutation, randomStreams } from "./random.js";
import { openShards } from "./shards.js";

export interface EvaluationOptions {
  /** Pieces are taken, in a shuffled order, until they hold this many tokens or the data end. */
  tokens: number;
  seed: number;
  /** Tokens of the longest piece, [CLS] and [SEP] counted. */
  maxLength: number;
  microBatchTokens: number;
  longDocuments?: LongDocuments;
  masking?: Partial<MaskingOptions>;
}

/**
 * Packed, masked batches of a folder of token shards (the `validation` of a prepared folder), at most `microBatchTokens`
 * tokens each. Throws if the folder has no document or a piece may be larger than a batch.
 */
export function evaluationBatches(folder: string, options: EvaluationOptions): MicroBatch[] {
  const { tokens, seed, maxLength, microBatchTokens, longDocuments = "cut", masking = {} } = options;
  if (microBatchTokens < maxLength) {
    throw new RangeError(
      `evaluationBatches: expected microBatchTokens of at least maxLength = ${maxLength}, got ${microBatchTokens}`,
    );
  }
  const shards = openShards(folder);
  try {
    if (shards.documents === 0) throw new Error(`evaluationBatches: expected documents in ${folder}, got none`);
    const { specialIds, tokenizer } = shards.manifest;
    const index = new PieceIndex(shards, maxLength, longDocuments);
    const order = new Permutation(index.count, seed, randomStreams.evaluationOrder, 0);
    const masker = new Masker(masking, specialIds, tokenizer.vocabSize, seed);
    let [draw, drawnTokens] = [0, 0];
    const next = (): PieceItem | undefined => {
      if (draw === index.count || drawnTokens >= tokens) return undefined;
      const piece = index.at(order.at(draw));
      const size = piece.length + 2;
      drawnTokens += size;
      return { source: 0, draw: draw++, piece, size };
    };
    const packer = new Packer(next, 256);
    const bins: PieceItem[][] = [];
    for (let items = packer.bin(microBatchTokens); items.length > 0; items = packer.bin(microBatchTokens)) {
      bins.push(items);
    }
    prefetchItems(bins.flat(), [shards]);
    return bins.map((items, batch) => {
      const forced = { stream: sourceStream(randomStreams.evaluation, 1), counter: batch };
      return makeBatch(batch, items, [shards], masker, randomStreams.evaluation, forced);
    });
  } finally {
    shards.close();
  }
}
