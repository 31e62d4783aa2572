import { expect, test } from "vitest";
import { toFloat32 } from "./float32.js";

const stored = (dtype: "F16" | "BF16", bits: number[]) => ({
  dtype,
  shape: [bits.length],
  data: Uint16Array.from(bits),
});

test("half-precision bits become the numbers that IEEE 754 binary16 gives them", () => {
  const bits = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x3555, 0x8000, 0x7c00, 0xfc00];
  const numbers = [
    1,
    -2,
    65504,
    2 ** -14,
    2 ** -24,
    1365 / 4096,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ];
  expect([...toFloat32(stored("F16", bits))]).toEqual(numbers);
  expect(toFloat32(stored("F16", [0x7e00]))[0]).toBeNaN();
});

test("bfloat16 bits are the upper half of float32's", () => {
  expect([...toFloat32(stored("BF16", [0x3f80, 0xc000, 0x7f7f, 0x0080]))]).toEqual([
    1,
    -2,
    3.3895313892515355e38,
    2 ** -126,
  ]);
});

test("whole numbers are refused as weights", () => {
  expect(() => toFloat32({ dtype: "I64", shape: [1], data: new BigInt64Array(1) })).toThrow(/expected .* got I64/);
});
