// Reductions, softmax, sorting: forward against plain TypeScript over the rows of a [3, 4] float64 matrix, gradients against
// finite differences.

import { describe, expect } from "vitest";
import { expectClose, expectGradients, sample } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { type Tensor, tensor } from "./index.js";

expectNoLeaks();

const rowsOf = (x: Tensor) => [0, 1, 2].map((row) => x.toArray().slice(4 * row, 4 * row + 4));
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: number[]) => sum(values) / values.length;
const variance = (values: number[], correction: number) =>
  sum(values.map((value) => (value - mean(values)) ** 2)) / (values.length - correction);
const norm = (values: number[], p: number) => sum(values.map((value) => Math.abs(value) ** p)) ** (1 / p);
const logsumexp = (values: number[]) => Math.log(sum(values.map(Math.exp)));

type Dim = number | undefined;
const reductions: [string, (x: Tensor, dim: Dim, keepdim: boolean) => Tensor, (values: number[]) => number][] = [
  ["sum", (x, dim, keepdim) => x.sum(dim, keepdim), sum],
  ["mean", (x, dim, keepdim) => x.mean(dim, keepdim), mean],
  ["var", (x, dim, keepdim) => x.var(dim, { keepdim }), (values) => variance(values, 1)],
  ["var, correction 0", (x, dim, keepdim) => x.var(dim, { correction: 0, keepdim }), (values) => variance(values, 0)],
  ["var, correction 2", (x, dim, keepdim) => x.var(dim, { correction: 2, keepdim }), (values) => variance(values, 2)],
  ["norm", (x, dim, keepdim) => x.norm(2, dim, keepdim), (values) => norm(values, 2)],
  ["norm, p = 1", (x, dim, keepdim) => x.norm(1, dim, keepdim), (values) => norm(values, 1)],
  ["norm, p = 3", (x, dim, keepdim) => x.norm(3, dim, keepdim), (values) => norm(values, 3)],
  ["amax", (x, dim, keepdim) => x.amax(dim, keepdim), (values) => Math.max(...values)],
  ["amin", (x, dim, keepdim) => x.amin(dim, keepdim), (values) => Math.min(...values)],
  ["logsumexp", (x, dim, keepdim) => x.logsumexp(dim ?? [0, 1], keepdim), logsumexp],
];

describe("a reduction agrees with its formula, by row and over everything, and its gradient with finite differences:", () => {
  for (const [name, op, formula] of reductions)
    tidyTest(name, () => {
      const x = sample([3, 4]);
      expectClose(op(x, 1, false), rowsOf(x).map(formula));
      expectClose(op(x, undefined, false), [formula(x.toArray())]);
      expect(op(x, -1, true).shape).toEqual([3, 1]);
      expect(op(x, undefined, true).shape).toEqual([1, 1]);
      expectGradients((y) => op(y, 1, false), x);
      expectGradients((y) => op(y, undefined, true), x);
    });
});

tidyTest("sums over several dimensions leave the others", () => {
  const x = sample([2, 3, 4]);
  const expected = [0, 1, 2].map((j) => sum(x.toArray().filter((_, i) => Math.floor(i / 4) % 3 === j)));
  expectClose(x.sum([0, 2]), expected);
  expectClose(
    x.mean([0, -1], true),
    expected.map((value) => value / 8),
  );
});

tidyTest("softmax and logSoftmax of a row are its exponentials over their sum, and its logarithm", () => {
  const x = sample([3, 4]);
  const expected = rowsOf(x).flatMap((row) => row.map((value) => value - logsumexp(row)));
  expectClose(x.logSoftmax(1), expected);
  expectClose(x.softmax(-1), expected.map(Math.exp));
  expectGradients((y) => y.softmax(1), x);
  expectGradients((y) => y.logSoftmax(0), x);
});

tidyTest("cumsum adds up along its dimension", () => {
  const x = sample([3, 4]);
  expectClose(
    x.cumsum(1),
    rowsOf(x).flatMap((row) => row.map((_, i) => sum(row.slice(0, i + 1)))),
  );
  expectGradients((y) => y.cumsum(0), x);
});

tidyTest("argmax names the place of the largest, in a dimension or in the flattened tensor", () => {
  const x = tensor([
    [1, 5, 2],
    [9, 0, 3],
  ]);
  expect(x.argmax().item()).toBe(3);
  expect(x.argmax(1).toArray()).toEqual([1, 0]);
  expect(x.argmax(0, true).shape).toEqual([1, 3]);
  expect(x.argmax(0).dtype).toBe("int64");
});

tidyTest("topk and sort give values in order with their places, and gradients go to those places", () => {
  const x = tensor([3, 1, 2, 5], { dtype: "float64" });
  const largest = x.topk(2);
  expect([largest.values.toArray(), largest.indices.toArray()]).toEqual([
    [5, 3],
    [3, 0],
  ]);
  expect(x.topk(2, 0, { largest: false }).values.toArray()).toEqual([1, 2]);
  expect(x.sort().indices.toArray()).toEqual([1, 2, 0, 3]);
  expect(x.sort(0, { descending: true }).values.toArray()).toEqual([5, 3, 2, 1]);
  expectGradients((y) => y.topk(2).values, x);
  expectGradients((y) => y.sort(0, { descending: true }).values, x);
});

tidyTest("sort keeps equal values in their order, ascending and descending", () => {
  const x = tensor(Array.from({ length: 100 }, (_, i) => i % 2));
  const evens = Array.from({ length: 50 }, (_, i) => 2 * i);
  const odds = evens.map((i) => i + 1);
  expect(x.sort().indices.toArray()).toEqual([...evens, ...odds]);
  expect(x.sort(0, { descending: true }).indices.toArray()).toEqual([...odds, ...evens]);
});
