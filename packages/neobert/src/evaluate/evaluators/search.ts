// Exact search by cosine: the k best documents of every query. Documents come and go in chunks and scores in blocks, so
// memory is bounded whatever the size of the corpus: a chunk's vectors, one block of scores, and 2 k candidates a query.
// Among equal scores the larger id is kept (in Python's order of strings), which is what mteb's search does.

import type { Products } from "../learn/products.js";
import { inSlices, pauses } from "../learn/slices.js";
import { type Document, type Documents, documentsOf } from "./documents.js";
import type { Encode, VectorRows } from "./types.js";
import { encodeAll, normalized } from "./vectors.js";

export interface SearchOptions {
  products: Products;
  topK: number;
  /** Documents that are encoded together: 50,000 unless said. */
  chunkSize?: number;
  signal?: AbortSignal | undefined;
}

/** At most this many scores at once: 16 MB; of plain loops so many take as long as libtorch's. */
const MAX_SCORES = 4 << 20;
const MAX_PLAIN_SCORES = 1 << 16;

/** For each query vector the best documents by falling score, then falling id. */
export async function searchExact(
  queries: VectorRows,
  corpus: readonly Document[] | Documents,
  encode: Encode,
  options: SearchOptions,
): Promise<Map<string, number>[]> {
  return Array.from(await searchRankings(queries, corpus, encode, options));
}

/** The same, each query's documents made when they are asked for: of many queries all at once are large. */
export async function searchRankings(
  queries: VectorRows,
  corpus: readonly Document[] | Documents,
  encode: Encode,
  options: SearchOptions,
): Promise<Iterable<Map<string, number>>> {
  const { products, topK, chunkSize = 50_000, signal } = options;
  const [n, d] = queries.shape;
  const documents = "byFallingId" in corpus ? corpus : documentsOf(corpus);
  const order = await inSlices(documents.byFallingId(), signal);
  const matrix = products.matrix(normalized(queries).data, d);
  const found = Array.from({ length: n }, () => new BestDocuments(topK));
  const maxScores = products.name === "plain" ? MAX_PLAIN_SCORES : MAX_SCORES;
  const blockSize = Math.max(1, Math.floor(maxScores / Math.max(1, n)));
  const pause = pauses(signal);
  try {
    for (let start = 0; start < order.length; start += chunkSize) {
      const texts: string[] = [];
      for (const place of order.subarray(start, start + chunkSize)) {
        texts.push(documents.text(place));
        const paused = pause();
        if (paused) await paused;
      }
      const { data } = await encodeAll(texts, encode, "document");
      for (let from = 0; from < texts.length; from += blockSize) {
        const to = Math.min(texts.length, from + blockSize);
        const block = normalized({ data: data.subarray(from * d, to * d), shape: [to - from, d] });
        const scores = matrix.timesTransposed(block.data); // [n, block]
        await pause();
        for (let i = 0; i < n; i++) {
          found[i]!.add(scores, i * (to - from), to - from, start + from);
          const paused = pause();
          if (paused) await paused;
        }
      }
    }
  } finally {
    matrix.dispose();
  }
  return mapped(found, (best) => new Map(best.sorted().map(([at, score]) => [documents.id(order[at]!), score])));
}

function* mapped<T, R>(values: readonly T[], change: (value: T) => R): Generator<R> {
  for (const value of values) yield change(value);
}

/** The k best of a stream of scores, of equal ones the first that came. Holds up to 2 k and then drops the worse half. */
class BestDocuments {
  readonly #k: number;
  readonly #scores: Float32Array;
  readonly #places: Int32Array;
  #count = 0;
  /** The k-th best score so far: what is not above it came too late. */
  #least = Number.NEGATIVE_INFINITY;

  constructor(k: number) {
    this.#k = k;
    this.#scores = new Float32Array(2 * k);
    this.#places = new Int32Array(2 * k);
  }

  add(scores: Float32Array, at: number, length: number, firstPlace: number): void {
    for (let j = 0, least = this.#least; j < length; j++) {
      let score = scores[at + j]!;
      if (score <= least) continue;
      if (Number.isNaN(score)) {
        // As mteb: a vector that is no number is as far away as can be.
        score = -1;
        if (score <= least) continue;
      }
      this.#scores[this.#count] = score;
      this.#places[this.#count++] = firstPlace + j;
      if (this.#count === this.#scores.length) least = this.#drop();
    }
  }

  /** Keeps the k best, and returns the least of them. */
  #drop(): number {
    const kept = this.sorted();
    for (const [i, [place, score]] of kept.entries()) {
      this.#places[i] = place;
      this.#scores[i] = score;
    }
    this.#count = kept.length;
    this.#least = kept.at(-1)![1];
    return this.#least;
  }

  sorted(): [place: number, score: number][] {
    const scores = this.#scores;
    const places = this.#places;
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i).sort(
      (i, j) => scores[j]! - scores[i]! || places[i]! - places[j]!,
    );
    return Array.from(order.subarray(0, this.#k), (i) => [places[i]!, scores[i]!]);
  }
}
