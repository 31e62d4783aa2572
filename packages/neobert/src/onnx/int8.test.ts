import { expect, test } from "vitest";
import { toFloat32 } from "../model/float32.js";
import { toFloat16 } from "./half.js";
import { quantizeRows } from "./int8.js";

test("every float16 value survives the way to float32 and back", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const isNumber = (bits: number) => (bits & 0x7c00) !== 0x7c00 || (bits & 0x3ff) === 0;
  const back = toFloat16(toFloat32({ dtype: "F16", shape: [all.length], data: all }));
  expect(all.filter((bits) => isNumber(bits) && back[bits] !== bits)).toHaveLength(0);
  expect(all.filter((bits) => !isNumber(bits) && isNumber(back[bits]!))).toHaveLength(0);
});

test("float16 rounds to nearest, ties to even, and overflows to infinity", () => {
  const step = 2 ** -10;
  const cases = [1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, 65519.99, 65520, -1e9, 2 ** -25, 2 ** -25 * 1.01];
  expect([...toFloat16(Float32Array.from(cases))]).toEqual([0x3c00, 0x3c02, 0x3c01, 0x7bff, 0x7c00, 0xfc00, 0, 1]);
});

test.each([
  [8, 127],
  [7, 63],
] as const)("rows in %i bits reach from -%i to that, each at its own scale, within half a step", (bits, limit) => {
  const values = Float32Array.of(1, -0.5, 0.25, 0.1, 300, -400, 1, 0, 0, 0, 0, 0);
  const { quantized, scales } = quantizeRows(values, 3, 4, bits);
  expect(Math.max(...quantized.map(Math.abs))).toBe(limit);
  expect([...scales]).toEqual([Math.fround(1 / limit), Math.fround(400 / limit), 0]);
  for (const [i, value] of values.entries()) {
    const scale = scales[Math.floor(i / 4)]!;
    expect(Math.abs(quantized[i]! * scale - value)).toBeLessThanOrEqual(scale * 0.50001);
  }
});
