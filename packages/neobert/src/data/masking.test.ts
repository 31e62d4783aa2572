import { expect, test } from "vitest";
import { fixtureSpecialIds } from "./fixture-data.js";
import { Masker, type MaskingOptions } from "./masking.js";

const vocabSize = 1000;
const tokens = 100_000;

function maskRun(options: Partial<MaskingOptions>, counter = 0) {
  const original = Int32Array.from({ length: tokens }, (_, index) => 5 + (index % (vocabSize - 5)));
  const ids = original.slice();
  const rows: number[] = [];
  const labels: number[] = [];
  new Masker(options, fixtureSpecialIds, vocabSize, 42).mask(ids, 0, tokens, 3, counter, rows, labels);
  return { original, ids, rows, labels };
}

test.each([0.1, 0.15, 0.2, 0.3, 0.5])("a rate of %d masks that share of 100,000 tokens to within 1 %%", (rate) => {
  const { original, ids, rows, labels } = maskRun({ rate });
  expect(Math.abs(rows.length / tokens - rate)).toBeLessThan(0.01 * Math.max(rate, 0.3));
  expect(rows.every((row) => ids[row] === fixtureSpecialIds.mask)).toBe(true);
  expect(labels).toEqual(rows.map((row) => original[row]));
  const chosen = new Set(rows);
  expect(ids.every((id, row) => chosen.has(row) || id === original[row])).toBe(true);
});

test.each([0.15, 0.3, 0.5])("80/10/10 of rate %d gives those shares to within 1 %%", (rate) => {
  const { original, ids, rows } = maskRun({ rate, maskShare: 0.8, randomShare: 0.1, keepShare: 0.1 });
  const masked = rows.filter((row) => ids[row] === fixtureSpecialIds.mask).length / rows.length;
  const kept = rows.filter((row) => ids[row] === original[row]).length / rows.length;
  expect(Math.abs(masked - 0.8)).toBeLessThan(0.01);
  expect(Math.abs(kept - 0.1)).toBeLessThan(0.01);
  expect(Math.abs(1 - masked - kept - 0.1)).toBeLessThan(0.01);
});

test("random replacements cover the vocabulary evenly and are never special", () => {
  const { ids, rows } = maskRun({ rate: 1, maskShare: 0, randomShare: 1, keepShare: 0 });
  const counts = new Array<number>(vocabSize).fill(0);
  for (const row of rows) counts[ids[row]!]!++;
  for (const special of Object.values(fixtureSpecialIds)) expect(counts[special]).toBe(0);
  const mean = tokens / (vocabSize - 5);
  const chiSquare = counts.slice(5).reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
  expect(Math.abs(chiSquare - 994)).toBeLessThan(4.5 * Math.sqrt(2 * 994)); // 994 degrees of freedom
});

test("special tokens are never chosen, not even at rate 1", () => {
  const ids = Int32Array.from({ length: 50 }, (_, index) => index % 10);
  const rows: number[] = [];
  new Masker({ rate: 1 }, fixtureSpecialIds, vocabSize, 1).mask(ids, 0, 50, 3, 0, rows, []);
  expect(rows).toEqual(Array.from({ length: 50 }, (_, index) => index).filter((index) => index % 10 >= 5));
});

test("the same piece of the next draw has other masks, chosen independently", () => {
  const [first, second] = [maskRun({ rate: 0.2 }, 0), maskRun({ rate: 0.2 }, 1)];
  const chosen = new Set(first.rows);
  const both = second.rows.filter((row) => chosen.has(row)).length;
  expect(Math.abs(both / tokens - 0.04)).toBeLessThan(0.003);
});

test("shares that do not sum to 1 and impossible rates are refused", () => {
  const make = (options: Partial<MaskingOptions>) => () => new Masker(options, fixtureSpecialIds, vocabSize, 1);
  expect(make({ maskShare: 0.8 })).toThrow(/keepShare = 1, got 0.8/);
  expect(make({ rate: 0 })).toThrow(/rate above 0/);
  expect(make({ rate: 1.2 })).toThrow(/at most 1/);
});
