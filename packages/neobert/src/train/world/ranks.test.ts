// Fine-tuning by several real processes, and what one of them does to all: a loss that is not finite, a request to stop, a
// sudden end. Oracle: the run of one process.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { wordsText, writeSmallModel } from "../../encoder/fixture-encoder.js";
import { latestCheckpoint } from "../../files/run-folder.js";
import { openSafetensors } from "../../files/safetensors.js";
import { warOrPeace } from "../classify/fixture-classify.js";
import { runRanks, startRanks } from "../fixture-ranks.js";
import { writePreparedFolder, writeSmallRun } from "../fixture-train.js";
import { readState } from "../loop/checkpoint.js";

let root: string;
let bert: string;
let prepared: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-ranks-"));
  bert = await writeSmallModel();
  prepared = await writePreparedFolder();
});
afterAll(() => {
  for (const folder of [root, bert, prepared]) rmSync(folder, { recursive: true });
});

const linesOf = (out: string) =>
  readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Losses, gradient norms and held-out scores in the order in which they were written. */
function numbersOf(out: string): number[] {
  return linesOf(out).flatMap(({ loss, gradNorm, validation }) =>
    validation ? Object.values(validation as Record<string, number>) : [loss, gradNorm],
  );
}

function expectSame(out: string, expected: string): void {
  const [numbers, wanted] = [numbersOf(out), numbersOf(expected)];
  expect(numbers).toHaveLength(wanted.length);
  for (const [i, number] of numbers.entries())
    expect(Math.abs(number / wanted[i]! - 1), `number ${i}`).toBeLessThan(1e-5);
}

/** A matrix of a model's last block. */
function someMatrix(folder: string): Float32Array {
  const file = openSafetensors(join(folder, "model.safetensors"));
  const name = file.names().find((name) => name.endsWith("layer.1.output.dense.weight"))!;
  const { data } = file.read(name);
  file.close();
  return data as Float32Array;
}

const distance = (a: Float32Array, b: Float32Array) => Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0));

function writeJsonLines(name: string, rows: object[]): string {
  const file = join(root, name);
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  return file;
}

test("contrastive: the texts of all ranks are negatives of all, also where a rank has none", async () => {
  const rows = Array.from({ length: 120 }, (_, i) => ({
    query: wordsText(4, i % 30),
    positive: wordsText(5, (i % 30) + 7),
  }));
  const train = writeJsonLines("pairs.jsonl", rows);
  const finetune = async (name: string, ranks: number, microBatchTokens: number, dropout: number) => {
    const file = join(root, `${name}.yaml`);
    const out = join(root, name);
    writeFileSync(
      file,
      `
out: ${out}
model: { from: ${bert}, dropout: ${dropout} }
data: { train: ${train}, validation: ${train} }
maxLength: 24
steps: 8
textsPerStep: 24
microBatchTokens: ${microBatchTokens}
optimizer: { lr: 1e-3, eps: 1e-4 }
dtype: fp32
threads: 1
evaluate: { everySteps: 8 }
checkpoint: { everySteps: 8 }
log: { everySteps: 1 }
`,
    );
    await runRanks(ranks, ["finetune", "contrastive", file]);
    return out;
  };
  const one = await finetune("contrastive-1", 1, 60, 0.1);
  expectSame(await finetune("contrastive-3", 3, 60, 0.1), one);
  expectSame(await finetune("contrastive-idle", 2, 100_000, 0), await finetune("contrastive-whole", 1, 100_000, 0));
}, 300_000);

test("classification: ranks share a step's micro-batches, and one is idle where there are too few", async () => {
  const train = writeJsonLines("labelled.jsonl", warOrPeace(60));
  const held = writeJsonLines("held.jsonl", warOrPeace(30, 100));
  const finetune = async (name: string, ranks: number, ...own: string[]) => {
    const out = join(root, name);
    const options = [
      "epochs=1",
      "batchSize=8",
      "maxLength=24",
      "microBatchTokens=30",
      "optimizer.lr=1e-3",
      "optimizer.eps=1e-4",
    ];
    const machine = ["threads=1", "dtype=fp32", "log.everySteps=1", "evaluate.everySteps=4"];
    const data = [train, "--validation", held, "--text", "text", "--label", "label", "--out", out];
    await runRanks(ranks, ["finetune", "classify", bert, ...data, ...options, ...machine, ...own]);
    return out;
  };
  const one = await finetune("classify-1", 1);
  expectSame(await finetune("classify-3", 3), one);
  // The best model is written in the midst of a run; the masters of a sharded bfloat16 run are then in pieces.
  const [narrow, sharded] = [
    await finetune("classify-bf16", 1, "dtype=bf16"),
    await finetune("classify-sharded", 2, "dtype=bf16", "sharding=gradients"),
  ].map((out) => someMatrix(join(out, "model")));
  const moved = distance(narrow!, someMatrix(bert));
  expect(moved).toBeGreaterThan(0);
  expect(distance(narrow!, sharded!)).toBeLessThan(0.3 * moved);
}, 300_000);

/** A pretraining run long enough to be disturbed. */
const longRun = (name: string, ...overrides: string[]) =>
  writeSmallRun(prepared, name, "steps=3000", "checkpoint.everySteps=20", "microBatchTokens=300", ...overrides);

const isSaved = async (out: string) => {
  while (!latestCheckpoint(out)) await new Promise((resolve) => setTimeout(resolve, 50));
};

test("a rank that is told to stop stops all, with a whole checkpoint", async () => {
  const { file, out } = longRun("stopped");
  const { children, ended } = await startRanks(2, ["pretrain", file]);
  await isSaved(out);
  children[1]!.kill("SIGTERM");
  for (const [rank, { code, output }] of (await ended).entries()) expect(code, `${rank}: ${output}`).toBe(75);
  const { step } = readState(latestCheckpoint(out)!);
  expect(step).toBeGreaterThan(0);
  expect(step).toBeLessThan(3000);
}, 120_000);

test("a rank that dies ends the others with an error that names it", async () => {
  const { file, out } = longRun("died");
  const { children, ended } = await startRanks(3, ["pretrain", file]);
  await isSaved(out);
  children[2]!.kill("SIGKILL");
  const [first, second, third] = await ended;
  expect(third!.signal).toBe("SIGKILL");
  for (const { code, output } of [first!, second!]) {
    expect(code, output).toBe(76);
    expect(output).toMatch(/on rank [01] of 3 .*expected an answer of every rank, got none of rank 2/);
  }
}, 120_000);

test("a loss that is not finite ends all ranks, and the one that has it names the texts", async () => {
  const { file } = longRun("diverged", "optimizer.lr=1e30", "clipNorm=1e30", "schedule.warmupSteps=0");
  const { ended } = await startRanks(2, ["pretrain", file]);
  const all = await ended;
  for (const { code, output } of all) expect(code, output).toBe(77);
  expect(all.map(({ output }) => output).join()).toMatch(/document \d+ from token/);
}, 120_000);
