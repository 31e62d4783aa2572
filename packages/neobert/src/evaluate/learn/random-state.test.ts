// Oracle: golden/metrics/numpy_random_state.json, made by NumPy.

import { expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { RandomState } from "./random-state.js";

interface Draws {
  seed: number;
  random_sample_20: number[];
  uint32_20: number[];
  randn_20: number[];
  choice_100_10_without_replacement: number[];
  choice_5_20_weighted: number[];
  shuffle_arange_50_twice: [number[], number[], number[]];
  [integers: `randint_0_${number}_20`]: number[];
  [order: `${"shuffle_arange" | "permutation"}_${number}`]: number[];
}
const seeds: Draws[] = golden("numpy_random_state.json").seeds;
const times = <T>(n: number, draw: () => T) => Array.from({ length: n }, draw);
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const shuffled = (state: RandomState, n: number) => {
  const list = range(n);
  state.shuffle(list);
  return list;
};

test.each(seeds.map((one) => [one.seed, one] as const))("seed %i draws what NumPy draws", (seed, one) => {
  const fresh = () => new RandomState(seed);
  let state = fresh();
  expect(times(20, () => state.randomSample())).toEqual(one.random_sample_20);
  state = fresh();
  expect(times(20, () => state.randint(0, 10))).toEqual(one.randint_0_10_20);
  state = fresh();
  expect(times(20, () => state.randint(0, 1000003))).toEqual(one.randint_0_1000003_20);
  state = fresh();
  expect(times(20, () => state.uint32())).toEqual(one.uint32_20);
  state = fresh();
  for (const value of one.randn_20) expect(Math.abs(state.randn() / value - 1)).toBeLessThan(1e-15);
  for (const n of [5, 10, 100, 1000]) {
    expect(shuffled(fresh(), n)).toEqual(one[`shuffle_arange_${n}`]);
    expect([...fresh().permutation(n)]).toEqual(one[`permutation_${n}`]);
  }
  const [first, second, samples] = one.shuffle_arange_50_twice;
  state = fresh();
  const list = shuffled(state, 50);
  expect(list).toEqual(first);
  state.shuffle(list);
  expect(list).toEqual(second);
  expect(times(3, () => state.randomSample())).toEqual(samples);
  expect([...fresh().choice(100, 10, { replace: false })]).toEqual(one.choice_100_10_without_replacement);
});

test("choice with probabilities draws what NumPy draws, and without them is randint", () => {
  for (const one of seeds) {
    const state = new RandomState(one.seed);
    const p = [0.1, 0.2, 0.3, 0.25, 0.15];
    expect([...state.choice(5, 20, { p })]).toEqual(one.choice_5_20_weighted);
    expect([...new RandomState(one.seed).choice(10, 20)]).toEqual(one.randint_0_10_20);
  }
});

test("a seed that is no whole number of 32 bits is refused", () => {
  expect(() => new RandomState(-1)).toThrow("RandomState: expected a seed of 0 to 2^32 - 1, got -1");
  expect(() => new RandomState(0).randint(3, 3)).toThrow("randint: expected low < high");
});
