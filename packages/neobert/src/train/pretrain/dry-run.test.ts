// What a dry run says of many ranks; the numbers themselves are cost.test.ts's.

import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { smallRun, writePreparedFolder } from "../fixture-train.js";
import { type Cluster, describeRanks, type Pace } from "./dry-run.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const pace: Pace = { dtype: "fp32", passSecondsPerToken: 1e-3, optimizerSeconds: 0, source: "as given" };
const network = { bytesPerSecond: 1e9, latencySeconds: 0 };

const describe = (cluster: Cluster, ...overrides: string[]) =>
  describeRanks(smallRun(root, "dry", ...overrides), cluster, pace);

test("of two ranks each computes half of a step, at nearly twice the rate", async () => {
  const text = await describe({ ranks: 2, ...network });
  expect(text).toContain("with 2 ranks     sharding none, fp32, 1,000 tokens/s each by itself (as given)");
  expect(text).toMatch(/a step {9}about 0\.51\d s: computing 0\.512 s, waiting [\d.]+ ms$/m); // of 1,024 tokens
  expect(text).toMatch(/efficiency (99|100) %$/);
});

test("ranks without a micro-batch are named", async () => {
  const text = await describe({ ranks: 8, ...network }, "sharding=gradients");
  expect(text).toContain("NOTE: 2 micro-batches a step leave 6 of 8 ranks with one less than others");
  expect(text).toMatch(/efficiency 2[45] %$/m);
});
