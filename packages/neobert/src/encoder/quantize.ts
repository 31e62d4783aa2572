// Smaller vectors, value for value as sentence-transformers' `quantize_embeddings`: int8 by each dimension's range, or one
// bit a dimension (1 for values above 0), the first in a byte's highest bit. The ranges come from texts chosen for it,
// never from the vectors at hand, so that a vector does not depend on what is encoded with it.

import type { NumberArray } from "./rows.js";

export const outputs = ["float", "int8", "binary", "ubinary"] as const;
export type Output = (typeof outputs)[number];

/** The array that each output is given in. `binary` is `ubinary` less 128. */
export interface OutputArrays {
  float: Float32Array;
  int8: Int8Array;
  binary: Int8Array;
  ubinary: Uint8Array;
}

/** Smallest and greatest value of each dimension among calibration vectors. */
export interface Ranges {
  min: Float32Array;
  max: Float32Array;
}

/** The ranges of vectors [n, d], given row after row. Throws where there is none. */
export function rangesOf(data: Float32Array, d: number): Ranges {
  if (data.length === 0) throw new Error("calibrate: expected at least one vector, got none");
  const min = data.slice(0, d);
  const max = data.slice(0, d);
  for (let i = d; i < data.length; i++) {
    const c = i % d;
    if (data[i]! < min[c]!) min[c] = data[i]!;
    if (data[i]! > max[c]!) max[c] = data[i]!;
  }
  return { min, max };
}

/** Vectors [n, d] in the form asked for: [n, d], or [n, d / 8] for the binary ones. */
export function quantize(data: Float32Array, d: number, output: Output, ranges?: Ranges): NumberArray {
  if (output === "float") return data;
  if (output === "int8") return toInt8(data, d, ranges);
  if (d % 8 !== 0) {
    throw new Error(`output "${output}": expected vectors of a multiple of 8 dimensions, got ${d}`);
  }
  const bits = new Uint8Array(data.length / 8);
  for (let i = 0; i < data.length; i++) if (data[i]! > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  return output === "ubinary" ? bits : Int8Array.from(bits, (byte) => byte - 128);
}

function toInt8(data: Float32Array, d: number, ranges: Ranges | undefined): Int8Array {
  if (!ranges) {
    throw new Error('output "int8": expected ranges or calibration texts, got neither\nMake ranges with `calibrate`.');
  }
  if (ranges.min.length !== d || ranges.max.length !== d) {
    throw new Error(`output "int8": expected ranges of ${d} dimensions, got ${ranges.min.length}`);
  }
  // Rounded to float32 after every operation, as numpy does: a level may hang on it.
  const { fround } = Math;
  const steps = Float32Array.from(ranges.max, (max, c) => fround(max - ranges.min[c]!) / 255);
  return Int8Array.from(data, (value, i) => {
    const step = steps[i % d]!;
    if (step === 0) return 0;
    const level = Math.trunc(fround(fround(fround(value - ranges.min[i % d]!) / step) - 128));
    return Math.max(-128, Math.min(127, level));
  });
}
