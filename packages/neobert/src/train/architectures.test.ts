// Every architecture trains with the same loop: oracles are the loss at the start, the unbroken run, and the same step with
// all activations kept.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Generator, liveTensors, tidy } from "@neobert/torch";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { modelTypes } from "../model/architectures.js";
import { smallConfig, smallFields } from "../model/fixture-model.js";
import { TorchModel } from "../model/torch/torch-model.js";
import { TorchOps } from "../model/torch/torch-ops.js";
import { smallRun, writePreparedFolder } from "./fixture-train.js";
import { runPretraining } from "./pretrain/pretrain-task.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => expect(liveTensors()).toBe(0));

describe.each(modelTypes)("%s", (modelType) => {
  test("learns: its loss falls, in bf16 too, and a resumed run equals the unbroken one", async () => {
    const overrides = [
      `model=${JSON.stringify({ model_type: modelType, ...smallFields(modelType) })}`,
      "steps=30",
      "tokensPerStep=512",
      "microBatchTokens=256",
    ];
    const losses = (name: string) =>
      readFileSync(join(root, name, "metrics.jsonl"), "utf8")
        .trim()
        .split("\n")
        .flatMap((line) => JSON.parse(line).loss ?? []);
    for (const dtype of ["fp32", "bf16"]) {
      const name = `${modelType}-${dtype}`;
      const run = await runPretraining(smallRun(root, name, ...overrides, `dtype=${dtype}`));
      expect(losses(name)[0]).toBeGreaterThan(3);
      expect(losses(name).at(-1)).toBeLessThan(losses(name)[0] - 0.8);
      if (dtype === "bf16") continue;
      const config = smallRun(root, `${name}-stopped`, ...overrides, `dtype=${dtype}`);
      let taken = 0;
      await runPretraining(config, { onStep: () => taken++, shouldStop: () => taken >= 17 });
      const resumed = await runPretraining(config, { resume: true });
      const weights = (checkpoint: string) => readFileSync(join(checkpoint, "model.safetensors"));
      expect(weights(resumed.checkpoint!).equals(weights(run.checkpoint!))).toBe(true);
    }
  });

  test("with recomputed activations has the gradients it has with all of them kept, dropout included", () => {
    const model = TorchModel.create(smallConfig(modelType, { tokens: 50 }), { seed: 1 });
    const batch = {
      ids: Int32Array.from({ length: 20 }, (_, i) => 1 + ((7 * i) % 49)),
      cuSeqlens: Int32Array.of(0, 13, 20),
      maskedRows: Int32Array.of(2, 3, 15),
      labels: Int32Array.of(5, 6, 7),
    };
    const gradients = (options: { checkpoint?: boolean; seed?: number; plain?: boolean }) =>
      tidy(() => {
        const { checkpoint = false, seed = 1, plain = false } = options;
        const ops = new TorchOps({ checkpoint, ...(!plain && { generator: new Generator(seed) }) });
        ops.backward(model.loss(batch, { ops }).sum);
        return [...model.weights.values()].flatMap((weight) => {
          const values = weight.grad ? weight.grad.toArray() : [];
          weight.grad = undefined;
          return values;
        });
      });
    const kept = gradients({});
    const difference = (other: number[]) =>
      kept.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0) / Math.max(...kept.map(Math.abs));
    expect(difference(gradients({ checkpoint: true }))).toBeLessThan(1e-5);
    expect(difference(gradients({ seed: 2 }))).toBeGreaterThan(1e-3);
    expect(difference(gradients({ plain: true }))).toBeGreaterThan(1e-3);
    model.dispose();
  });
});
