// Exact search by cosine: the k best documents of every query. Documents come and go in chunks and scores in blocks, so
// memory is bounded whatever the size of the corpus: a chunk's vectors, one block of scores, and 2 k candidates a query.
// Among equal scores the larger id is kept (in Python's order of strings), which is what mteb's search does.

import type { Products } from "../learn/products.js";
import { compareIds } from "../metrics/ranking.js";
import type { Encode, VectorRows } from "./types.js";
import { encodeAll, normalized } from "./vectors.js";

export interface Document {
  id: string;
  text: string;
}

export interface SearchOptions {
  products: Products;
  topK: number;
  /** Documents that are encoded together: 50,000 unless said. */
  chunkSize?: number;
}

/** At most this many scores at once: 16 MB. */
const MAX_SCORES = 4 << 20;

/** For each query vector the best documents by falling score, then falling id. */
export async function searchExact(
  queries: VectorRows,
  corpus: readonly Document[],
  encode: Encode,
  options: SearchOptions,
): Promise<Map<string, number>[]> {
  const { products, topK, chunkSize = 50_000 } = options;
  const [n, d] = queries.shape;
  const documents = [...corpus].sort((a, b) => -compareIds(a.id, b.id));
  const matrix = products.matrix(normalized(queries).data, d);
  const found = Array.from({ length: n }, () => new BestDocuments(topK));
  const blockSize = Math.max(1, Math.floor(MAX_SCORES / Math.max(1, n)));
  try {
    for (let start = 0; start < documents.length; start += chunkSize) {
      const texts = documents.slice(start, start + chunkSize).map(({ text }) => text);
      const { data } = normalized(await encodeAll(texts, encode, "document"));
      for (let from = 0; from < texts.length; from += blockSize) {
        const to = Math.min(texts.length, from + blockSize);
        const scores = matrix.timesTransposed(data.subarray(from * d, to * d)); // [n, block]
        for (let i = 0; i < n; i++) found[i]!.add(scores, i * (to - from), to - from, start + from);
      }
    }
  } finally {
    matrix.dispose();
  }
  return found.map((best) => new Map(best.sorted().map(([place, score]) => [documents[place]!.id, score])));
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
