// Reranking: each query's own candidates, ordered by cosine. Average precision (equal scores count together) and reciprocal
// rank at 10, in the mean over queries, and how well the scores tell when to abstain. A query of several texts takes the largest
// similarity over them; samples without a positive or without a negative are left out.

import { pauses } from "../learn/slices.js";
import { type Confidence, confidenceOf, nAUCScores } from "../metrics/abstention.js";
import { averagePrecision } from "../metrics/classification-metrics.js";
import type { Encode, Scores } from "./types.js";
import { encodeUnique, mean, normalized, rowProduct } from "./vectors.js";

export interface RerankingData {
  samples: readonly { query: string | readonly string[]; positive: readonly string[]; negative: readonly string[] }[];
}

const MRR_CUTOFF = 10;

export async function evaluateReranking(
  data: RerankingData,
  encode: Encode,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Scores> {
  const samples = data.samples.filter(({ positive, negative }) => positive.length > 0 && negative.length > 0);
  if (samples.length === 0) {
    throw new RangeError("evaluateReranking: expected a sample with a positive and a negative, got none");
  }
  const queryTexts = samples.flatMap(({ query }) => query);
  const queries = await encodeUnique(queryTexts, encode, "query");
  const documentTexts = samples.flatMap(({ positive, negative }) => [...positive, ...negative]);
  const documents = await encodeUnique(documentTexts, encode, "document");
  const [unitQueries, unitDocuments] = [normalized(queries.vectors), normalized(documents.vectors)];

  let [atQuery, atDocument] = [0, 0];
  const ap: number[] = [];
  const mrr: number[] = [];
  const confidence: Confidence[] = [];
  const pause = pauses(signal);
  for (const { query, positive, negative } of samples) {
    const parts = queries.rows.subarray(atQuery, (atQuery += typeof query === "string" ? 1 : query.length));
    const rows = documents.rows.subarray(atDocument, (atDocument += positive.length + negative.length));
    const scores = Float32Array.from(rows, (row) =>
      parts.reduce((most, part) => Math.max(most, rowProduct(unitQueries, part, unitDocuments, row)), -Infinity),
    );
    const isRelevant = Array.from(scores, (_, i) => i < positive.length);
    ap.push(averagePrecision(isRelevant, scores));
    const order = Array.from(scores, (_, i) => i).sort((i, j) => scores[j]! - scores[i]!);
    const place = order.slice(0, MRR_CUTOFF).findIndex((i) => isRelevant[i]);
    mrr.push(place < 0 ? 0 : 1 / (place + 1));
    confidence.push(confidenceOf(scores));
    await pause();
  }
  return {
    map: mean(ap),
    mrr: mean(mrr),
    ...nAUCScores("map", confidence, ap),
    ...nAUCScores("mrr", confidence, mrr),
    main_score: mean(ap),
  };
}
