import { expect, test } from "vitest";
import { Rows } from "./rows.js";
import { similarities } from "./similarity.js";

const a = new Rows(Float32Array.of(3, 4, 0, -1), [2, 2]);
const b = new Rows(Float32Array.of(4, 3, 0, 0, 1, 1), [3, 2]);

test("each function gives its formula, and distances are negative", () => {
  const by = (name: Parameters<typeof similarities>[2]) => [...similarities(a, b, name)].map((row) => [...row]);
  const close = (got: number[][], expected: number[][]) =>
    expect(got.flat().map((value, i) => Math.abs(value - expected.flat()[i]!) < 1e-6)).toEqual(Array(6).fill(true));
  close(by("dot"), [
    [24, 0, 7],
    [-3, 0, -1],
  ]);
  close(by("cosine"), [
    [0.96, 0, 7 / (5 * Math.SQRT2)],
    [-0.6, 0, -1 / Math.SQRT2],
  ]);
  close(by("euclidean"), [
    [-Math.SQRT2, -5, -Math.sqrt(13)],
    [-Math.sqrt(32), -1, -Math.sqrt(5)],
  ]);
  close(by("manhattan"), [
    [-2, -7, -5],
    [-8, -1, -3],
  ]);
});

test("vectors of different dimensions are refused, and a row that is not there too", () => {
  expect(() => similarities(a, new Rows(Float32Array.of(1, 2, 3), [1, 3]), "dot")).toThrow("got 2 and 3");
  expect(() => a.row(2)).toThrow("from 0 to 1, got 2");
  a.row(1)[0] = 9;
  expect(a.data[2]).toBe(9);
});
