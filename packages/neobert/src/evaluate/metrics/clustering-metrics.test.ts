// Oracle: golden/metrics/clustering.json, made by scikit-learn.

import { expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import {
  adjustedMutualInformation,
  adjustedRand,
  homogeneityCompletenessVMeasure,
  normalizedMutualInformation,
  vMeasure,
} from "./clustering-metrics.js";

interface Case {
  labels: number[];
  clusters: number[];
  expected: Record<string, number>;
}
const cases: Case[] = golden("clustering.json").cases;

test.each(cases.map((one, i) => [i, one] as const))("case %i equals scikit-learn's", (_, one) => {
  const { labels, clusters, expected } = one;
  const { homogeneity, completeness, vMeasure: v } = homogeneityCompletenessVMeasure(labels, clusters);
  const got: Record<string, number> = {
    homogeneity,
    completeness,
    v_measure: v,
    adjusted_rand: adjustedRand(labels, clusters),
    normalized_mutual_info: normalizedMutualInformation(labels, clusters),
    adjusted_mutual_info: adjustedMutualInformation(labels, clusters),
  };
  for (const [name, value] of Object.entries(expected)) expect(Math.abs(got[name]! - value), name).toBeLessThan(1e-9);
});

test("the names of labels and clusters do not matter", () => {
  expect(vMeasure(["x", "x", "y"], [7, 7, 3])).toBeCloseTo(1, 12);
  expect(adjustedRand(["x", "x", "y"], [7, 7, 3])).toBe(1);
});

test("one cluster for everything is complete and not homogeneous", () => {
  const { homogeneity, completeness } = homogeneityCompletenessVMeasure([0, 0, 1], [5, 5, 5]);
  expect([homogeneity, completeness]).toEqual([0, 1]);
});
