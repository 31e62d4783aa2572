// Rows of numbers in one typed array: vectors of texts, vectors of tokens, tables of similarities. A row is a view.

export type NumberArray = Float32Array | Int8Array | Uint8Array;

export class Rows<T extends NumberArray = Float32Array> implements Iterable<T> {
  /** All rows one after another. */
  readonly data: T;
  /** Number of rows and of values in each. */
  readonly shape: readonly [n: number, d: number];

  constructor(data: T, shape: readonly [number, number]) {
    this.data = data;
    this.shape = shape;
  }

  get length(): number {
    return this.shape[0];
  }

  /** The i-th row, a view of `data`. Throws where there is none. */
  row(i: number): T {
    const [n, d] = this.shape;
    if (!Number.isInteger(i) || i < 0 || i >= n) {
      throw new RangeError(`row: expected a whole number from 0 to ${n - 1}, got ${i}`);
    }
    return this.data.subarray(i * d, (i + 1) * d) as T;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.shape[0]; i++) yield this.row(i);
  }
}
