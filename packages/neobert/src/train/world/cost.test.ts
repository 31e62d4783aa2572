// The model of a step's cost, against what can be worked out by hand.

import { expect, test } from "vitest";
import { memoryCost, type StepWork, stepCost } from "./cost.js";

const MILLION = 1e6;
/** Four blocks of 10 million values between embeddings and a head of 5 million each. */
const parameters = [
  { name: "embeddings.weight", count: 5 * MILLION },
  ...[0, 1, 2, 3].map((block) => ({ name: `layer.${block}.weight`, count: 10 * MILLION, isNarrow: true })),
  { name: "head.weight", count: 5 * MILLION, isNarrow: true },
];
const work: StepWork = { parameters, sharding: "none", microBatches: 8, passSeconds: 3, optimizerSeconds: 0.5 };
const infinite = { bytesPerSecond: Number.POSITIVE_INFINITY, latencySeconds: 0, busySecondsPerByte: 0 };
const network = (bytesPerSecond: number) => ({ ...infinite, bytesPerSecond });

test("one rank waits for nothing, and a network that costs nothing leaves what is not divided", () => {
  expect(stepCost(work, 1, network(1))).toMatchObject({ seconds: 24.5, bytes: 0, waitSeconds: 0, efficiency: 1 });
  expect(stepCost(work, 4, infinite).seconds).toBe(6.5);
  expect(stepCost({ ...work, sharding: "optimizer" }, 4, infinite)).toMatchObject({ seconds: 6.125, efficiency: 1 });
  expect(stepCost(work, 3, infinite).seconds).toBe(9.5); // one rank has three of the eight micro-batches
});

test("a rank sends what ring and owners ask for", () => {
  // 50 million values: twice three quarters of 200 MB; or three quarters of gradients, then of weights.
  expect(stepCost(work, 4, infinite).bytes).toBeCloseTo(300 * MILLION);
  expect(stepCost({ ...work, sharding: "optimizer" }, 4, infinite).bytes).toBeCloseTo((150 + 82.5) * MILLION);
  // bfloat16 gradients of 45 million values and float32 of 5, at each of two micro-batches.
  expect(stepCost({ ...work, sharding: "gradients" }, 4, infinite).bytes).toBeCloseTo((2 * 82.5 + 82.5) * MILLION);
});

test("a fast network hides all but what is whole at the end of the pass; a slow one is waited for", () => {
  // Of a ring of two ranks 4 bytes a value: block 0 and embeddings are 60 MB.
  const fast = stepCost(work, 2, network(1e9));
  expect(fast.networkSeconds).toBeCloseTo(0.2);
  expect(fast.waitSeconds).toBeCloseTo(0.06);
  // 20 s of sending, of which the 2 s of the way back hide as much.
  const slow = stepCost(work, 2, network(1e7));
  expect(slow.networkSeconds).toBeCloseTo(20);
  expect(slow.waitSeconds).toBeCloseTo(18);
  expect(slow.seconds).toBeCloseTo(4 * 3 + 0.5 + 18);
});

test("new weights are waited for, and so is each of many messages", () => {
  const sharded: StepWork = { ...work, sharding: "optimizer" };
  const { networkSeconds, waitSeconds } = stepCost(sharded, 2, network(1e9));
  expect(networkSeconds).toBeCloseTo(0.1 + 0.055);
  expect(waitSeconds).toBeCloseTo(0.03 + 0.055);
  // Six buckets and the numbers, each twice (the numbers once) over nine neighbours.
  const late = stepCost(work, 10, { ...infinite, latencySeconds: 0.001 });
  expect(late.networkSeconds).toBeCloseTo((6 * 2 + 1) * 9 * 0.001);
});

test("work for the network is never hidden, as it keeps a rank from computing", () => {
  const busy = stepCost(work, 2, { ...infinite, busySecondsPerByte: 1e-9 });
  expect(busy.waitSeconds).toBeCloseTo(0.2);
});

test("memory is divided as the sharding says", () => {
  const [values, narrow] = [50 * MILLION, 45 * MILLION];
  const weights = 4 * values + 2 * narrow;
  expect(memoryCost(parameters, { sharding: "none", ranks: 8 })).toEqual({
    weights,
    optimizer: 8 * values,
    gradients: weights,
  });
  expect(memoryCost(parameters, { sharding: "optimizer", ranks: 8 })).toEqual({
    weights,
    optimizer: values,
    gradients: weights,
  });
  const largest = 20 * MILLION; // of bfloat16 and of float32
  expect(memoryCost(parameters, { sharding: "gradients", ranks: 8 })).toEqual({
    ...{ weights, optimizer: values },
    gradients: values / 2 + largest,
  });
});
