// Vectors in the forms that clients ask for: numbers, base64 of little-endian float32, or a bit a dimension.

import { z } from "zod";
import { bytesOf, quantize } from "../vectors/quantize.js";
import type { Rows } from "../vectors/rows.js";

export const vectorFormats = ["float", "base64", "binary", "ubinary"] as const;
export type VectorFormat = (typeof vectorFormats)[number];

/** How vLLM's clients say what bytes they want; others than these are refused. */
export const byteFormat = {
  embed_dtype: z.literal("float32").nullish(),
  endianness: z.enum(["native", "little"]).nullish(),
};

/** Each vector; those of numbers stay float32 for json-text.ts. */
export function formatted(vectors: Rows<Float32Array>, format: VectorFormat): (Float32Array | number[] | string)[] {
  const rows = Array.from({ length: vectors.length }, (_, i) => vectors.row(i));
  if (format === "float") return rows;
  if (format === "base64") return rows.map(base64Of);
  const [, d] = vectors.shape;
  const [bits, width] = [quantize(vectors.data, d, format), bytesOf(d)];
  return rows.map((_, i) => Array.from(bits.subarray(i * width, (i + 1) * width)));
}

/** The bytes of little-endian float32, the order of every machine that Node runs on but one. */
export function base64Of({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}
