// The first two principal components by power iteration: two of a thousand are wanted, which a whole decomposition of the covariance
// would take a hundred times as long for.

const MOST_ROUNDS = 500;
const CLOSE_ENOUGH = 1e-10;

/** Places of vectors [N, D] on their two axes of most variance, and each axis's share of all variance. */
export function principalComponents(data: Float32Array, dimension: number): { points: Float32Array; shares: number[] } {
  const count = data.length / dimension;
  const means = new Float64Array(dimension);
  for (let i = 0; i < data.length; i++) means[i % dimension]! += data[i]! / count;
  const centred = Float64Array.from(data, (value, i) => value - means[i % dimension]!);
  const total = centred.reduce((sum, value) => sum + value * value, 0);
  const points = new Float32Array(2 * count);
  const shares = [0, 1].map((axis) => {
    const { places, variance } = strongestAxis(centred, dimension);
    for (let i = 0; i < count; i++) points[2 * i + axis] = places[i]!;
    return total > 0 ? variance / total : 0;
  });
  return { points, shares };
}

/** The places on the axis of most variance, which is taken out of `rows`. */
function strongestAxis(rows: Float64Array, dimension: number): { places: Float64Array; variance: number } {
  const places = new Float64Array(rows.length / dimension);
  let axis = unit(Float64Array.from({ length: dimension }, (_, k) => Math.sin(k + 1)));
  let variance = 0;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const next = new Float64Array(dimension);
    const before = variance;
    variance = 0;
    for (let at = 0; at < rows.length; at += dimension) {
      let place = 0;
      for (let k = 0; k < dimension; k++) place += rows[at + k]! * axis[k]!;
      for (let k = 0; k < dimension; k++) next[k]! += rows[at + k]! * place;
      variance += place * place;
    }
    axis = unit(next);
    if (variance - before <= CLOSE_ENOUGH * variance) break;
  }
  for (let i = 0; i < places.length; i++) {
    let place = 0;
    for (let k = 0; k < dimension; k++) place += rows[i * dimension + k]! * axis[k]!;
    for (let k = 0; k < dimension; k++) rows[i * dimension + k]! -= place * axis[k]!;
    places[i] = place;
  }
  return { places, variance };
}

function unit(vector: Float64Array): Float64Array<ArrayBuffer> {
  const norm = Math.hypot(...vector) || 1;
  return Float64Array.from(vector, (value) => value / norm);
}
