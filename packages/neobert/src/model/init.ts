// Fresh parameters as the reference draws them, with its defects mended: padding rows are zero, and the embedding is
// initialised in every kind of model. Each parameter has a random stream of its own, seeded by the run's seed and its
// name, so its values depend neither on the other parameters nor on their order, nor on any library's generator.

import { createHash } from "node:crypto";
import type { ParameterSpec } from "./architecture.js";

/** The values of a fresh parameter, row-major float32, as its `init` says. The same for the same seed and name. */
export function initialValues({ name, shape, init }: ParameterSpec, seed: number): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  if (init.kind === "constant") return values.fill(init.value);
  const random = xoshiro128(createHash("sha256").update(`${seed}:${name}`).digest());
  if (init.kind === "uniform") {
    for (let i = 0; i < values.length; i++) values[i] = (random() * 2 ** -31 - 1) * init.range;
  } else fillNormal(values, random, init.std, init.cutoff);
  const columns = shape.at(-1)!;
  if (init.zeroRow !== undefined) values.fill(0, init.zeroRow * columns, (init.zeroRow + 1) * columns);
  return values;
}

/** Normal values; those beyond `cutoff` deviations are drawn again (a truncated normal distribution). */
function fillNormal(values: Float32Array, random: () => number, std: number, cutoff = Number.POSITIVE_INFINITY): void {
  for (let i = 0; i < values.length; ) {
    // Box-Muller: two normal values from a radius and an angle; 1 - u keeps the logarithm's argument above 0.
    const radius = Math.sqrt(-2 * Math.log(1 - random() * 2 ** -32));
    const angle = 2 * Math.PI * random() * 2 ** -32;
    for (const value of [radius * Math.cos(angle), radius * Math.sin(angle)]) {
      if (Math.abs(value) <= cutoff) values[i++] = std * value; // beyond the end of an odd length this is dropped
    }
  }
}

/** xoshiro128** (Blackman and Vigna 2018): whole numbers in [0, 2^32), from 16 bytes of seed that are not all zero. */
function xoshiro128(seed: Buffer): () => number {
  let [a, b, c, d] = [seed.readInt32LE(0), seed.readInt32LE(4), seed.readInt32LE(8), seed.readInt32LE(12)];
  const rotate = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
}
