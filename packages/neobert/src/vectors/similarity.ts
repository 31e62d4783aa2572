// How alike vectors are, by the function that a model was trained for (`similarity_fn_name` of its
// config_sentence_transformers.json). Distances are negative, so that more is always more alike.

import { type NumberArray, Rows } from "./rows.js";

export const similarityFunctions = ["cosine", "dot", "euclidean", "manhattan"] as const;
export type SimilarityFunction = (typeof similarityFunctions)[number];

/** The similarity of every row of `a` [n, d] with every row of `b` [m, d]: [n, m]. */
export function similarities(
  a: Rows<NumberArray>,
  b: Rows<NumberArray>,
  name: SimilarityFunction,
): Rows<Float32Array<ArrayBuffer>> {
  const [n, d] = a.shape;
  const [m, width] = b.shape;
  if (d !== width && n > 0 && m > 0) {
    throw new Error(`similarity: expected vectors of the same dimension, got ${d} and ${width}`);
  }
  const scores = new Float32Array(n * m);
  const between = name === "euclidean" ? euclidean : name === "manhattan" ? manhattan : dot;
  const [normsA, normsB] = name === "cosine" ? [norms(a), norms(b)] : [undefined, undefined];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      const score = between(a.data, i * d, b.data, j * d, d);
      scores[i * m + j] = normsA ? score / (normsA[i]! * normsB![j]!) : score;
    }
  }
  return new Rows(scores, [n, m]);
}

type Between = (a: NumberArray, atA: number, b: NumberArray, atB: number, d: number) => number;

const dot: Between = (a, atA, b, atB, d) => {
  let sum = 0;
  for (let c = 0; c < d; c++) sum += a[atA + c]! * b[atB + c]!;
  return sum;
};

const euclidean: Between = (a, atA, b, atB, d) => {
  let sum = 0;
  for (let c = 0; c < d; c++) sum += (a[atA + c]! - b[atB + c]!) ** 2;
  return -Math.sqrt(sum);
};

const manhattan: Between = (a, atA, b, atB, d) => {
  let sum = 0;
  for (let c = 0; c < d; c++) sum += Math.abs(a[atA + c]! - b[atB + c]!);
  return -sum;
};

function norms({ data, shape: [n, d] }: Rows<NumberArray>): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => Math.max(Math.sqrt(dot(data, i * d, data, i * d, d)), 1e-12));
}
