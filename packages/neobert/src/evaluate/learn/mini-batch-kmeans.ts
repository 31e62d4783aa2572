// Mini-batch k-means (Sculley 2010) as scikit-learn's MiniBatchKMeans does it, draw for draw from NumPy's generator: greedy
// k-means++ (Arthur and Vassilvitskii 2007) on a sample of three batches, batches drawn with replacement, centres as running
// means, seldom hit centres put on random rows of the batch, an end where the smoothed inertia no longer improves, and at
// last every row to its nearest centre.

import { argsort } from "../metrics/ranks.js";
import { type Clustering, nearestCenters } from "./kmeans.js";
import { dot, type Matrix, type Products, rowsOf } from "./products.js";
import type { RandomState } from "./random-state.js";
import { finish, type Sliced } from "./slices.js";

export interface MiniBatchKMeansOptions {
  products: Products;
  random: RandomState;
  /** Rows of a batch, at most all: 1024 unless said (mteb: 500). */
  batchSize?: number;
  /** Passes over the data at most. */
  maxIter?: number;
  /** Batches without a better smoothed inertia before the end. */
  maxNoImprovement?: number;
  /** Centres with less than this part of the largest one's rows are put elsewhere. */
  reassignmentRatio?: number;
}

/** Clusters the rows x [n, d] into `k`. */
export function miniBatchKMeans(
  x: Float32Array,
  d: number,
  k: number,
  options: MiniBatchKMeansOptions,
): Clustering & { steps: number } {
  return finish(miniBatchKMeansSteps(x, d, k, options));
}

/** The same, a batch at a time. */
export function* miniBatchKMeansSteps(
  x: Float32Array,
  d: number,
  k: number,
  options: MiniBatchKMeansOptions,
): Sliced<Clustering & { steps: number }> {
  const { products, random, maxIter = 100, maxNoImprovement = 10, reassignmentRatio = 0.01 } = options;
  const n = rowsOf(x, d);
  if (!(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new RangeError(`miniBatchKMeans: expected 1 to ${n} clusters for ${n} rows, got ${k}`);
  }
  const batchSize = Math.min(options.batchSize ?? 1024, n);
  const initSize = Math.min(3 * (3 * batchSize < k ? k : batchSize), n);
  // scikit-learn draws a validation sample first, to choose among several starts; here is one start, and only the draws count.
  random.choice(n, initSize);
  const sample = initSize < n ? gather(x, d, random.choice(n, initSize)) : x;
  const centers = gather(sample, d, yield* farRows(sample, d, k, random, products));

  const counts = new Float32Array(k);
  const steps = Math.floor((maxIter * n) / batchSize);
  const alpha = Math.min(1, (2 * batchSize) / (n + 1));
  let [smoothed, least, noImprovement, sinceReassignment] = [Number.NaN, Number.POSITIVE_INFINITY, 0, 0];
  const squares = squaredLengths(x, d);
  const batch = new Float32Array(batchSize * d);
  const copyRow = rowCopier(x, batch, d);
  let step = 0;
  while (step < steps) {
    step++;
    yield;
    let square = 0;
    for (let i = 0; i < batchSize; i++) {
      const row = evenChoice(random, n);
      copyRow(row, i);
      square += squares[row]!;
    }
    sinceReassignment += batchSize;
    const reassigns = sinceReassignment >= 10 * k || counts.includes(0);
    if (reassigns) sinceReassignment = 0;

    const { labels, relativeInertia } = yield* nearestCenters(batch, d, centers, products);
    const inertia = (square + relativeInertia) / batchSize;
    moveCenters(batch, d, centers, counts, labels);
    if (reassigns) reassign(batch, d, centers, counts, random, reassignmentRatio);

    // The first batch is judged by the centres of the start, so its inertia says nothing.
    if (step === 1) continue;
    smoothed = Number.isNaN(smoothed) ? inertia : smoothed * (1 - alpha) + inertia * alpha;
    if (smoothed < least) [least, noImprovement] = [smoothed, 0];
    else if (++noImprovement >= maxNoImprovement) break;
  }
  const { labels, relativeInertia } = yield* nearestCenters(x, d, centers, products);
  const inertia = squares.reduce((a, b) => a + b, 0) + relativeInertia;
  return { labels, centers, inertia, steps: step };
}

/** What NumPy's `choice` with equal probabilities draws. */
const evenChoice = (random: RandomState, n: number) => Math.min(n - 1, Math.floor(random.randomSample() * n));

function gather(x: Float32Array, d: number, rows: ArrayLike<number>): Float32Array {
  const result = new Float32Array(rows.length * d);
  const copyRow = rowCopier(x, result, d);
  for (let i = 0; i < rows.length; i++) copyRow(rows[i]!, i);
  return result;
}

/** Copies rows of `d` values; by Buffer.copy: `set` would need a view for each, and a loop is slower. */
function rowCopier(from: Float32Array, to: Float32Array, d: number): (row: number, place: number) => void {
  const [source, target] = [from, to].map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength),
  ) as [Buffer, Buffer];
  const bytes = d * from.BYTES_PER_ELEMENT;
  return (row, place) => source.copy(target, place * bytes, row * bytes, (row + 1) * bytes);
}

function squaredLengths(x: Float32Array, d: number): Float64Array {
  return Float64Array.from({ length: rowsOf(x, d) }, (_, i) => dot(x, i * d, x, i * d, d));
}

/**
 * `k` rows of x far apart: each the best of 2 + ln k rows drawn with probability proportional to the squared distance to
 * the nearest row chosen so far. Running sums are float32, as there.
 */
export function* farRows(
  x: Float32Array,
  d: number,
  k: number,
  random: RandomState,
  products: Products,
): Sliced<Int32Array> {
  const matrix = products.matrix(x, d);
  try {
    return yield* chooseFar(x, d, k, random, matrix);
  } finally {
    matrix.dispose();
  }
}

function* chooseFar(
  x: Float32Array,
  d: number,
  k: number,
  random: RandomState,
  matrix: Matrix<Float32Array>,
): Sliced<Int32Array> {
  const n = rowsOf(x, d);
  const trials = 2 + Math.floor(Math.log(k));
  const norms = squaredLengths(x, d);
  const chosen = new Int32Array(k);
  chosen[0] = evenChoice(random, n);
  const distancesTo = (rows: ArrayLike<number>): Float32Array[] => {
    const m = rows.length;
    const scores = matrix.timesTransposed(gather(x, d, rows)); // [n, m]
    return Array.from({ length: m }, (_, j) => {
      const distances = new Float32Array(n);
      for (let i = 0; i < n; i++) distances[i] = Math.max(0, norms[i]! - 2 * scores[i * m + j]! + norms[rows[j]!]!);
      distances[rows[j]!] = 0;
      return distances;
    });
  };
  let [nearest] = distancesTo([chosen[0]!]) as [Float32Array];
  let total = sumOf(nearest);
  const sums = new Float32Array(n);
  for (let c = 1; c < k; c++) {
    yield;
    for (let i = 0, sum = 0; i < n; i++) sums[i] = sum = Math.fround(sum + nearest[i]!);
    const candidates = Array.from({ length: trials }, () => firstNotBelow(sums, random.randomSample() * total));
    let best: { total: number; distances: Float32Array; row: number } | undefined;
    for (const [j, distances] of distancesTo(candidates).entries()) {
      for (let i = 0; i < n; i++) if (nearest[i]! < distances[i]!) distances[i] = nearest[i]!;
      const candidateTotal = sumOf(distances);
      if (!best || candidateTotal < best.total) best = { total: candidateTotal, distances, row: candidates[j]! };
    }
    ({ total, distances: nearest, row: chosen[c] } = best!);
  }
  return chosen;
}

function sumOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return Math.fround(sum);
}

/** The first index whose value is not below `value`, the last where there is none. */
function firstNotBelow(sorted: Float32Array, value: number): number {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Each centre becomes the mean of all rows it has had so far; `counts` holds how many. */
function moveCenters(batch: Float32Array, d: number, centers: Float32Array, counts: Float32Array, labels: Int32Array) {
  const rowsOfCluster: number[][] = Array.from(counts, () => []);
  for (let i = 0; i < labels.length; i++) rowsOfCluster[labels[i]!]!.push(i * d);
  const sums = new Float64Array(d);
  for (const [j, rows] of rowsOfCluster.entries()) {
    if (rows.length === 0) continue;
    const [at, count] = [j * d, counts[j]!];
    for (let c = 0; c < d; c++) sums[c] = centers[at + c]! * count;
    let i = 0;
    for (; i + 3 < rows.length; i += 4) {
      const [r0, r1, r2, r3] = [rows[i]!, rows[i + 1]!, rows[i + 2]!, rows[i + 3]!];
      for (let c = 0; c < d; c++) sums[c]! += batch[r0 + c]! + batch[r1 + c]! + (batch[r2 + c]! + batch[r3 + c]!);
    }
    for (; i < rows.length; i++) {
      const row = rows[i]!;
      for (let c = 0; c < d; c++) sums[c]! += batch[row + c]!;
    }
    counts[j] = count + rows.length;
    for (let c = 0; c < d; c++) centers[at + c] = sums[c]! / counts[j]!;
  }
}

/** Puts the centres with few rows on random rows of the batch, half of the batch at most. */
function reassign(
  batch: Float32Array,
  d: number,
  centers: Float32Array,
  counts: Float32Array,
  random: RandomState,
  ratio: number,
): void {
  const B = rowsOf(batch, d);
  const least = ratio * counts.reduce((a, b) => Math.max(a, b), 0);
  const moves = new Set([...counts.keys()].filter((j) => counts[j]! < least));
  if (moves.size > 0.5 * B) for (const j of argsort(counts).subarray(Math.floor(0.5 * B))) moves.delete(j);
  if (moves.size === 0) return;
  const rows = random.choice(B, moves.size, { replace: false });
  const copyRow = rowCopier(batch, centers, d);
  for (const [place, j] of [...moves].entries()) copyRow(rows[place]!, j);
  // As if they had the rows of the least kept centre, so that they are not moved again at once.
  const kept = [...counts].filter((_, j) => !moves.has(j));
  const count = kept.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  for (const j of moves) counts[j] = count;
}
