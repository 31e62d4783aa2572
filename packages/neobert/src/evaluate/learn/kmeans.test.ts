// Oracle: golden/metrics/kmeans.json.gz, made by scikit-learn.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { adjustedRand, vMeasure } from "../metrics/clustering-metrics.js";
import { lloyd } from "./kmeans.js";
import { farRows, miniBatchKMeans } from "./mini-batch-kmeans.js";
import { type Products, plainProducts } from "./products.js";
import { RandomState } from "./random-state.js";
import { finish } from "./slices.js";
import { torchProducts } from "./torch-products.js";

const { X, labels, k, seed_42, seeds, kmeans_plusplus_seed_0, lloyd: expected } = golden("kmeans.json.gz");
const d = X[0].length;
const x = Float32Array.from(X.flat());

describe.each([["plain loops", () => plainProducts] as const, ["libtorch", torchProducts] as const])(
  "with %s",
  (_, load) => {
    test("Lloyd from given centres gives scikit-learn's labels, centres and inertia", async () => {
      const result = lloyd(x, d, Float32Array.from(expected.start.flat()), { products: await load() });
      expect([...result.labels]).toEqual(expected.labels);
      expect(Math.abs(result.inertia / expected.inertia - 1)).toBeLessThan(1e-4);
      expect(result.iterations).toBe(expected.n_iter);
      for (const [i, value] of expected.centers.flat().entries()) expect(result.centers[i]).toBeCloseTo(value, 4);
    });

    test("k-means++ chooses the rows that scikit-learn chooses", async () => {
      expect([...finish(farRows(x, d, k, new RandomState(0), await load()))]).toEqual(kmeans_plusplus_seed_0.indices);
    });

    test("the mean v-measure of 20 seeds is scikit-learn's within one standard deviation", async () => {
      const got = vMeasures(await load());
      const mean = got.reduce((a, b) => a + b) / got.length;
      expect(Math.abs(mean - seeds.mean)).toBeLessThan(seeds.std);
    });
  },
);

const vMeasures = (products: Products): number[] =>
  seeds.v_measures.map((_: number, seed: number) => {
    const options = { products, batchSize: 500, random: new RandomState(seed) };
    return vMeasure(labels, miniBatchKMeans(x, d, k, options).labels);
  });

// Plain loops round alike on every processor, so single runs can be compared.
test("a mini-batch run from a seed is scikit-learn's run: its steps, its clusters", () => {
  const options = { products: plainProducts, batchSize: 500, random: new RandomState(42) };
  const result = miniBatchKMeans(x, d, k, options);
  expect(result.steps).toBe(seed_42.n_steps);
  expect(adjustedRand(result.labels, seed_42.labels)).toBeGreaterThan(0.99);
  expect(Math.abs(result.inertia / seed_42.inertia - 1)).toBeLessThan(1e-3);
  const equal = vMeasures(plainProducts).filter((value, seed) => Math.abs(value - seeds.v_measures[seed]) < 0.01);
  expect(equal.length).toBeGreaterThanOrEqual(18);
});

test("a cluster that runs empty takes the row furthest from its centre", () => {
  const points = Float32Array.from([0, 0.1, 0.2, 9]);
  const result = lloyd(points, 1, Float32Array.from([0.1, 50]), { products: plainProducts });
  expect([...result.labels]).toEqual([0, 0, 0, 1]);
});

test("more clusters than rows are refused", () => {
  const options = { products: plainProducts, random: new RandomState(0) };
  expect(() => miniBatchKMeans(Float32Array.from([1, 2]), 1, 3, options)).toThrow(
    "miniBatchKMeans: expected 1 to 2 clusters for 2 rows, got 3",
  );
});
