// Matrix products of evaluators: search scores, logistic regression, k-means. A matrix is handed over once and kept, so that
// an engine (torch-products.ts) need not copy it again in every iteration. Here: the interface and plain loops; libtorch
// takes their place where it is present.

export type Floats = Float32Array | Float64Array;

/** A row-major matrix [n, d] that products are made with, in the precision of its type. */
export interface Matrix<T extends Floats> {
  readonly shape: readonly [n: number, d: number];
  /** This times the transpose of `other` [m, d]: [n, m]. */
  timesTransposed(other: T): T;
  /** The transpose of `other` [n, m] times this: [m, d]. */
  transposedTimes(other: T): T;
  dispose(): void;
}

export interface Products {
  readonly name: "libtorch" | "plain";
  /** Keeps `data` [n, d], without a copy: leave it as it is until `dispose`. */
  matrix<T extends Floats>(data: T, d: number): Matrix<T>;
}

/** Plain loops. */
export const plainProducts: Products = { name: "plain", matrix: (data, d) => new PlainMatrix(data, d) };

/** The number of rows of `data` in rows of `d`. Throws where it is not whole. */
export function rowsOf(data: Floats, d: number): number {
  const n = data.length / d;
  if (!Number.isInteger(n)) throw new RangeError(`matrix: expected rows of ${d} values, got ${data.length} values`);
  return n;
}

class PlainMatrix<T extends Floats> implements Matrix<T> {
  readonly shape: readonly [number, number];
  readonly #data: T;

  constructor(data: T, d: number) {
    this.#data = data;
    this.shape = [rowsOf(data, d), d];
  }

  timesTransposed(other: T): T {
    const [n, d] = this.shape;
    const m = rowsOf(other, d);
    const data = this.#data;
    const result = zerosLike(data, n * m);
    // Blocks of rows of both that stay in the processor's cache, and four sums at a time, which keep its adders busy.
    const block = Math.max(1, Math.floor(16384 / d));
    for (let j0 = 0; j0 < m; j0 += block) {
      const j1 = Math.min(m, j0 + block);
      for (let i = 0; i < n; i++) for (let j = j0; j < j1; j++) result[i * m + j] = dot(data, i * d, other, j * d, d);
    }
    return result;
  }

  transposedTimes(other: T): T {
    const [n, d] = this.shape;
    const m = other.length / n;
    const data = this.#data;
    const sums = new Float64Array(m * d);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < m; j++) {
        const factor = other[i * m + j]!;
        if (factor === 0) continue;
        for (let c = 0; c < d; c++) sums[j * d + c]! += factor * data[i * d + c]!;
      }
    }
    if (data instanceof Float64Array) return sums as Floats as T;
    const result = zerosLike(data, m * d);
    result.set(sums);
    return result;
  }

  dispose(): void {}
}

function zerosLike<T extends Floats>(data: T, length: number): T {
  return (data instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)) as T;
}

/** The product of `d` values of a from `atA` and of b from `atB`. */
export function dot(a: Floats, atA: number, b: Floats, atB: number, d: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let c = 0;
  for (; c + 3 < d; c += 4) {
    s0 += a[atA + c]! * b[atB + c]!;
    s1 += a[atA + c + 1]! * b[atB + c + 1]!;
    s2 += a[atA + c + 2]! * b[atB + c + 2]!;
    s3 += a[atA + c + 3]! * b[atB + c + 3]!;
  }
  for (; c < d; c++) s0 += a[atA + c]! * b[atB + c]!;
  return s0 + s1 + (s2 + s3);
}
