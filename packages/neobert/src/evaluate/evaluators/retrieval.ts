// Retrieval: exact search through a corpus, scored at the usual cut-offs against the judgements. Means of nDCG, MAP, recall
// and precision are rounded to five decimals, as mteb rounds them; queries without judgements are left out.

import { chooseProducts } from "../learn/choose-products.js";
import type { Products } from "../learn/products.js";
import { pauses } from "../learn/slices.js";
import { type Confidence, confidenceOf, nAUCScores } from "../metrics/abstention.js";
import { CUTOFFS, type RankingScores, rankingMeasures, rankingScores } from "../metrics/ranking.js";
import type { Document, Documents } from "./documents.js";
import { searchRankings } from "./search.js";
import type { Encode, Scores } from "./types.js";
import { encodeAll, mean } from "./vectors.js";

export interface RetrievalData {
  corpus: readonly Document[] | Documents;
  queries: readonly Document[];
  judgements: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Removes a document that has the query's id, after the search. */
  ignoreIdenticalIds?: boolean;
}

export interface RetrievalOptions {
  /** Documents found for a query: 1,000 unless said. */
  topK?: number;
  chunkSize?: number;
  products?: Products;
  signal?: AbortSignal | undefined;
}

export async function evaluateRetrieval(
  data: RetrievalData,
  encode: Encode,
  options: RetrievalOptions = {},
): Promise<Scores> {
  const queries = data.queries.filter(({ id }) => data.judgements.has(id));
  if (queries.length === 0 || data.corpus.length === 0) {
    throw new RangeError(
      `evaluateRetrieval: expected documents and queries with judgements, got ${data.corpus.length} and ${queries.length}`,
    );
  }
  const products = options.products ?? (await chooseProducts());
  const texts = queries.map(({ text }) => text);
  const vectors = await encodeAll(texts, encode, "query");
  const { topK = 1000, chunkSize, signal } = options;
  const rankings = await searchRankings(vectors, data.corpus, encode, {
    products,
    topK,
    signal,
    ...(chunkSize === undefined ? {} : { chunkSize }),
  });
  const perQuery: RankingScores[] = [];
  const confidence: Confidence[] = [];
  const pause = pauses(signal);
  for (const ranking of rankings) {
    const { id } = queries[perQuery.length]!;
    if (data.ignoreIdenticalIds) ranking.delete(id);
    perQuery.push(rankingScores(ranking, data.judgements.get(id)!));
    confidence.push(confidenceOf([...ranking.values()]));
    await pause();
  }
  const scores: Record<string, number> = {};
  const naucs: Record<string, number> = {};
  for (const measure of rankingMeasures) {
    for (const [i, k] of CUTOFFS.entries()) {
      const name = `${measure}_at_${k}`;
      const values = perQuery.map((query) => query[measure][i]!);
      const average = mean(values);
      scores[name] = measure === "mrr" ? average : Number(average.toFixed(5));
      for (const [key, value] of Object.entries(nAUCScores(name, confidence, values))) naucs[key.toLowerCase()] = value;
      await pause();
    }
  }
  return { ...scores, ...naucs, main_score: scores.ndcg_at_10! };
}
