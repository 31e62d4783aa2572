// The rows of a data set in memory, outside the JavaScript heap: their UTF-8 one after another, and where each text begins.
// Millions of rows take the bytes of their texts and eight more for each.

import { createHash, type Hash } from "node:crypto";
import type { PairRow } from "./read-pairs.js";

const CHUNK_BYTES = 1 << 26;

export class PairStore {
  readonly #chunks: Buffer[] = [];
  #used = CHUNK_BYTES;
  /** Of each text: its chunk and offset as one number. */
  #starts = new Float64Array(1 << 10);
  #lengths = new Uint32Array(1 << 10);
  #texts = 0;
  /** Number of the first text of each row: its query; then come the positive and the negatives. */
  #rows = new Uint32Array(1 << 8);
  #rowCount = 0;
  readonly #hash: Hash = createHash("sha256");
  /** Negatives of the row that has most. */
  maxNegatives = 0;

  static async of(rows: AsyncIterable<PairRow>): Promise<PairStore> {
    const store = new PairStore();
    for await (const row of rows) store.#add(row);
    return store;
  }

  /** Number of rows. */
  get length(): number {
    return this.#rowCount;
  }

  /** Hash of all rows, in their order. */
  get fingerprint(): string {
    return this.#hash.copy().digest("hex");
  }

  row(index: number): PairRow {
    const first = this.#rows[index]!;
    const end = index + 1 < this.#rowCount ? this.#rows[index + 1]! : this.#texts;
    const negatives = Array.from({ length: end - first - 2 }, (_, i) => this.#text(first + 2 + i));
    return { query: this.#text(first), positive: this.#text(first + 1), negatives };
  }

  #add({ query, positive, negatives }: PairRow): void {
    if (this.#rowCount === this.#rows.length) this.#rows = grown(this.#rows);
    this.#rows[this.#rowCount++] = this.#texts;
    for (const text of [query, positive, ...negatives]) this.#addText(text);
    this.#hash.update("\n");
    this.maxNegatives = Math.max(this.maxNegatives, negatives.length);
  }

  #addText(text: string): void {
    if (this.#texts === this.#lengths.length) {
      this.#starts = grown(this.#starts);
      this.#lengths = grown(this.#lengths);
    }
    const bytes = Buffer.byteLength(text);
    if (this.#used + bytes > (this.#chunks.at(-1)?.length ?? 0)) {
      this.#chunks.push(Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes)));
      this.#used = 0;
    }
    this.#chunks.at(-1)!.write(text, this.#used);
    this.#starts[this.#texts] = (this.#chunks.length - 1) * 2 ** 32 + this.#used;
    this.#lengths[this.#texts++] = bytes;
    this.#used += bytes;
    this.#hash.update(text).update("\0");
  }

  #text(index: number): string {
    const start = this.#starts[index]!;
    const [chunk, offset] = [Math.floor(start / 2 ** 32), start % 2 ** 32];
    return this.#chunks[chunk]!.toString("utf8", offset, offset + this.#lengths[index]!);
  }
}

function grown<T extends Uint32Array | Float64Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(2 * array.length);
  larger.set(array);
  return larger;
}
