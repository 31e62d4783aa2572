// How well a model knows when to abstain (Gisserot-Boukhlef et al. 2024, arXiv 2402.12997), as mteb reports it: a confidence
// is read from each query's similarity scores, the least confident queries are left out at rates of 0 to 90 %, and the area
// under the mean score is scaled to 0 for leaving out at random and 1 for leaving out the worst.

import { argsort } from "./ranks.js";

export interface Confidence {
  /** The largest score, the scores' standard deviation, and the lead of the best over the second. */
  max: number;
  std: number;
  diff1: number;
}

export const confidences = ["max", "std", "diff1"] as const;

/** What a query's similarity scores (at least one) say about how sure the answer is. */
export function confidenceOf(scores: ArrayLike<number>): Confidence {
  const n = scores.length;
  let [sum, best, second] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < n; i++) {
    const score = scores[i]!;
    sum += score;
    if (score > best) [best, second] = [score, best];
    else if (score > second) second = score;
  }
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (scores[i]! - sum / n) ** 2;
  return { max: best, std: Math.sqrt(squares / n), diff1: n > 1 ? best - second : 0 };
}

// As numpy.linspace has them: 3 * 0.1 is not 0.3, and that decides how many queries are left out.
const RATES = Array.from({ length: 10 }, (_, i) => i * 0.1);

/** The normalized area under the abstention curve. NaN where leaving out the worst gains nothing (all scores equal). */
export function nAUC(confidence: ArrayLike<number>, scores: ArrayLike<number>): number {
  return scaledArea(abstentionCurve(confidence, scores), abstentionCurve(scores, scores));
}

/** nAUC of one measure by each confidence, under mteb's names: nAUC_map_max, ... */
export function nAUCScores(
  measure: string,
  confidence: readonly Confidence[],
  scores: ArrayLike<number>,
): Record<string, number> {
  const oracle = abstentionCurve(scores, scores);
  const of = (kind: (typeof confidences)[number]) => confidence.map((one) => one[kind]);
  return Object.fromEntries(
    confidences.map((kind) => [`nAUC_${measure}_${kind}`, scaledArea(abstentionCurve(of(kind), scores), oracle)]),
  );
}

function scaledArea(curve: readonly number[], oracle: readonly number[]): number {
  const flat = oracle[0]! * 0.9;
  const best = area(oracle) - flat;
  return best <= 1e-12 * Math.abs(flat) ? Number.NaN : (area(curve) - flat) / best;
}

/** The mean score of what is left at each rate. Values are summed in rising order of confidence, equal ones as they come. */
function abstentionCurve(confidence: ArrayLike<number>, scores: ArrayLike<number>): number[] {
  const n = scores.length;
  const order = argsort(confidence);
  return RATES.map((rate) => {
    const left = order.subarray(Math.min(roundHalfToEven(rate * n), n - 1));
    let sum = 0;
    for (const i of left) sum += scores[i]!;
    return sum / left.length;
  });
}

/** Python's round. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** By trapezoids over the rates. */
function area(curve: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < curve.length; i++) sum += ((curve[i]! + curve[i - 1]!) / 2) * (RATES[i]! - RATES[i - 1]!);
  return sum;
}
