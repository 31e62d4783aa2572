// Oracles: the unbroken run for resumed ones, bit for bit; the held-out loss before training; Encoder on the saved folder.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liveTensors, tidy } from "@neobert/torch";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { randomBelow } from "../../data/random.js";
import { Encoder } from "../../encoder/encoder.js";
import { wordsText, writeSmallModel } from "../../encoder/fixture-encoder.js";
import { modelTypes } from "../../model/architectures.js";
import { smallConfig } from "../../model/fixture-model.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { runLoop } from "../loop/loop.js";
import { finetuneContrastive } from "../worker/train-runs.js";
import { type ContrastiveConfig, parseContrastiveConfig } from "./contrastive-config.js";
import { contrastive } from "./contrastive-task.js";
import { pooledVectors } from "./contrastive-trainer.js";

let root: string;
let bert: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-contrastive-"));
  bert = await writeSmallModel();
  const words = "house united people govern free states peace war law".split(" ");
  // A pair shares two of nine words, and has one more each.
  const text = (topic: number, seed: number) => {
    const own = [words[topic % 9], words[(topic + 1 + Math.floor(topic / 9)) % 9]];
    return [...own, ...own, words[randomBelow(9, seed, 1, 0)]].join(" ");
  };
  const rows = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => {
      return JSON.stringify({
        query: text((from + i) % 36, from + i),
        positive: text((from + i) % 36, 1000 + from + i),
      });
    }).join("\n");
  writeFileSync(join(root, "train.jsonl"), rows(0, 300));
  writeFileSync(join(root, "held.jsonl"), rows(300, 360));
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(bert, { recursive: true });
});
afterEach(() => expect(liveTensors()).toBe(0));

function runOf(name: string, model: string, ...overrides: string[]): ContrastiveConfig {
  const yaml = `
out: ${join(root, name)}
model: ${model}
data: { train: ${join(root, "train.jsonl")}, validation: ${join(root, "held.jsonl")} }
prompts: { query: "law: " }
maxLength: 24
steps: 12
textsPerStep: 32
microBatchTokens: 100
optimizer: { lr: 2e-3 }
schedule: { warmupSteps: 2 }
dtype: fp32
threads: 1
evaluate: { everySteps: 6 }
checkpoint: { everySteps: 4 }
log: { everySteps: 3 }
`;
  return parseContrastiveConfig(yaml, { file: "runOf", overrides });
}

const metricsOf = (run: string) =>
  readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const { tokensPerSecond: _, seconds: __, ...record } = JSON.parse(line);
      return record;
    });

test("a run stopped and resumed ends with the weights, optimizer and metrics of an unbroken run, bit for bit, dropout included", async () => {
  const model = `{ from: ${bert}, dropout: 0.1 }`;
  const whole = runOf("whole", bert, `model=${model}`);
  const unbroken = await runLoop(contrastive(whole));
  expect(metricsOf(whole.out).map(({ step }) => step)).toEqual([3, 6, 6, 9, 12, 12]);
  for (const stop of [1, 7]) {
    const config = runOf(`stopped-${stop}`, bert, `model=${model}`);
    let taken = 0;
    await runLoop(contrastive(config), { onStep: () => taken++, shouldStop: () => taken >= stop });
    const second = await runLoop(contrastive(config), { resume: true });
    expect(second.validation).toEqual(unbroken.validation);
    for (const file of ["model.safetensors", "training/optimizer.safetensors"]) {
      const [a, b] = [second, unbroken].map(({ checkpoint }) => readFileSync(join(checkpoint!, file)));
      expect(a!.equals(b!), `${file} after a stop at ${stop}`).toBe(true);
    }
    expect(metricsOf(config.out)).toEqual(metricsOf(whole.out));
  }
});

test("what a callback of the caller throws rejects the run in its worker", async () => {
  const onStep = () => {
    throw new Error("my own mistake");
  };
  await expect(finetuneContrastive(runOf("thrown-step", bert, "steps=2"), { onStep })).rejects.toThrow(
    "my own mistake",
  );
  const onNote = () => {
    throw new Error("another mistake");
  };
  const noted = runOf("thrown-note", bert, "steps=2", "maxLength=65");
  await expect(finetuneContrastive(noted, { onNote })).rejects.toThrow("another mistake");
});

test.each(modelTypes)(
  "%s learns to find the positive, in a worker, and its folder gives Encoder the trained vectors",
  async (name) => {
    const folder = await writeSmallModel({ config: smallConfig(name, { range: 0.3 }) });
    const run = runOf(`learn-${name}`, folder, "steps=60", "log.everySteps=1", "evaluate.everySteps=60");
    const result = await finetuneContrastive(run);
    const losses = metricsOf(run.out).flatMap(({ loss }) => (loss === undefined ? [] : [loss as number]));
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value) / values.length;
    expect(mean(losses.slice(-5))).toBeLessThan(0.8 * mean(losses.slice(0, 5)));
    expect(result.validation!.accuracy).toBeGreaterThan(2 / 16);

    const encoder = await Encoder.load(result.model!);
    expect(encoder.prompts).toEqual({ query: "law: " });
    expect(encoder.pooling).toEqual(["mean"]);
    expect(encoder.maxTokens).toBe(24);
    const text = wordsText(8, 3);
    const [query, document] = [await encoder.encode(text, { role: "query" }), await encoder.encode(text)];
    await encoder.dispose();
    // What the trainer pools of the same texts.
    const model = TorchModel.load(result.model!);
    const tokenizer = loadTokenizer(result.model!);
    const vectorOf = (text: string, skip: number) => {
      const ids = Int32Array.from(tokenizer.encode(text, { padding: false, truncation: false }).ids);
      const part = { ids, cuSeqlens: Int32Array.of(0, ids.length), skip: Int32Array.of(skip) };
      return tidy(() => pooledVectors(model, part, "mean", {}).detach().toTypedArray()) as Float32Array;
    };
    const promptTokens = 1 + tokenizer.encodeIds("law:").length;
    for (const [ours, encoded] of [
      [vectorOf(`law: ${text}`, promptTokens), query],
      [vectorOf(text, 0), document],
    ] as const) {
      expect(ours.reduce((worst, x, i) => Math.max(worst, Math.abs(x - encoded[i]!)), 0)).toBeLessThan(1e-3);
    }
    model.dispose();
    rmSync(folder, { recursive: true });
  },
);

test("a loss that is not finite names the set's rows and leaves the last checkpoint whole", async () => {
  const config = runOf("diverged", bert, "optimizer.lr=1e30", "clipNorm=1e30", "schedule.warmupSteps=0");
  await expect(runLoop(contrastive(config))).rejects.toThrow(
    /finetune contrastive: step \d+: expected a finite (loss|gradient norm), got .* from\n {2}train row \d+ \(.*\.jsonl:\d+\)/,
  );
});

test("a recipe's greatest length is lowered to the model's positions, with a note", async () => {
  const notes: string[] = [];
  const task = contrastive(runOf("long", bert, "maxLength=65", "steps=1"), { onNote: (note) => notes.push(note) });
  expect(notes).toEqual([expect.stringMatching(/^maxLength: 64 in place of 65, as .* knows no more positions$/)]);
  expect(task.config).toMatchObject({ maxLength: 64 });
  expect((await runLoop(task)).finished).toBe(true);
});

test("in bf16 and with Matryoshka dimensions a run trains and its scores are finite", async () => {
  const config = runOf("bf16", bert, "dtype=bf16", "dimensions=[8,16,32]", "pooling=cls", "steps=6");
  const { validation, model } = await runLoop(contrastive(config));
  expect(Number.isFinite(validation!.loss)).toBe(true);
  expect(JSON.parse(readFileSync(join(model!, "1_Pooling/config.json"), "utf8"))).toMatchObject({
    pooling_mode_cls_token: true,
    include_prompt: false,
  });
});
