// Oracle: numpy's steps written out: `((x - min) / ((max - min) / 255) - 128).astype(int8)` in float32, and `packbits`.

import { expect, test } from "vitest";
import { quantize, rangesOf } from "./quantize.js";

const d = 16;
const vectors = Float32Array.from({ length: 40 * d }, (_, i) => Math.sin(i * 1.7) + Math.cos(i * i) / 3);

test("int8 equals numpy's float32 steps on the calibration range, and is cut off outside", () => {
  const ranges = rangesOf(vectors.subarray(0, 20 * d), d);
  const got = quantize(vectors, d, "int8", ranges);
  const f = Math.fround;
  for (let i = 0; i < vectors.length; i++) {
    const column = Array.from({ length: 20 }, (_, row) => vectors[row * d + (i % d)]!);
    const [low, high] = [Math.min(...column), Math.max(...column)];
    const level = f(f(f(vectors[i]! - low) / f(f(high - low) / 255)) - 128);
    expect(got[i]).toBe(Math.max(-128, Math.min(127, Math.trunc(level))) + 0);
  }
  expect(Math.max(...got)).toBe(127);
});

test("a dimension without spread becomes 0, and ranges of other vectors are refused", () => {
  const flat = Float32Array.of(1, 2, 1, 5);
  expect([...quantize(flat, 2, "int8", rangesOf(flat, 2))]).toEqual([0, -128, 0, 127]);
  expect(() => quantize(flat, 4, "int8", rangesOf(flat, 2))).toThrow("ranges of 4 dimensions, got 2");
  expect(() => rangesOf(new Float32Array(0), 2)).toThrow("at least one vector");
});

test("binary forms pack eight dimensions a byte, the first in the highest bit; binary is ubinary less 128", () => {
  const values = Float32Array.of(1, -1, 0.5, 0, -0.1, 2, 3, -4, -1, -1, -1, -1, -1, -1, -1, 1e-9);
  expect([...quantize(values, d, "ubinary")]).toEqual([0b10100110, 1]);
  expect([...quantize(values, d, "binary")]).toEqual([0b10100110 - 128, 1 - 128]);
  expect(quantize(values, d, "binary")).toBeInstanceOf(Int8Array);
  expect(() => quantize(values, 4, "binary")).toThrow("a multiple of 8 dimensions, got 4");
});
