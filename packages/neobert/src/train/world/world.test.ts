// Runs of one to four real processes. Oracle: the run of one process, whose steps theirs must be but for rounding.
// Adam divides by the root of a gradient's square: with the usual epsilon a gradient that is nothing but rounding moves its
// weight as far as any other, so these runs have a larger one.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latestCheckpoint } from "../../files/run-folder.js";
import { openSafetensors } from "../../files/safetensors.js";
import { runRanks } from "../fixture-ranks.js";
import { writePreparedFolder, writeSmallRun } from "../fixture-train.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

/** A checkpoint after every step, where the ranks' weights are compared with each other to the bit. Seven micro-batches a step, of mixed lengths: two ranks have four and three of them. */
const settings = [
  "steps=20",
  "microBatchTokens=150",
  "optimizer={ lr: 1e-3, eps: 1e-4 }",
  "log.everySteps=1",
  "checkpoint.everySteps=1",
];

async function pretrain(name: string, ranks: number, ...overrides: string[]): Promise<string> {
  const { file, out } = writeSmallRun(root, name, ...settings, ...overrides);
  await runRanks(ranks, ["pretrain", file, "--resume"]);
  return out;
}

/** The tensors of a file of a run's latest checkpoint, by name. */
function tensorsIn(out: string, file: string): Map<string, Float32Array> {
  const stored = openSafetensors(join(latestCheckpoint(out)!, file));
  const tensors = stored.names().map((name) => [name, stored.read(name).data as Float32Array] as const);
  stored.close();
  return new Map(tensors);
}

const optimizerFile = "training/optimizer.safetensors";

/** The values of all tensors of a checkpoint, weights and optimizer. */
const tensorsOf = (out: string) => new Map([...tensorsIn(out, "model.safetensors"), ...tensorsIn(out, optimizerFile)]);

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

function expectSameLosses(out: string, expected: string, tolerance: number): void {
  const [losses, wanted] = [lossesOf(out), lossesOf(expected)];
  expect(losses).toHaveLength(wanted.length);
  for (const [i, loss] of losses.entries())
    expect(Math.abs(loss / wanted[i]! - 1), `step ${i + 1}`).toBeLessThan(tolerance);
}

function expectSame(out: string, expected: string): void {
  expectSameLosses(out, expected, 1e-6);
  expect(farthest(tensorsOf(expected), tensorsOf(out))).toBeLessThan(1e-5);
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
    expectSame(await pretrain(`${sharding}-${ranks}`, ranks, `sharding=${sharding}`), one);
  }
}, 300_000);

test("activation checkpointing is no different", async () => {
  const recomputed = ["activationCheckpointing=true"];
  const one = await pretrain("recomputed-1", 1, ...recomputed);
  expectSame(await pretrain("recomputed-2", 2, ...recomputed), one);
}, 300_000);

test("in bfloat16 masters are whole with their owners alone, and whole in a checkpoint", async () => {
  const narrow = ["dtype=bf16", "checkpoint.everySteps=20", "schedule.decaySteps=20"];
  const one = await pretrain("bf16-1", 1, ...narrow);
  const weightsOf = (out: string) => tensorsIn(out, "model.safetensors");
  for (const sharding of ["optimizer", "gradients"]) {
    const two = await pretrain(`bf16-${sharding}`, 2, ...narrow, `sharding=${sharding}`);
    expectSameLosses(two, one, 1e-4);
    expect(farthest(weightsOf(one), weightsOf(two))).toBeLessThan(2e-3);
    await pretrain(`bf16-${sharding}-stopped`, 2, ...narrow, `sharding=${sharding}`, "steps=8");
    const resumed = await pretrain(`bf16-${sharding}-stopped`, 2, ...narrow, `sharding=${sharding}`);
    expect(tensorsOf(resumed)).toEqual(tensorsOf(two));
  }
}, 300_000);

test("SOAP's matrices go whole to their owners, and its state back into one file", async () => {
  const soap = ["optimizer={ name: soap, lr: 1e-3, eps: 1e-4, preconditionFrequency: 3 }", "steps=8"];
  const one = await pretrain("soap-1", 1, ...soap);
  const three = await pretrain("soap-3", 3, ...soap, "sharding=gradients");
  // Where eigenvalues are close, rounding turns their vectors, and the moments with them.
  expectSameLosses(three, one, 1e-4);
  expect(farthest(tensorsIn(one, "model.safetensors"), tensorsIn(three, "model.safetensors"))).toBeLessThan(0.05);
  const shapes = (out: string) =>
    new Map([...tensorsIn(out, optimizerFile)].map(([name, { length }]) => [name, length]));
  expect(shapes(three)).toEqual(shapes(one));
}, 300_000);

test("blocks that are buckets of their own travel while the pass goes on", async () => {
  const wide = [
    "model={ hidden_size: 256, num_hidden_layers: 3, num_attention_heads: 4, intermediate_size: 1024 }",
    "steps=4",
  ];
  const one = await pretrain("wide-1", 1, ...wide);
  expectSame(await pretrain("wide-2", 2, ...wide), one);
  expectSame(await pretrain("wide-2-sharded", 2, ...wide, "sharding=gradients"), one);
}, 300_000);

test("a run goes on with another number of ranks, and with the same number bit for bit", async () => {
  const one = await pretrain("unbroken", 1);
  const two = await pretrain("unbroken-2", 2, "sharding=gradients");
  const parts = "schedule.decaySteps=20";
  await pretrain("changing", 3, "steps=8", parts, "sharding=optimizer");
  await pretrain("changing", 2, "steps=12", parts, "sharding=gradients");
  expectSame(await pretrain("changing", 1, "steps=20", parts), one);
  await pretrain("same", 2, "steps=8", parts, "sharding=gradients");
  const resumed = await pretrain("same", 2, "steps=20", parts, "sharding=gradients");
  expect(tensorsOf(resumed)).toEqual(tensorsOf(two));
}, 300_000);
