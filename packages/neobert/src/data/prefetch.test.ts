import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { type BatchOptions, createBatches } from "./batches.js";
import { countingDocuments, writeFixtureShards } from "./fixture-data.js";
import { prefetchBatches } from "./prefetch.js";

const folder = writeFixtureShards(countingDocuments(Array.from({ length: 50 }, (_, index) => 1 + ((index * 37) % 90))));
afterAll(() => rmSync(folder, { recursive: true }));

const options: BatchOptions = {
  sources: [{ path: folder, weight: 1 }],
  maxLength: 64,
  tokensPerStep: 512,
  microBatchTokens: 256,
  seed: 5,
};

async function take(
  steps: number,
  ...rest: Parameters<typeof prefetchBatches> extends [unknown, ...infer R] ? R : never
) {
  const taken = [];
  for await (const { waitMs, ...step } of prefetchBatches(options, ...rest)) {
    expect(waitMs).toBeGreaterThanOrEqual(0);
    taken.push(step);
    if (taken.length === steps) break;
  }
  return taken;
}

test("prefetched steps equal those made in place, whatever the depth, from the start and from a cursor", async () => {
  const direct = createBatches(options);
  const expected = Array.from({ length: 12 }, () => direct.nextStep());
  direct.close();
  expect(await take(12)).toEqual(expected);
  expect(await take(5, expected[6]!.cursor, { depth: 1 })).toEqual(expected.slice(7));
});

test("while the loop is busy the next steps are made ahead, so that it does not wait for them", async () => {
  const waits: number[] = [];
  for await (const { waitMs } of prefetchBatches(options, undefined, { depth: 3 })) {
    waits.push(waitMs);
    if (waits.length === 8) break;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60); // a synchronous step
  }
  const [median] = waits
    .slice(1)
    .sort((a, b) => a - b)
    .slice(3);
  expect(median).toBeLessThan(20);
});

test("an error of the worker reaches the loop with its message", async () => {
  const steps = prefetchBatches({ ...options, maxLength: 9999 });
  await expect(steps.next()).rejects.toThrow(/at least maxLength = 9999 tokens/);
});
