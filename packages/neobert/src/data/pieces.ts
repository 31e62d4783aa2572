// The pieces of a folder of documents: `[CLS] tokens [SEP]`, at most `maxLength` tokens each. A document longer than that
// is cut into consecutive pieces or truncated to its first. Pieces are numbered through, so a shuffle may treat them as
// independent items: piece k is found by a search over the piece counts of every 64 documents (1 byte of memory for 8
// documents) and a read of at most 64 document lengths.
import type { TokenShards } from "./shards.js";

/** What becomes of a document longer than a piece: all of it in consecutive pieces, or its beginning only. */
export type LongDocuments = "cut" | "truncate";

/** Tokens `start` to `start + length` of a document, [CLS] and [SEP] not counted. */
export interface Piece {
  document: number;
  start: number;
  length: number;
}

const stride = 64;
const documentsPerRead = 1 << 16;

export class PieceIndex {
  readonly shards: TokenShards;
  /** The number of pieces. */
  readonly count: number;
  readonly #capacity: number;
  readonly #longDocuments: LongDocuments;
  readonly #firstPieces: Float64Array;

  constructor(shards: TokenShards, maxLength: number, longDocuments: LongDocuments) {
    if (!Number.isInteger(maxLength) || maxLength < 3) {
      throw new RangeError(
        `PieceIndex: expected maxLength of at least 3 ([CLS], one token, [SEP]), got ${maxLength}\n` +
          "Raise maxLength.",
      );
    }
    this.shards = shards;
    this.#capacity = maxLength - 2;
    this.#longDocuments = longDocuments;
    this.#firstPieces = new Float64Array(Math.ceil(shards.documents / stride) + 1);
    let pieces = 0;
    for (let first = 0; first < shards.documents; first += documentsPerRead) {
      const lengths = shards.lengths(first, Math.min(documentsPerRead, shards.documents - first));
      for (let i = 0; i < lengths.length; i++) {
        if (i % stride === 0) this.#firstPieces[(first + i) / stride] = pieces;
        pieces += this.#piecesOf(lengths[i]!);
      }
    }
    this.#firstPieces[this.#firstPieces.length - 1] = pieces;
    this.count = pieces;
  }

  /** Piece number `index`, in the order of the documents. */
  at(index: number): Piece {
    let [low, high] = [0, this.#firstPieces.length - 2];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#firstPieces[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    const first = low * stride;
    const lengths = this.shards.lengths(first, Math.min(stride, this.shards.documents - first));
    let rest = index - this.#firstPieces[low]!;
    for (let i = 0; i < lengths.length; i++) {
      const pieces = this.#piecesOf(lengths[i]!);
      if (rest < pieces) {
        const start = rest * this.#capacity;
        return { document: first + i, start, length: Math.min(this.#capacity, lengths[i]! - start) };
      }
      rest -= pieces;
    }
    throw new RangeError(`PieceIndex.at: expected a piece below ${this.count}, got ${index}`);
  }

  #piecesOf(length: number): number {
    if (length === 0) return 0;
    return this.#longDocuments === "cut" ? Math.ceil(length / this.#capacity) : 1;
  }
}
