// Oracle: golden/metrics/correlation.json, made by scipy; the p-value against an integral of Student's density.

import { expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { correlationPValue, kendallTau, pearson, spearman } from "./correlation.js";
import { midRanks } from "./ranks.js";

interface Case {
  x: number[];
  y: number[];
  expected: { pearson: number; spearman: number; kendall_tau_b: number };
}
const cases: Case[] = golden("correlation.json").cases;

test("Pearson, Spearman and Kendall's tau-b equal scipy's, with and without ties", () => {
  for (const { x, y, expected } of cases) {
    expect(Math.abs(pearson(x, y) - expected.pearson)).toBeLessThan(1e-9);
    expect(Math.abs(spearman(x, y) - expected.spearman)).toBeLessThan(1e-9);
    expect(Math.abs(kendallTau(x, y) - expected.kendall_tau_b)).toBeLessThan(1e-9);
  }
  expect(cases.some(({ x }) => new Set(x).size < x.length)).toBe(true);
});

test("equal values share the mean of their ranks", () => {
  expect([...midRanks([3, 1, 3, 3, 2])]).toEqual([4, 1, 4, 4, 2]);
});

test("a constant list has no correlation: NaN", () => {
  expect(pearson([1, 1, 1], [1, 2, 3])).toBeNaN();
  expect(spearman([1, 2, 3], [5, 5, 5])).toBeNaN();
  expect(kendallTau([1, 1, 1], [1, 2, 3])).toBeNaN();
});

test("the p-value is the area of both tails of Student's t, for odd and even degrees of freedom", () => {
  // The density of r among uncorrelated lists of n rows is (1 - r^2)^(n/2 - 2), by Simpson's rule over r = sin(u).
  const area = (n: number, from: number) => {
    const [a, steps] = [Math.asin(from), 20000];
    const h = (Math.PI / 2 - a) / steps;
    let sum = 0;
    for (let i = 0; i <= steps; i++) {
      const weight = i === 0 || i === steps ? 1 : i % 2 ? 4 : 2;
      sum += weight * Math.cos(a + i * h) ** (n - 3);
    }
    return (sum * h) / 3;
  };
  for (const n of [3, 4, 5, 8, 16, 17, 60]) {
    for (const r of [0, 0.1, -0.45, 0.9]) {
      expect(correlationPValue(r, n)).toBeCloseTo(area(n, Math.abs(r)) / area(n, 0), 9);
    }
  }
  expect(correlationPValue(1, 9)).toBeCloseTo(0, 12);
  expect(correlationPValue(0.5, 2)).toBeNaN();
});
