// Oracle: each mode written as its formula over plain lists.

import { expect, test } from "vitest";
import { checkPooling, type PoolingMode, pool, poolingModes } from "./pooling.js";

const C = 3;
const lengths = [4, 1, 7];
const cuSeqlens = Int32Array.of(0, 4, 5, 12);
const hidden = Float32Array.from({ length: 12 * C }, (_, i) => Math.sin(i * i) * 3);

function expected(text: number, mode: PoolingMode, skip: number): number[] {
  const rows = Array.from({ length: lengths[text]! }, (_, t) =>
    Array.from({ length: C }, (_, c) => hidden[(cuSeqlens[text]! + t) * C + c]!),
  );
  const kept = rows.map((row, t) => ({ row, weight: mode === "weightedmean" ? t + 1 : 1 })).slice(skip);
  const column = (c: number) => kept.map(({ row }) => row[c]!);
  const weights = kept.reduce((sum, { weight }) => sum + weight, 0);
  const mean = (c: number) => kept.reduce((sum, { row, weight }) => sum + row[c]! * weight, 0) / weights;
  if (mode === "cls") return rows[0]!;
  if (mode === "lasttoken") return rows.at(-1)!;
  if (kept.length === 0) return [0, 0, 0];
  if (mode === "max") return [0, 1, 2].map((c) => Math.max(...column(c)));
  if (mode === "mean_sqrt_len_tokens") return [0, 1, 2].map((c) => mean(c) * Math.sqrt(kept.length));
  return [0, 1, 2].map(mean);
}

test.each(poolingModes)("%s equals its formula, with and without tokens left out", (mode) => {
  for (const skip of [0, 1, 3]) {
    const pooled = pool(hidden, cuSeqlens, [mode], skip);
    for (let text = 0; text < 3; text++) {
      const row = [...pooled.subarray(text * C, (text + 1) * C)];
      for (const [c, value] of expected(text, mode, skip).entries()) expect(row[c]).toBeCloseTo(value, 5);
    }
  }
});

test("several modes stand side by side in sentence-transformers' order, whatever the order asked for", () => {
  const modes = checkPooling("test", ["lasttoken", "mean", "cls"]);
  expect(modes).toEqual(["cls", "mean", "lasttoken"]);
  const pooled = pool(hidden, cuSeqlens, modes);
  expect(pooled.length).toBe(3 * 3 * C);
  const second = [...pooled.subarray(9, 18)];
  // A text of one token is that token in all three.
  expect(second).toEqual([...hidden.subarray(12, 15), ...hidden.subarray(12, 15), ...hidden.subarray(12, 15)]);
});

test("a mode that does not exist is refused, naming those that do", () => {
  expect(() => checkPooling("encode", "average" as "mean")).toThrow(
    /encode: expected pooling modes among cls, max, mean, .*, got "average"/,
  );
  expect(() => checkPooling("encode", [])).toThrow("got []");
});
