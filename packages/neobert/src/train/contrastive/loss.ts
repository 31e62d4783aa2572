// InfoNCE: each query's positive among its candidates, by the cosine of the vectors over a temperature. A sum over the
// queries, in float32; whoever takes the step divides by their number. With Matryoshka dimensions the mean of the losses of
// the vectors' first d numbers. Sources: NeoBERT paper, 5.2.1; Kusupati et al. 2022 (arXiv 2205.13147).

import { crossEntropy, fromTypedArray, type Tensor } from "@neobert/torch";

export interface ContrastOptions {
  temperature: number;
  /** Lengths of the vectors' beginnings that are to be vectors themselves; none: the whole vectors. */
  dimensions?: readonly number[] | undefined;
}

/** Which documents stand against which query. */
export interface Contrast {
  /** The positive of each query, among the documents [Q]. */
  labels: Int32Array;
  /** 1 where a document is no candidate of a query [Q * M]. */
  excluded: Uint8Array;
}

/** Scores [Q, M] of the documents for each query: cosine / temperature, -Infinity where excluded. */
export function contrastLogits(
  queries: Tensor,
  documents: Tensor,
  { excluded }: Contrast,
  temperature: number,
): Tensor {
  const scores = normalized(queries).matmul(normalized(documents).t()).div(temperature); // [Q, M]
  if (!excluded.includes(1)) return scores;
  const mask = fromTypedArray(excluded, { shape: scores.shape, device: scores.device }).ne(0);
  return scores.maskedFill(mask, Number.NEGATIVE_INFINITY);
}

/** Sum over the queries [Q, C] of -log softmax(scores)[positive] against the documents [M, C]; a float32 scalar. */
export function contrastiveLoss(
  queries: Tensor,
  documents: Tensor,
  contrast: Contrast,
  { temperature, dimensions }: ContrastOptions,
): Tensor {
  const labels = fromTypedArray(contrast.labels, { device: queries.device }).to("int64");
  const lossOf = (q: Tensor, d: Tensor) =>
    crossEntropy(contrastLogits(q, d, contrast, temperature), labels, { reduction: "sum" });
  if (!dimensions?.length) return lossOf(queries, documents);
  const losses = dimensions.map((d) => lossOf(queries.narrow(1, 0, d), documents.narrow(1, 0, d)));
  return losses.reduce((sum, loss) => sum.add(loss)).div(dimensions.length);
}

function normalized(x: Tensor): Tensor {
  return x.div(x.norm(2, -1, true).clamp(1e-12));
}
