// Runs of one to four real processes. Oracle: the run of one process, whose steps theirs must be but for rounding.
// Adam divides by the root of a gradient's square: with the usual epsilon a gradient that is nothing but rounding moves its
// weight as far as any other, so these runs have a larger one.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latestCheckpoint } from "../../files/run-folder.js";
import { openSafetensors } from "../../files/safetensors.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { runRanks } from "../fixture-ranks.js";
import { smallRun, writePreparedFolder } from "../fixture-train.js";
import { formatRunConfig } from "../run-file/run-file.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

/** Seven micro-batches a step, of mixed lengths: two ranks have four and three of them. */
const settings = ["steps=20", "microBatchTokens=150", "optimizer={ lr: 1e-3, eps: 1e-4 }", "log.everySteps=1"];

async function pretrain(name: string, ranks: number, ...overrides: string[]): Promise<string> {
  const config = smallRun(root, name, ...settings, ...overrides);
  const file = join(root, `${name}.yaml`);
  writeFileSync(file, formatRunConfig(config));
  await runRanks(ranks, ["pretrain", file, "--resume"]);
  return config.out;
}

/** The values of all tensors of a checkpoint, by name, weights and optimizer. */
function tensorsOf(out: string): Map<string, Float32Array> {
  const folder = latestCheckpoint(out)!;
  const model = TorchModel.load(folder);
  const names = [...model.weights.keys()];
  model.dispose();
  const tensors = new Map<string, Float32Array>();
  for (const [file, parts] of [
    ["model.safetensors", [""]],
    ["training/optimizer.safetensors", ["expAvg.", "expAvgSq.", "step."]],
  ] as const) {
    const stored = openSafetensors(join(folder, file));
    for (const part of parts)
      for (const name of names) tensors.set(`${part}${name}`, stored.read(`${part}${name}`).data as Float32Array);
    stored.close();
  }
  return tensors;
}

function lossesOf(out: string): number[] {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line)).flatMap(({ loss }) => loss ?? []);
}

/** The largest distance of a tensor from another, relative to its norm. */
function farthest(a: Map<string, Float32Array>, b: Map<string, Float32Array>): number {
  let worst = 0;
  for (const [name, values] of a) {
    const others = b.get(name)!;
    worst = Math.max(worst, norm(values.map((value, i) => value - others[i]!)) / norm(values));
  }
  return worst;
}

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));

function expectSame(out: string, expected: string, tolerance: number, ofLoss = 1e-6): void {
  const [losses, wanted] = [lossesOf(out), lossesOf(expected)];
  expect(losses).toHaveLength(wanted.length);
  for (const [i, loss] of losses.entries())
    expect(Math.abs(loss / wanted[i]! - 1), `step ${i + 1}`).toBeLessThan(ofLoss);
  expect(farthest(tensorsOf(expected), tensorsOf(out))).toBeLessThan(tolerance);
}

test("two to four ranks take the steps of one, however the optimizer is sharded", async () => {
  const one = await pretrain("one", 1);
  for (const [ranks, sharding] of [
    [2, "none"],
    [3, "none"],
    [2, "optimizer"],
    [2, "gradients"],
    [4, "gradients"],
  ] as const) {
    expectSame(await pretrain(`${sharding}-${ranks}`, ranks, `sharding=${sharding}`), one, 1e-5);
  }
}, 300_000);

test("activation checkpointing and bfloat16 are no different", async () => {
  const recomputed = ["activationCheckpointing=true"];
  const one = await pretrain("recomputed-1", 1, ...recomputed);
  expectSame(await pretrain("recomputed-2", 2, ...recomputed), one, 1e-5);
  const narrow = await pretrain("bf16-1", 1, "dtype=bf16");
  const two = await pretrain("bf16-2", 2, "dtype=bf16", "sharding=gradients");
  const [losses, wanted] = [lossesOf(two), lossesOf(narrow)];
  for (const [i, loss] of losses.entries()) expect(Math.abs(loss / wanted[i]! - 1)).toBeLessThan(1e-4);
}, 300_000);

test("SOAP's matrices go whole to their owners, and its state back into one file", async () => {
  const soap = ["optimizer={ name: soap, lr: 1e-3, eps: 1e-4, preconditionFrequency: 3 }", "steps=8"];
  const one = await pretrain("soap-1", 1, ...soap);
  // Where eigenvalues are close, rounding turns their vectors.
  expectSame(await pretrain("soap-3", 3, ...soap, "sharding=gradients"), one, 0.1, 1e-4);
}, 300_000);

test("blocks that are buckets of their own travel while the pass goes on", async () => {
  const wide = [
    "model={ hidden_size: 256, num_hidden_layers: 3, num_attention_heads: 4, intermediate_size: 1024 }",
    "steps=4",
  ];
  const one = await pretrain("wide-1", 1, ...wide);
  expectSame(await pretrain("wide-2", 2, ...wide), one, 1e-5);
  expectSame(await pretrain("wide-2-sharded", 2, ...wide, "sharding=gradients"), one, 1e-5);
}, 300_000);

test("a run goes on with another number of ranks, and with the same number bit for bit", async () => {
  const one = await pretrain("unbroken", 1);
  const two = await pretrain("unbroken-2", 2, "sharding=gradients");
  const parts = "schedule.decaySteps=20";
  await pretrain("changing", 3, "steps=8", parts, "sharding=optimizer");
  await pretrain("changing", 2, "steps=12", parts, "sharding=gradients");
  expectSame(await pretrain("changing", 1, "steps=20", parts), one, 1e-5);
  await pretrain("same", 2, "steps=8", parts, "sharding=gradients");
  const resumed = await pretrain("same", 2, "steps=20", parts, "sharding=gradients");
  expect(tensorsOf(resumed)).toEqual(tensorsOf(two));
}, 300_000);
