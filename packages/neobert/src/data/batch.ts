// One packed micro-batch of masked-language modelling, as typed arrays that may be transferred to another thread: pieces
// one after another without padding, each `[CLS] tokens [SEP]`, the input ids already masked. Sequences, within which
// attention stays, are the pieces; or rows cut out of them without regard to their borders (`crossAttention`).
import type { Masker } from "./masking.js";
import { sourceStream } from "./mixture.js";
import type { Piece } from "./pieces.js";
import { randomStreams } from "./random.js";
import type { TokenShards } from "./shards.js";

/** A packed micro-batch of P pieces in B sequences, N tokens with M masked positions. */
export interface MicroBatch {
  /** The step the batch belongs to; in evaluation, the number of the batch. */
  step: number;
  /** Input ids, masked: [N]. */
  ids: Int32Array<ArrayBuffer>;
  /** Where each sequence begins, and N: [B+1]. Each piece is one, unless `crossAttention` has made rows. */
  cuSeqlens: Int32Array<ArrayBuffer>;
  /** The positions in `ids` whose token is to be predicted, ascending: [M]. */
  maskedRows: Int32Array<ArrayBuffer>;
  /** Their true ids: [M]. */
  labels: Int32Array<ArrayBuffer>;
  /** Where each piece comes from, for error reports: [P, 3] of source number, document number, first token. */
  pieces: Float64Array<ArrayBuffer>;
}

/** A piece on its way into a batch; `size` counts [CLS] and [SEP]. */
export interface PieceItem {
  source: number;
  /** The number of the source's draw that gave it: with the source, the name of its masks. */
  draw: number;
  piece: Piece;
  size: number;
}

/**
 * What attends to what: each piece to itself alone, or, as in the paper's discarded M6, all pieces that share a row of
 * `maxLength` tokens to each other, with positions that run through the row and pieces cut where a row is full.
 */
export type Packing = "isolated" | "crossAttention";

/**
 * The batch of the given pieces, in rows of `rowLength` tokens if that is given. At least one token of it is masked (unless all its tokens are special): where chance
 * chose none, one is drawn with `forced`, a stream and a counter of its own.
 */
export function makeBatch(
  step: number,
  items: readonly PieceItem[],
  sources: readonly TokenShards[],
  masker: Masker,
  maskStream: number,
  forced: { stream: number; counter: number },
  rowLength?: number,
): MicroBatch {
  const N = items.reduce((sum, { size }) => sum + size, 0);
  const ids = new Int32Array(N);
  const ends = new Int32Array(items.length + 1);
  const pieces = new Float64Array(items.length * 3);
  const rows: number[] = [];
  const labels: number[] = [];
  let position = 0;
  for (const [index, { source, draw, piece, size }] of items.entries()) {
    const shards = sources[source]!;
    const { cls, sep } = shards.manifest.specialIds;
    const end = position + size;
    ids[position] = cls;
    ids.set(shards.read(piece.document, piece.start, piece.length), position + 1);
    ids[end - 1] = sep;
    masker.mask(ids, position + 1, end - 1, sourceStream(maskStream, source), draw, rows, labels);
    pieces.set([source, piece.document, piece.start], index * 3);
    position = end;
    ends[index + 1] = end;
  }
  if (rows.length === 0) masker.maskOne(ids, forced.stream, forced.counter, rows, labels);
  const cuSeqlens = rowLength === undefined ? ends : rowBorders(N, rowLength);
  return { step, ids, cuSeqlens, maskedRows: Int32Array.from(rows), labels: Int32Array.from(labels), pieces };
}

/** Says that batches of these pieces will be made soon: of sources at addresses they are then under way all at once. */
export function prefetchItems(items: readonly PieceItem[], sources: readonly TokenShards[]): void {
  for (const { source, piece } of items) sources[source]!.prefetch(piece.document, piece.start, piece.length);
}

const rowBorders = (tokens: number, rowLength: number) =>
  Int32Array.from({ length: Math.ceil(tokens / rowLength) + 1 }, (_, row) => Math.min(tokens, row * rowLength));

/** "SOURCE document D from token S" for each piece of a batch, in order: what an error report about it says. */
export function describePieces(batch: MicroBatch, sourcePaths: readonly string[]): string[] {
  return Array.from({ length: batch.pieces.length / 3 }, (_, index) => {
    const [source, document, start] = batch.pieces.subarray(index * 3, index * 3 + 3);
    return `${sourcePaths[source!]} document ${document} from token ${start}`;
  });
}

export const forcedMaskOf = (step: number, microBatch: number) => ({
  stream: sourceStream(randomStreams.forcedMask, microBatch),
  counter: step,
});
