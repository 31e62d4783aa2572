// More ranks than cores: eight processes take the steps of one.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runRanks } from "../../packages/neobert/src/train/fixture-ranks.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

async function lossesOf(ranks: number, sharding: string): Promise<number[]> {
  // Eleven micro-batches: three ranks have two of them.
  const settings = ["microBatchTokens=100", "optimizer={ lr: 1e-3, eps: 1e-4 }", "log.everySteps=1"];
  const { file, out } = writeSmallRun(root, `${sharding}-${ranks}`, ...settings, `sharding=${sharding}`);
  await runRanks(ranks, ["pretrain", file]);
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line)).flatMap(({ loss }) => loss ?? []);
}

test("eight ranks take the steps of one", async () => {
  const one = await lossesOf(1, "none");
  expect(one).toHaveLength(12);
  for (const sharding of ["none", "gradients"]) {
    const eight = await lossesOf(8, sharding);
    expect(eight).toHaveLength(one.length);
    for (const [i, loss] of eight.entries()) expect(Math.abs(loss / one[i]! - 1), `step ${i + 1}`).toBeLessThan(1e-6);
  }
});
