// Semantic similarity (STS): the correlation of people's scores of sentence pairs with the similarity of their vectors.
// pearson and spearman, which mteb takes from the model's own similarity, are the cosine's.

import { pearson, spearman } from "../metrics/correlation.js";
import type { Encode, Scores } from "./types.js";
import { encodeUnique, pairSimilarities } from "./vectors.js";

export interface StsData {
  sentences1: readonly string[];
  sentences2: readonly string[];
  scores: readonly number[];
  /** The ends of the scale of `scores`. */
  min: number;
  max: number;
}

export async function evaluateSts(data: StsData, encode: Encode): Promise<Scores> {
  const n = data.scores.length;
  if (n === 0 || data.sentences1.length !== n || data.sentences2.length !== n) {
    throw new RangeError(
      `evaluateSts: expected two sentences for each of ${n} scores, got ${data.sentences1.length} and ${data.sentences2.length}`,
    );
  }
  const { vectors, rows } = await encodeUnique([...data.sentences1, ...data.sentences2], encode, "query");
  const { cosine, manhattan, euclidean } = pairSimilarities(vectors, rows.subarray(0, n), vectors, rows.subarray(n));
  const gold = data.scores.map((score) => (score - data.min) / (data.max - data.min));
  const scores: Record<string, number> = { pearson: pearson(gold, cosine), spearman: spearman(gold, cosine) };
  const kinds = { cosine, manhattan: manhattan.map((x) => -x), euclidean: euclidean.map((x) => -x) };
  for (const [kind, similarity] of Object.entries(kinds)) {
    scores[`${kind}_pearson`] = pearson(gold, similarity);
    scores[`${kind}_spearman`] = spearman(gold, similarity);
  }
  return { ...scores, main_score: scores.cosine_spearman! };
}
