// The libtorch engine in int8 against what PyTorch computes in float32 (test/golden), on packed batches.

import { existsSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { liveTensors } from "@neobert/torch";
import { describe, expect, test } from "vitest";
import { Golden, goldenClassifiers, goldenModels, goldenRoot, goldenTaggers } from "../model/golden.js";
import type { PackedBatch } from "../model/packed-batch.js";
import { TorchModel } from "../model/torch/torch-model.js";
import { PackedWeights } from "../model/torch/torch-packed-weights.js";
import { calibrationBatch } from "../texts/calibration-texts.js";
import type { Engine } from "./engine.js";
import { useOwnCache } from "./fixture-cache.js";
import { loadTorchEngine, type TorchEngineOptions } from "./torch-engine.js";

const own = useOwnCache();

async function withEngine<T>(
  path: string,
  options: Partial<TorchEngineOptions>,
  body: (engine: Engine) => Promise<T>,
): Promise<T> {
  const live = liveTensors();
  const engine = await loadTorchEngine(join(goldenRoot, path), { dtype: "int8", threads: 1, ...options });
  try {
    return await body(engine);
  } finally {
    await engine.dispose();
    expect(liveTensors()).toBe(live);
  }
}

/** Mean cosine of rows of `width` values. */
function cosineOfRows(got: Float32Array, expected: Float32Array, width: number): number {
  expect(got.length).toBe(expected.length);
  const rows = got.length / width;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const [x, y] = [got, expected].map((values) => values.subarray(row * width, (row + 1) * width)) as [
      Float32Array,
      Float32Array,
    ];
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((total, value, i) => total + value * b[i]!, 0);
    sum += dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  }
  return sum / rows;
}

const alone = ({ ids, cuSeqlens }: PackedBatch, i: number): PackedBatch => {
  const own = ids.slice(cuSeqlens[i]!, cuSeqlens[i + 1]!);
  return { ids: own, cuSeqlens: Int32Array.of(0, own.length) };
};

describe.each(goldenModels)("the reference's model %s in int8", (path) => {
  const golden = new Golden(`${path}/expected.safetensors`);

  test("has nearly the same hidden states and logits", async () => {
    await withEngine(path, { head: "none" }, async (engine) => {
      const C = engine.config.hidden_size;
      const hidden = await engine.hidden(golden.batch);
      expect(cosineOfRows(hidden, golden.packed("last_hidden_state", C), C)).toBeGreaterThan(0.998);
    });
    await withEngine(path, { head: "maskedLM" }, async (engine) => {
      const V = engine.config.vocab_size;
      const rows = Int32Array.from(golden.batch.ids.keys());
      const logits = await engine.maskedLogits(golden.batch, rows);
      expect(cosineOfRows(logits, golden.packed("logits", V), V)).toBeGreaterThan(0.998);
    });
  });

  test("gives a text the same values to the bit alone and among others", () =>
    withEngine(path, { head: "none" }, async (engine) => {
      const C = engine.config.hidden_size;
      const together = await engine.hidden(golden.batch);
      const { cuSeqlens } = golden.batch;
      for (let i = 0; i + 1 < cuSeqlens.length; i++) {
        const own = await engine.hidden(alone(golden.batch, i));
        expect(own).toEqual(together.subarray(cuSeqlens[i]! * C, cuSeqlens[i + 1]! * C));
      }
    }));
});

test.each(goldenClassifiers)("the classifier %s in int8 has nearly the same logits", (path) =>
  withEngine(path, {}, async (engine) => {
    const golden = new Golden(`${path}/expected.safetensors`);
    const expected = golden.values.get("logits")!;
    const largest = Math.max(...expected.map(Math.abs));
    const logits = await engine.sequenceLogits(golden.batch);
    expect(Math.max(...logits.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(0.05 * largest);
  }),
);

test.each(goldenTaggers)("the tagger %s in int8 has nearly the same logits", (path) =>
  withEngine(path, {}, async (engine) => {
    const golden = new Golden(`${path}/expected.safetensors`);
    const logits = await engine.tokenLogits(golden.batch);
    const width = logits.length / golden.batch.ids.length;
    expect(cosineOfRows(logits, golden.packed("logits", width), width)).toBeGreaterThan(0.998);
  }),
);

test("packed weights come out of the cache, and are made again where the file is broken", async () => {
  const { batch } = new Golden("bert/expected.safetensors");
  const run = () => withEngine("bert", { head: "none" }, (engine) => engine.hidden(batch));
  const first = await run();
  const kept = join(process.env.NEOBERT_CACHE!, "int8");
  const names = readdirSync(kept);
  expect(await run()).toEqual(first);
  expect(readdirSync(kept)).toEqual(names);
  for (const name of names) truncateSync(join(kept, name, "int8.safetensors"), 100);
  expect(await run()).toEqual(first);
});

test("auto takes bf16 or fp32 by what it measures, and says it", async () => {
  const { batch } = new Golden("bert/expected.safetensors");
  const run = (dtype: "auto" | "fp32" | "bf16") =>
    withEngine("bert", { head: "none", dtype }, async ({ hidden, dtype, note }) => ({
      values: await hidden(batch),
      dtype,
      note,
    }));
  const { values, dtype, note } = await run("auto");
  expect(["fp32", "bf16"]).toContain(dtype);
  expect(note).toMatch(
    new RegExp(`^dtype auto: ${dtype} \\(here bf16 is [\\d.]+ times as fast as fp32, .* (0\\.99|1\\.00)\\d+\\)$`),
  );
  expect(values).toEqual((await run(dtype as "fp32")).values);
});

test("int8 says how many layers it has, and is calibrated on the texts that are given", async () => {
  const { batch } = new Golden("bert/expected.safetensors");
  const run = (calibrate?: string[]) =>
    withEngine("bert", { head: "none", ...(calibrate && { calibrate }) }, async ({ hidden, note }) => {
      expect(note).toMatch(/^int8: \d+ layers; the cosine of its vectors with fp32's is (0\.99|1\.00)\d+$/);
      return hidden(batch);
    });
  expect(await run(["a b c", "d e f g"])).not.toEqual(await run());
});

test("as many layers stay float as a cosine takes, those with the largest errors first, and the file says which", () => {
  const live = liveTensors();
  const path = join(goldenRoot, "neobert/base");
  const model = TorchModel.load(path, { head: "none" });
  const batch = calibrationBatch(path, model);
  const loose = PackedWeights.quantize(model, batch, 0);
  expect(loose.kept).toEqual([]);
  const strict = PackedWeights.quantize(model, batch, loose.cosine + (1 - loose.cosine) / 2);
  expect(strict.kept.length).toBeGreaterThan(0);
  expect(strict.names.size).toBe(loose.names.size - strict.kept.length);
  expect(strict.cosine).toBeGreaterThan(loose.cosine);
  const all = PackedWeights.quantize(model, batch, 1.1);
  expect(all.names.size).toBe(0);
  expect(all.cosine).toBeCloseTo(1, 4);
  const file = join(own.folder, "strict.safetensors");
  strict.save(file);
  const loaded = PackedWeights.load(file);
  expect({ kept: loaded.kept, cosine: loaded.cosine, names: loaded.names }).toEqual({
    kept: strict.kept,
    cosine: strict.cosine,
    names: strict.names,
  });
  for (const weights of [loose, strict, all, loaded]) weights.dispose();
  model.dispose();
  expect(liveTensors()).toBe(live);
  expect(existsSync(file)).toBe(true);
});
