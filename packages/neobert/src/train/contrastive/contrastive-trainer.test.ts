// Oracles: the one big pass for the gradient cache, float64 means for pooling, sentence-transformers' rules for prompts.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW, fromTypedArray, Generator, liveTensors, noGrad, tidy } from "@neobert/torch";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { wordsText, writeSmallModel } from "../../encoder/fixture-encoder.js";
import { type ComputeType, ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { TorchOps } from "../../model/torch/torch-ops.js";
import { setDropout } from "../pretrain/run-model.js";
import { LocalUpdater } from "../world/updater.js";
import { ContrastiveTrainer, pooledVectors } from "./contrastive-trainer.js";
import { createPairBatches, type PairBatch, type PairBatchOptions } from "./pair-batches.js";

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await writeSmallModel();
  file = join(mkdtempSync(join(tmpdir(), "neobert-pairs-")), "pairs.jsonl");
  const rows = Array.from({ length: 24 }, (_, i) => {
    return { query: wordsText(3 + i, i), positive: wordsText(5 + i, i + 40), negative: wordsText(9, i + 80) };
  });
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  rmSync(join(file, ".."), { recursive: true });
});
afterEach(() => expect(liveTensors()).toBe(0));

const options = (changes: Partial<PairBatchOptions> = {}): PairBatchOptions => {
  const set = { name: "pairs", path: file, instruction: "", documentInstruction: "" };
  return {
    sets: [set],
    tokenizer: folder,
    maxLength: 40,
    textsPerStep: 24,
    microBatchTokens: 100_000,
    alpha: 0.5,
    negatives: "own" as const,
    seed: 1,
    ...changes,
  };
};

interface Setting {
  dropout?: number;
  dtype?: ComputeType;
  checkpoint?: boolean;
  shouldStop?: () => boolean;
}

/** Loss and gradients of a step on these batches, as gradNorm and the weights after it. */
async function stepOf(batch: PairBatch, { dropout = 0, dtype = "fp32", checkpoint = false, shouldStop }: Setting = {}) {
  const model = TorchModel.load(folder, { head: "none" });
  setDropout(model.architecture, dropout);
  // With so large an epsilon a step of lr 1e3 moves each weight by its clipped gradient.
  const optimizer = new AdamW([...model.weights.values()], { eps: 1e3, weightDecay: 0 });
  const compute = new ComputeWeights(model, dtype);
  const updater = new LocalUpdater({ model, compute, optimizer });
  const generator = new Generator();
  const reseed = (_: number, index: number) => void generator.manualSeed(5 + index);
  const parts = { model, updater, compute, reseed, ops: new TorchOps({ generator, checkpoint }), clipNorm: 1 };
  const trainer = new ContrastiveTrainer(
    { ...parts, ...(shouldStop && { shouldStop }) },
    { temperature: 0.07, pooling: "mean" },
  );
  try {
    const result = await trainer.step(shareOf(batch), { step: 0, lr: 1e3 });
    const weights = [...model.weights.values()].flatMap((weight) => weight.toArray());
    return { result, weights };
  } finally {
    for (const each of [compute, updater, model]) each.dispose();
  }
}

const shareOf = (batch: PairBatch) => ({ microBatches: [batch], targets: batch.queries, tokens: 0 });

async function batchWith(microBatchTokens: number): Promise<PairBatch> {
  const batches = await createPairBatches(options({ microBatchTokens }));
  return (await batches.nextStep()).microBatches[0]!;
}

const largest = (a: number[], b: number[]) => a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);

test.each([
  { name: "fp32", tolerance: 2e-4 },
  { name: "recomputed blocks", tolerance: 2e-4, checkpoint: true },
  { name: "bf16", tolerance: 3e-2, dtype: "bf16" as const },
])("the gradient cache gives the gradients of the one big batch, whatever the memory: $name", async (setting) => {
  const whole = await batchWith(100_000);
  expect(whole.parts).toHaveLength(1);
  const expected = (await stepOf(whole, setting)).result!;
  for (const microBatchTokens of [40, 90, 300]) {
    const cut = await batchWith(microBatchTokens);
    expect(cut.parts.length).toBeGreaterThan(1);
    const actual = (await stepOf(cut, setting)).result!;
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(setting.tolerance);
    expect(Math.abs(actual.gradNorm / expected.gradNorm - 1)).toBeLessThan(setting.tolerance);
    if (setting.name === "fp32") {
      const [parts, one] = [await stepOf(cut), await stepOf(whole)];
      expect(largest(parts.weights, one.weights)).toBeLessThan(2e-4);
    }
  }
});

test("both passes of the cache drop out the same: the gradient is that of the loss, by finite differences along itself", async () => {
  const cut = await batchWith(120);
  expect(cut.parts.length).toBeGreaterThan(2);
  const model = TorchModel.load(folder, { head: "none" });
  setDropout(model.architecture, 0.2);
  const compute = new ComputeWeights(model, "fp32");
  const name = "encoder.layer.1.output.dense.weight";
  const weight = [...model.weights].find(([key]) => key.endsWith(name))![1];
  class Probe extends ContrastiveTrainer {
    async lossAndGradient() {
      const loss = (await this.gradients(shareOf(cut), 0, { forward: 0, backward: 0 }))!;
      const gradient = tidy(() => weight.grad!.toArray());
      for (const each of model.weights.values()) each.grad = undefined;
      return { loss, gradient };
    }
  }
  const updater = new LocalUpdater({ model, compute, optimizer: new AdamW([...model.weights.values()], {}) });
  const probe = () => {
    const generator = new Generator();
    const ops = new TorchOps({ generator });
    const reseed = (_: number, index: number) => void generator.manualSeed(7 + index);
    const parts = { model, updater, compute, reseed, ops, clipNorm: 1 };
    return new Probe(parts, { temperature: 0.2, pooling: "mean" }).lossAndGradient();
  };
  const { gradient } = await probe();
  const norm = Math.hypot(...gradient);
  const values = weight.toArray();
  const lossAt = async (distance: number) => {
    const moved = Float32Array.from(values, (value, i) => value + (distance * gradient[i]!) / norm);
    tidy(() => noGrad(() => weight.copy_(fromTypedArray(moved, { shape: weight.shape }))));
    return (await probe()).loss;
  };
  const slope = ((await lossAt(2e-2)) - (await lossAt(-2e-2))) / 4e-2;
  expect(Math.abs(slope / norm - 1)).toBeLessThan(0.05);
  for (const each of [updater, compute, model]) each.dispose();
});

test("a batch that fits in one part runs forward once, and k parts run it 2 k - 1 times", async () => {
  const passes = async (microBatchTokens: number) => {
    const batch = await batchWith(microBatchTokens);
    let count = 0;
    class Counted extends TorchOps {
      override positions(...args: Parameters<TorchOps["positions"]>) {
        count++;
        return super.positions(...args);
      }
    }
    const model = TorchModel.load(folder, { head: "none" });
    const compute = new ComputeWeights(model, "fp32");
    const updater = new LocalUpdater({ model, compute, optimizer: new AdamW([...model.weights.values()], {}) });
    const parts = { model, updater, compute, ops: new Counted(), clipNorm: 1 };
    const trainer = new ContrastiveTrainer(parts, { temperature: 0.07, pooling: "mean" });
    await trainer.step(shareOf(batch), { step: 0, lr: 1e-3 });
    for (const each of [compute, updater, model]) each.dispose();
    return [batch.parts.length, count];
  };
  expect(await passes(100_000)).toEqual([1, 1]);
  const [parts, count] = await passes(150);
  expect(count).toBe(2 * parts! - 1);
});

test("dropout reaches the encoder: the same text twice has two vectors, and with none it has one (SimCSE)", async () => {
  const batch = await batchWith(100_000);
  const part = batch.parts[0]!;
  const twice = (dropout: number) => {
    const model = TorchModel.load(folder, { head: "none" });
    setDropout(model.architecture, dropout);
    const ops = new TorchOps({ generator: new Generator(1) });
    const vectors = [0, 1].map(() => tidy(() => pooledVectors(model, part, "mean", { ops }).detach().toArray()));
    model.dispose();
    return largest(vectors[0]!, vectors[1]!);
  };
  expect(twice(0.1)).toBeGreaterThan(1e-2);
  expect(twice(0)).toBe(0);
});

test("the mean is over the tokens after the prompt, of each text by itself", async () => {
  const batches = await createPairBatches(
    options({ sets: [{ name: "pairs", path: file, instruction: "the law: ", documentInstruction: "" }] }),
  );
  const batch = (await batches.nextStep()).microBatches[0]!;
  const part = batch.parts[0]!;
  // [CLS], "the", "law" and the colon's tokens before queries; documents have no prompt.
  expect(new Set(part.skip.slice(0, batch.queries)).size).toBe(1);
  expect(part.skip[0]).toBeGreaterThanOrEqual(4);
  expect([...part.skip.slice(batch.queries)].every((skip) => skip === 0)).toBe(true);
  const model = TorchModel.load(folder, { head: "none" });
  const [vectors, hidden] = tidy(() => [
    pooledVectors(model, part, "mean", {}).detach().toArray(),
    model.hidden(part).detach().toArray(),
  ]);
  const C = model.config.hidden_size;
  for (const text of [0, 3, batch.queries, part.skip.length - 1]) {
    const [from, to] = [part.cuSeqlens[text]! + part.skip[text]!, part.cuSeqlens[text + 1]!];
    for (const c of [0, C - 1]) {
      let sum = 0;
      for (let token = from; token < to; token++) sum += hidden![token * C + c]!;
      expect(vectors![text * C + c]).toBeCloseTo(sum / (to - from), 5);
    }
  }
  model.dispose();
});

test("loss and gradient are means over the queries: the same queries twice in a step change neither", async () => {
  const batch = await batchWith(100_000);
  const part = batch.parts[0]!;
  const queryTokens = part.cuSeqlens[batch.queries]!;
  const M = batch.documents;
  // The queries once more before the batch, against the same documents.
  const doubled: PairBatch = {
    ...batch,
    queries: 2 * batch.queries,
    labels: Int32Array.of(...batch.labels, ...batch.labels),
    excluded: Uint8Array.of(...batch.excluded, ...batch.excluded),
    parts: [
      {
        ids: Int32Array.of(...part.ids.subarray(0, queryTokens), ...part.ids),
        cuSeqlens: Int32Array.of(
          ...part.cuSeqlens.subarray(0, batch.queries),
          ...part.cuSeqlens.map((start) => start + queryTokens),
        ),
        skip: Int32Array.of(...part.skip.subarray(0, batch.queries), ...part.skip),
      },
    ],
  };
  expect(doubled.excluded).toHaveLength(doubled.queries * M);
  const [once, twice] = [(await stepOf(batch)).result!, (await stepOf(doubled)).result!];
  expect(Math.abs(twice.loss - once.loss)).toBeLessThan(1e-4);
  expect(Math.abs(twice.gradNorm / once.gradNorm - 1)).toBeLessThan(1e-3);
});

test("a step told to stop between parts changes nothing", async () => {
  let asked = 0;
  const cut = await batchWith(90);
  const { result, weights } = await stepOf(cut, { shouldStop: () => ++asked > 3 });
  expect(result).toBeUndefined();
  const model = TorchModel.load(folder, { head: "none" });
  expect(weights).toEqual([...model.weights.values()].flatMap((weight) => weight.toArray()));
  model.dispose();
});
