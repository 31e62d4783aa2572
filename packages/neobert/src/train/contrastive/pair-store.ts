// The rows of a data set in memory, outside the JavaScript heap: millions of rows take the bytes of their texts and some
// more for each.

import { createHash, type Hash } from "node:crypto";
import { TextStore } from "../../files/text-store.js";
import type { PairRow, PlacedPair } from "./read-pairs.js";

export class PairStore {
  readonly #texts = new TextStore();
  /** Number of the first text of each row: its query; then come the positive and the negatives. */
  #rows = new Uint32Array(1 << 8);
  #rowCount = 0;
  /** Of each row: its number in its file, with which its place ends; what stands before that, and the first row of it. */
  #numbers = new Uint32Array(1 << 8);
  readonly #files: { before: string; firstRow: number }[] = [];
  readonly #hash: Hash = createHash("sha256");
  /** Negatives of the row that has most. */
  maxNegatives = 0;

  static async of(rows: AsyncIterable<PlacedPair>): Promise<PairStore> {
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
    const end = index + 1 < this.#rowCount ? this.#rows[index + 1]! : this.#texts.length;
    const negatives = Array.from({ length: end - first - 2 }, (_, i) => this.#texts.text(first + 2 + i));
    return { query: this.#texts.text(first), positive: this.#texts.text(first + 1), negatives };
  }

  /** File and row that a row was read from. */
  where(index: number): string {
    const file = this.#files.findLast(({ firstRow }) => firstRow <= index)!;
    return `${file.before}${this.#numbers[index]}`;
  }

  #add({ query, positive, negatives, where }: PlacedPair): void {
    if (this.#rowCount === this.#rows.length) {
      this.#rows = grown(this.#rows);
      this.#numbers = grown(this.#numbers);
    }
    const [number] = /\d+$/.exec(where)!;
    const before = where.slice(0, -number.length);
    if (this.#files.at(-1)?.before !== before) this.#files.push({ before, firstRow: this.#rowCount });
    this.#numbers[this.#rowCount] = Number(number);
    this.#rows[this.#rowCount++] = this.#texts.length;
    for (const text of [query, positive, ...negatives]) {
      this.#texts.add(text);
      this.#hash.update(text).update("\0");
    }
    this.#hash.update("\n");
    this.maxNegatives = Math.max(this.maxNegatives, negatives.length);
  }
}

/** A copy of twice the length. */
function grown(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length);
  larger.set(array);
  return larger;
}
