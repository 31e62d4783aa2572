// What evaluators do with vectors: encode each distinct text once, normalize, compare pairs. Sums are float64 and what they give
// is float32, as mteb's numbers are, so that equal texts tie where they tie there.

import type { Encode, VectorRows } from "./types.js";

/** The vectors of the distinct ones among `texts`, and the row of each text. */
export async function encodeUnique(
  texts: readonly string[],
  encode: Encode,
  role: "query" | "document",
): Promise<{ vectors: VectorRows; rows: Int32Array }> {
  const places = new Map<string, number>();
  const rows = Int32Array.from(texts, (text) => {
    let place = places.get(text);
    if (place === undefined) places.set(text, (place = places.size));
    return place;
  });
  return { vectors: await encodeAll([...places.keys()], encode, role), rows };
}

/** The vectors of the texts. Throws where `encode` gives another number of rows. */
export async function encodeAll(
  texts: readonly string[],
  encode: Encode,
  role: "query" | "document",
): Promise<VectorRows> {
  const vectors = await encode(texts, role);
  const [n, d] = vectors.shape;
  if (n !== texts.length || vectors.data.length !== n * d) {
    throw new Error(
      `encode: expected one vector for each of ${texts.length} texts, got ${vectors.data.length} values of shape [${n}, ${d}]`,
    );
  }
  return vectors;
}

/** The rows that are named, one after another. */
export function gatherRows({ data, shape: [, d] }: VectorRows, rows: ArrayLike<number>): VectorRows {
  const result = new Float32Array(rows.length * d);
  for (let i = 0; i < rows.length; i++) result.set(data.subarray(rows[i]! * d, (rows[i]! + 1) * d), i * d);
  return { data: result, shape: [rows.length, d] };
}

/** Every row divided by its length; rows of zeros stay. */
export function normalized({ data, shape }: VectorRows): VectorRows {
  const [n, d] = shape;
  const result = new Float32Array(data.length);
  for (let i = 0; i < n; i++) {
    let square = 0;
    for (let c = i * d; c < (i + 1) * d; c++) square += data[c]! * data[c]!;
    const length = Math.max(Math.sqrt(square), 1e-12);
    for (let c = i * d; c < (i + 1) * d; c++) result[c] = data[c]! / length;
  }
  return { data: result, shape };
}

/** The product of row i of a and row j of b. */
export function rowProduct(a: VectorRows, i: number, b: VectorRows, j: number): number {
  const d = a.shape[1];
  let sum = 0;
  for (let c = 0; c < d; c++) sum += a.data[i * d + c]! * b.data[j * d + c]!;
  return Math.fround(sum);
}

export interface PairSimilarities {
  cosine: Float32Array;
  /** Distances: small is alike. */
  manhattan: Float32Array;
  euclidean: Float32Array;
  dot: Float32Array;
}

/**
 * Row a[rowsA[i]] with row b[rowsB[i]]. The cosine is 1 - ||a - b||^2 / 2 of the normalized rows, so that it is exactly 1
 * for equal texts. With a row of zeros it is 0.5, as scikit-learn has it.
 */
export function pairSimilarities(
  a: VectorRows,
  rowsA: ArrayLike<number>,
  b: VectorRows,
  rowsB: ArrayLike<number>,
): PairSimilarities {
  const n = rowsA.length;
  const d = a.shape[1];
  const [unitA, unitB] = [normalized(a), normalized(b)];
  const zeros = () => new Float32Array(n);
  const result: PairSimilarities = { cosine: zeros(), manhattan: zeros(), euclidean: zeros(), dot: zeros() };
  for (let i = 0; i < n; i++) {
    const [atA, atB] = [rowsA[i]! * d, rowsB[i]! * d];
    let [unit, absolute, square] = [0, 0, 0];
    for (let c = 0; c < d; c++) {
      const [x, y] = [a.data[atA + c]!, b.data[atB + c]!];
      absolute += Math.abs(x - y);
      square += (x - y) ** 2;
      unit += (unitA.data[atA + c]! - unitB.data[atB + c]!) ** 2;
    }
    result.cosine[i] = 1 - unit / 2;
    result.manhattan[i] = absolute;
    result.euclidean[i] = Math.sqrt(square);
    result.dot[i] = rowProduct(a, rowsA[i]!, b, rowsB[i]!);
  }
  return result;
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
