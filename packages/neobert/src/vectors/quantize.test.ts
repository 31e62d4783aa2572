// Oracles: golden/quantization, made by sentence-transformers' `quantize_embeddings`; and bits set by hand.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openSafetensors } from "../files/safetensors.js";
import { type Output, quantize, rangesOf } from "./quantize.js";

const file = openSafetensors(
  fileURLToPath(new URL("../../../../test/golden/quantization.safetensors", import.meta.url)),
);
const golden = (name: string) => file.read(name);
const d = golden("vectors").shape[1]!;
const vectors = golden("vectors").data as Float32Array;
const ranges = rangesOf(golden("calibration").data as Float32Array, d);

test.each<Output>(["int8", "binary", "ubinary"])(
  "%s equals sentence-transformers, beyond the range, in a constant dimension and with a byte not full",
  (output) => {
    const got = quantize(vectors, d, output, ranges);
    expect([...got]).toEqual([...(golden(output).data as Int8Array)]);
    expect(got[Symbol.toStringTag]).toBe(golden(output).data[Symbol.toStringTag]);
  },
);

test("bits stand in the order of the dimensions, the first in the highest; 0 is no bit", () => {
  const values = Float32Array.of(1, -1, 0.5, 0, -0.1, 2, 3, -4, -1, 1e-9);
  expect([...quantize(values, 10, "ubinary")]).toEqual([0b10100110, 0b01000000]);
  expect([...quantize(values, 10, "binary")]).toEqual([0b10100110 - 128, 0b01000000 - 128]);
});

test("int8 without ranges, or with those of other vectors, is refused", () => {
  const four = Float32Array.of(1, 2, 1, 5);
  expect(() => quantize(four, 4, "int8", rangesOf(four, 2))).toThrow("ranges of 4 dimensions, got 2");
  expect(() => quantize(four, 4, "int8")).toThrow("ranges or calibration texts");
  expect(() => rangesOf(new Float32Array(0), 2)).toThrow("at least one vector");
});
