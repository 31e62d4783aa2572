// Generators: streams that repeat, continue from a saved state, and do not touch one another.

import { expect, test } from "vitest";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { Generator, manualSeed, rand, randint, randn, randperm, tidy, zeros } from "./index.js";

expectNoLeaks();

/** Something of every op that draws. */
const draw = (generator: Generator): number[] =>
  tidy(() =>
    [
      randn([3], { generator }),
      rand([17], { generator }),
      randint(0, 1000, [5], { generator }),
      randperm(6, { generator }),
      zeros([20]).bernoulli_(0.3, generator),
      zeros([18]).normal_(5, 2, generator),
      zeros([2]).uniform_(-1, 1, generator),
    ].flatMap((x) => x.toArray()),
  );

test("the same seed gives the same stream, another seed another", () => {
  expect(draw(new Generator(42))).toEqual(draw(new Generator(42)));
  expect(draw(new Generator(42))).not.toEqual(draw(new Generator(43)));
  const generator = new Generator(42);
  const first = draw(generator);
  expect(draw(generator)).not.toEqual(first);
  expect(draw(generator.manualSeed(42))).toEqual(first);
});

test("a saved state continues exactly, in the same generator or another, also between the two normals of a pair", () => {
  const generator = new Generator(1);
  tidy(() => void randn([1], { generator }));
  const state = generator.getState();
  const rest = draw(generator);
  expect(draw(generator.setState(state))).toEqual(rest);
  expect(draw(new Generator(2).setState(Uint8Array.from(state)))).toEqual(rest);
  expect(() => generator.setState(state.slice(1))).toThrow("setGeneratorState: ");
  expect(draw(generator.setState(state))).toEqual(rest);
});

tidyTest("a generator and the default one do not touch each other, and manualSeed repeats the default one", () => {
  const own = new Generator(5);
  const expected = draw(new Generator(5));
  manualSeed(7);
  const first = randn([4]).toArray();
  manualSeed(7);
  expect(draw(own)).toEqual(expected);
  expect(randn([4]).toArray()).toEqual(first);
  manualSeed(8);
  expect(randn([4]).toArray()).not.toEqual(first);
});

tidyTest("a seed is a whole number, of any sign", () => {
  expect(draw(new Generator(-1))).toEqual(draw(new Generator(-1)));
  expect(() => new Generator(1.5)).toThrow("makeGenerator: expected an integer, got 1.5");
});
