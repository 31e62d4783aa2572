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

/** Bytes of a binary vector: the last one is filled up with zeros. */
export const bytesOf = (d: number) => Math.ceil(d / 8);

/** Vectors [n, d] in the form asked for: [n, d], or [n, ceil(d / 8)] for the binary ones. */
export function quantize(data: Float32Array, d: number, output: Output, ranges?: Ranges): NumberArray {
  if (output === "float") return data;
  if (output === "int8") return toInt8(data, d, ranges);
  const width = bytesOf(d);
  const bits = new Uint8Array((data.length / d) * width);
  for (let i = 0; i < data.length; i++) {
    if (data[i]! > 0) bits[Math.floor(i / d) * width + ((i % d) >> 3)]! |= 0x80 >> ((i % d) & 7);
  }
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
  const steps = Float32Array.from(ranges.max, (max, c) => fround(max - ranges.min[c]!) / 255 || 1);
  return Int8Array.from(data, (value, i) => {
    const level = Math.floor(fround(fround(value - ranges.min[i % d]!) / steps[i % d]!));
    return Math.max(0, Math.min(255, level)) - 128;
  });
}
