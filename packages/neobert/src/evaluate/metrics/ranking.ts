// Scores of ranked documents at k, as pytrec_eval gives them: nDCG, average precision (MAP), recall and precision. Scores are
// taken as float32 and equal ones ranked by falling document id (byte order); a relevance of 1 or more counts as relevant,
// and nDCG's gain is the relevance itself. Reciprocal rank (MRR) is mteb's own: equal scores keep the order of the run.

export const CUTOFFS = [1, 3, 5, 10, 20, 100, 1000] as const;

/** Documents of one query with their scores, in the order found. */
export type Ranking = ReadonlyMap<string, number>;
/** The relevance of documents to one query. */
export type Judgements = ReadonlyMap<string, number>;

export const rankingMeasures = ["ndcg", "map", "recall", "precision", "mrr"] as const;
export type RankingMeasure = (typeof rankingMeasures)[number];
/** Each measure's values at the cut-offs. */
export type RankingScores = Record<RankingMeasure, number[]>;

/** The scores of one query's ranking at each of the cut-offs. */
export function rankingScores(
  ranking: Ranking,
  judgements: Judgements,
  cutoffs: readonly number[] = CUTOFFS,
): RankingScores {
  const relevances = inTrecOrder(ranking).map((id) => judgements.get(id) ?? 0);
  const ideal = [...judgements.values()].filter((value) => value > 0).sort((a, b) => b - a);
  const relevant = ideal.filter((value) => value >= 1).length;
  const first = firstRelevant(ranking, judgements, Math.max(...cutoffs));
  const over = (a: number, b: number) => (b === 0 ? 0 : a / b);
  const scores: RankingScores = { ndcg: [], map: [], recall: [], precision: [], mrr: [] };
  for (const k of cutoffs) {
    let [hits, precisions] = [0, 0];
    for (const [rank, relevance] of relevances.slice(0, k).entries()) {
      if (relevance < 1) continue;
      hits++;
      precisions += hits / (rank + 1);
    }
    scores.ndcg.push(over(discountedGain(relevances, k), discountedGain(ideal, k)));
    scores.map.push(over(precisions, relevant));
    scores.recall.push(over(hits, relevant));
    scores.precision.push(hits / k);
    scores.mrr.push(first < k ? 1 / (first + 1) : 0);
  }
  return scores;
}

function discountedGain(relevances: readonly number[], k: number): number {
  let sum = 0;
  for (let rank = 0; rank < Math.min(k, relevances.length); rank++) {
    if (relevances[rank]! > 0) sum += relevances[rank]! / Math.log2(rank + 2);
  }
  return sum;
}

function inTrecOrder(ranking: Ranking): string[] {
  return Array.from(ranking, ([id, score]) => ({ id, score: Math.fround(score) }))
    .sort((a, b) => b.score - a.score || -compareIds(a.id, b.id))
    .map(({ id }) => id);
}

/** Byte order of UTF-8, in which characters beyond the basic plane come last; JavaScript's own `<` compares UTF-16. */
export function compareIds(a: string, b: string): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const isSurrogate = (code: number) => code >= 0xd800 && code <= 0xdfff;
    if (isSurrogate(x) !== isSurrogate(y)) return isSurrogate(x) ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

/** The place of the first relevant document, Infinity where none is among the first `limit`. */
function firstRelevant(ranking: Ranking, judgements: Judgements, limit: number): number {
  const order = [...ranking].sort((a, b) => b[1] - a[1]);
  const place = order.slice(0, limit).findIndex(([id]) => (judgements.get(id) ?? 0) > 0);
  return place < 0 ? Number.POSITIVE_INFINITY : place;
}
