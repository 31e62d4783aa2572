// Correlations of two lists of numbers, as scipy gives them: Pearson, Spearman (average ranks for ties), Kendall's tau-b.
// NaN where a list is constant. The two-sided p-value is that of Student's t with n - 2 degrees of freedom.

import { checkLengths, midRanks } from "./ranks.js";
/** Pearson's correlation. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths("pearson", x, y);
  const n = x.length;
  const mean = (list: ArrayLike<number>) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += list[i]!;
    return sum / n;
  };
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [a, b] = [x[i]! - meanX, y[i]! - meanY];
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  const r = xy / (Math.sqrt(xx) * Math.sqrt(yy));
  return Math.max(-1, Math.min(1, r));
}

/** Spearman's rank correlation: Pearson's of the ranks. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths("spearman", x, y);
  return pearson(midRanks(x), midRanks(y));
}

/** Kendall's tau-b: (pairs in the same order - pairs in opposite order), corrected for ties. Takes n log n time. */
export function kendallTau(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths("kendallTau", x, y);
  const n = x.length;
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((i, j) => x[i]! - x[j]! || y[i]! - y[j]!);
  const sortedX = Float64Array.from(order, (i) => x[i]!);
  const sortedY = Float64Array.from(order, (i) => y[i]!);
  const pairs = (n * (n - 1)) / 2;
  const tiedX = tiedPairs(n, (i) => sortedX[i] === sortedX[i - 1]);
  const tiedBoth = tiedPairs(n, (i) => sortedX[i] === sortedX[i - 1] && sortedY[i] === sortedY[i - 1]);
  // Among equal x the y rise, so what is out of order here is a discordant pair (Knight 1966).
  const discordant = sortCounting(sortedY);
  const tiedY = tiedPairs(n, (i) => sortedY[i] === sortedY[i - 1]);
  const difference = pairs - tiedX - tiedY + tiedBoth - 2 * discordant;
  return difference / (Math.sqrt(pairs - tiedX) * Math.sqrt(pairs - tiedY));
}

/** Pairs within the runs of equal elements. */
function tiedPairs(n: number, equalsPrevious: (i: number) => boolean): number {
  let [pairs, run] = [0, 0];
  for (let i = 1; i < n; i++) {
    run = equalsPrevious(i) ? run + 1 : 0;
    pairs += run;
  }
  return pairs;
}

/** Sorts the values (merge sort) and returns how many pairs were out of order. */
function sortCounting(values: Float64Array): number {
  const n = values.length;
  const buffer = new Float64Array(n);
  let inversions = 0;
  for (let width = 1; width < n; width *= 2) {
    for (let start = 0; start < n; start += 2 * width) {
      const [middle, end] = [Math.min(start + width, n), Math.min(start + 2 * width, n)];
      let [left, right] = [start, middle];
      for (let at = start; at < end; at++) {
        if (right >= end || (left < middle && values[left]! <= values[right]!)) buffer[at] = values[left++]!;
        else {
          inversions += middle - left;
          buffer[at] = values[right++]!;
        }
      }
    }
    values.set(buffer);
  }
  return inversions;
}

/**
 * The chance that uncorrelated lists of `n` give a correlation at least this far from 0 (two-sided). Student's t with a
 * whole number of degrees of freedom has a closed form (Abramowitz and Stegun 26.7.3 and 26.7.4), in which r is the sine
 * of its angle. NaN below three rows for want of degrees of freedom.
 */
export function correlationPValue(r: number, n: number): number {
  const freedom = n - 2;
  if (freedom < 1 || Number.isNaN(r)) return Number.NaN;
  const sine = Math.min(1, Math.abs(r));
  const cosineSquared = 1 - sine * sine;
  const isOdd = freedom % 2 === 1;
  let [term, sum] = [1, 0];
  for (let k = isOdd ? 1 : 0; k < freedom; k += 2) {
    if (k > 1) term *= (cosineSquared * (k - 1)) / k;
    sum += term;
  }
  const cosine = Math.sqrt(cosineSquared);
  if (!isOdd) return 1 - sine * sum;
  return 1 - (2 / Math.PI) * (Math.asin(sine) + (freedom > 1 ? sine * cosine * sum : 0));
}
