// k-means: the exact iteration from given centres (Lloyd), and the nearest centre of every row, which the mini-batch form
// needs too. Distances come from one matrix product a batch, as ||c||^2 - 2 x c; sums of squares are taken from the rows
// themselves. Clusters that run empty take the rows furthest from their centres, as scikit-learn's KMeans does.

import { dot, type Products, rowsOf } from "./products.js";
import { finish, type Sliced } from "./slices.js";

export interface Clustering {
  /** The cluster of each row. */
  labels: Int32Array;
  /** [k, d]. */
  centers: Float32Array;
  /** The sum of squared distances of the rows to their centres. */
  inertia: number;
}

/** At most this many products at once: 16 MB; of plain loops so many take as long as libtorch's. */
const MAX_PRODUCTS = 4 << 20;
const MAX_PLAIN_PRODUCTS = 1 << 16;

/**
 * Which of the centres [k, d] is nearest to each row of x [n, d], among equals the first; and the sum over the rows of
 * ||x - c||^2 - ||x||^2, which the products give for nothing.
 */
export function* nearestCenters(
  x: Float32Array,
  d: number,
  centers: Float32Array,
  products: Products,
): Sliced<{ labels: Int32Array; relativeInertia: number }> {
  const [n, k] = [rowsOf(x, d), rowsOf(centers, d)];
  const halfNorms = Float64Array.from({ length: k }, (_, j) => dot(centers, j * d, centers, j * d, d) / 2);
  const labels = new Int32Array(n);
  let relativeInertia = 0;
  const rows = Math.max(1, Math.floor((products.name === "plain" ? MAX_PLAIN_PRODUCTS : MAX_PRODUCTS) / k));
  for (let start = 0; start < n; start += rows) {
    const end = Math.min(n, start + rows);
    const matrix = products.matrix(x.subarray(start * d, end * d), d);
    const scores = matrix.timesTransposed(centers); // [rows, k]
    matrix.dispose();
    for (let i = 0; i < end - start; i++) {
      const row = i * k;
      let best = 0;
      let least = halfNorms[0]! - scores[row]!;
      for (let j = 1; j < k; j++) {
        const distance = halfNorms[j]! - scores[row + j]!;
        if (distance < least) {
          best = j;
          least = distance;
        }
      }
      labels[start + i] = best;
      relativeInertia += 2 * least;
    }
    yield;
  }
  return { labels, relativeInertia };
}

/** The squared distance of row i of x to row j of y. */
function squaredDistance(x: Float32Array, i: number, y: Float32Array, j: number, d: number): number {
  const [atX, atY] = [i * d, j * d];
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let c = 0;
  for (; c + 3 < d; c += 4) {
    const d0 = x[atX + c]! - y[atY + c]!;
    const d1 = x[atX + c + 1]! - y[atY + c + 1]!;
    const d2 = x[atX + c + 2]! - y[atY + c + 2]!;
    const d3 = x[atX + c + 3]! - y[atY + c + 3]!;
    s0 += d0 * d0;
    s1 += d1 * d1;
    s2 += d2 * d2;
    s3 += d3 * d3;
  }
  for (; c < d; c++) s0 += (x[atX + c]! - y[atY + c]!) ** 2;
  return s0 + s1 + (s2 + s3);
}

/** The sum of squared distances of the rows to the centres that `labels` names. */
function inertiaOf(x: Float32Array, d: number, centers: Float32Array, labels: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < labels.length; i++) sum += squaredDistance(x, i, centers, labels[i]!, d);
  return sum;
}

/**
 * Lloyd's iteration on rows x [n, d] from the given centres [k, d], until no label changes or the centres move by no more
 * than `tol` of the mean variance of the columns.
 */
export function lloyd(
  x: Float32Array,
  d: number,
  start: Float32Array,
  options: { products: Products; maxIter?: number; tol?: number },
): Clustering & { iterations: number } {
  const { products, maxIter = 300, tol = 1e-4 } = options;
  const limit = tol * meanVariance(x, d);
  let centers = start;
  let before: Int32Array | undefined;
  for (let iterations = 1; ; iterations++) {
    const { labels } = finish(nearestCenters(x, d, centers, products));
    const next = meansOf(x, d, centers, labels);
    let shift = 0;
    for (let j = 0; j < next.length / d; j++) shift += squaredDistance(next, j, centers, j, d);
    centers = next;
    if (before && labels.every((label, i) => label === before![i])) {
      return { labels, centers, inertia: inertiaOf(x, d, centers, labels), iterations };
    }
    if (shift <= limit || iterations === maxIter) {
      const { labels: final } = finish(nearestCenters(x, d, centers, products));
      return { labels: final, centers, inertia: inertiaOf(x, d, centers, final), iterations };
    }
    before = labels;
  }
}

/** The mean of the rows of each cluster [k, d]. */
function meansOf(x: Float32Array, d: number, centers: Float32Array, labels: Int32Array): Float32Array {
  const k = rowsOf(centers, d);
  const sums = new Float64Array(k * d);
  const counts = new Float64Array(k);
  const add = (cluster: number, row: number, sign: 1 | -1) => {
    counts[cluster]! += sign;
    for (let c = 0; c < d; c++) sums[cluster * d + c]! += sign * x[row * d + c]!;
  };
  for (const [i, label] of labels.entries()) add(label, i, 1);
  const empty = [...counts.keys()].filter((cluster) => counts[cluster] === 0);
  if (empty.length > 0) {
    const distances = Float64Array.from(labels, (label, i) => squaredDistance(x, i, centers, label, d));
    const furthest = [...distances.keys()].sort((a, b) => distances[b]! - distances[a]!);
    for (const [place, cluster] of empty.entries()) {
      const row = furthest[place]!;
      add(labels[row]!, row, -1);
      add(cluster, row, 1);
    }
  }
  return Float32Array.from(sums, (sum, at) => sum / Math.max(1, counts[Math.floor(at / d)]!));
}

function meanVariance(x: Float32Array, d: number): number {
  const n = rowsOf(x, d);
  let sum = 0;
  for (let c = 0; c < d; c++) {
    let [mean, square] = [0, 0];
    for (let i = 0; i < n; i++) mean += x[i * d + c]! / n;
    for (let i = 0; i < n; i++) square += (x[i * d + c]! - mean) ** 2 / n;
    sum += square / d;
  }
  return sum;
}
