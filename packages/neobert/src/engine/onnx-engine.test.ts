// ONNX Runtime against what PyTorch computes (test/golden), on packed batches.

import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Golden, goldenClassifiers, goldenModels, goldenRoot, goldenTaggers } from "../model/golden.js";
import { openModel, saveModel } from "../model/model-folder.js";
import type { PackedBatch } from "../model/packed-batch.js";
import { useOwnCache } from "./fixture-cache.js";
import { loadOnnxEngine, type OnnxEngine, type OnnxEngineOptions } from "./onnx-engine.js";

const own = useOwnCache();

async function withEngine<T>(
  path: string,
  options: Partial<OnnxEngineOptions>,
  body: (engine: OnnxEngine) => Promise<T>,
): Promise<T> {
  const engine = await loadOnnxEngine(path, { dtype: "fp32", threads: 1, ...options });
  try {
    return await body(engine);
  } finally {
    await engine.dispose();
  }
}

function largestDifference(got: Float32Array, expected: Float32Array): number {
  expect(got.length).toBe(expected.length);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
}

const packed = (texts: number[][]): PackedBatch => {
  const cuSeqlens = [0];
  for (const { length } of texts) cuSeqlens.push(cuSeqlens.at(-1)! + length);
  return { ids: Int32Array.from(texts.flat()), cuSeqlens: Int32Array.from(cuSeqlens) };
};

const model = (path: string) => join(goldenRoot, path);

describe.each(goldenModels)("the reference's model %s", (path) => {
  const golden = new Golden(`${path}/expected.safetensors`);

  test("has the same hidden states", () =>
    withEngine(model(path), { head: "none" }, async (engine) => {
      const hidden = await engine.hidden(golden.batch);
      expect(largestDifference(hidden, golden.packed("last_hidden_state", engine.config.hidden_size))).toBeLessThan(
        5e-5,
      );
    }));

  test("has the same masked-language-model logits, for the rows that are asked for", () =>
    withEngine(model(path), { head: "maskedLM" }, async (engine) => {
      const V = engine.config.vocab_size;
      const expected = golden.packed("logits", V);
      // Two of the last text, then one of the first, one of them twice.
      const last = golden.batch.ids.length - 1;
      const rows = Int32Array.of(last, last - 2, 1, last);
      const logits = await engine.maskedLogits(golden.batch, rows);
      const wanted = Float32Array.from([...rows].flatMap((row) => [...expected.subarray(row * V, (row + 1) * V)]));
      expect(largestDifference(logits, wanted)).toBeLessThan(5e-5);
      // The same engine gives hidden states too.
      const hidden = await engine.hidden(golden.batch);
      expect(largestDifference(hidden, golden.packed("last_hidden_state", engine.config.hidden_size))).toBeLessThan(
        5e-5,
      );
    }));

  test.each([
    ["fp32", 1e-5],
    ["int8", 1e-4],
  ] as const)("gives a text the same vector alone and in a batch, in %s", (dtype, tolerance) =>
    withEngine(model(path), { head: "none", dtype }, async (engine) => {
      const C = engine.config.hidden_size;
      const id = (i: number) => 5 + ((i * 37) % 100);
      const lengths = [7, 1, 30, 7, 12, 60, 13, 2];
      const texts = lengths.map((length, text) => Array.from({ length }, (_, i) => id(text * 100 + i)));
      const batch = packed(texts);
      const together = await engine.hidden(batch);
      const mean = (values: Float32Array) => {
        const sums = new Float32Array(C);
        for (let i = 0; i < values.length; i++) sums[i % C]! += values[i]!;
        const norm = Math.hypot(...sums);
        return sums.map((sum) => sum / norm);
      };
      for (const [i, text] of texts.entries()) {
        const alone = mean(await engine.hidden(packed([text])));
        const rows = mean(together.subarray(batch.cuSeqlens[i]! * C, batch.cuSeqlens[i + 1]! * C));
        expect(largestDifference(alone, rows), `text ${i}`).toBeLessThan(tolerance);
      }
    }),
  );
});

test.each(goldenTaggers)("%s has the reference's logits of every token", (path) =>
  withEngine(model(path), {}, async (engine) => {
    const golden = new Golden(`${path}/expected.safetensors`);
    const logits = await engine.tokenLogits(golden.batch);
    expect(logits.length).toBeGreaterThan(0);
    expect(largestDifference(logits, golden.packed("logits", logits.length / golden.batch.ids.length))).toBeLessThan(
      5e-5,
    );
  }),
);

test.each(goldenClassifiers)("%s has the reference's class logits", (path) =>
  withEngine(model(path), { head: "sequenceClassification" }, async (engine) => {
    const golden = new Golden(`${path}/expected.safetensors`);
    const logits = await engine.sequenceLogits(golden.batch);
    expect(largestDifference(logits, golden.values.get("logits")!)).toBeLessThan(5e-5);
  }),
);

test("token logits are the classifier on every token's hidden state", async () => {
  const golden = new Golden("bert/expected.safetensors");
  const source = openModel(model("bert"), { head: "tokenClassification", freshHead: true, seed: 3 });
  const tagger = join(own.folder, "tagger");
  saveModel(tagger, source);
  const [weight, bias] = [source.values("classifier.weight"), source.values("classifier.bias")];
  source.close();
  await withEngine(tagger, {}, async (engine) => {
    expect(engine.head).toBe("tokenClassification");
    const C = engine.config.hidden_size;
    const hidden = golden.packed("last_hidden_state", C);
    const expected = Float32Array.from({ length: golden.batch.ids.length * bias.length }, (_, i) => {
      const [row, label] = [Math.floor(i / bias.length), i % bias.length];
      return (
        bias[label]! +
        weight.subarray(label * C, (label + 1) * C).reduce((sum, w, j) => sum + w * hidden[row * C + j]!, 0)
      );
    });
    expect(largestDifference(await engine.tokenLogits(golden.batch), expected)).toBeLessThan(5e-5);
    await expect(engine.sequenceLogits(golden.batch)).rejects.toThrow(
      /expected BertForSequenceClassification, got BertForToken/,
    );
  });
});

test("BERT's segments reach its embedding", () =>
  withEngine(model("bert"), { head: "none" }, async (engine) => {
    const batch = packed([[5, 6, 7, 8]]);
    const plain = await engine.hidden(batch);
    expect(await engine.hidden({ ...batch, tokenTypes: Int32Array.of(0, 0, 0, 0) })).toEqual(plain);
    const second = await engine.hidden({ ...batch, tokenTypes: Int32Array.of(0, 0, 1, 1) });
    expect(largestDifference(second, plain)).toBeGreaterThan(1e-2);
  }));

test("a batch of no texts gives no rows", () =>
  withEngine(model("bert"), { head: "none" }, async (engine) => {
    expect(await engine.hidden({ ids: new Int32Array(0), cuSeqlens: Int32Array.of(0) })).toHaveLength(0);
  }));

test("ids of another vocabulary and texts that are too long are refused", () =>
  withEngine(model("neobert/m0"), { head: "none" }, async (engine) => {
    await expect(engine.hidden(packed([[5, 131]]))).rejects.toThrow(/ids from 0 to 130, got 131 in row 1/);
    await expect(engine.hidden(packed([Array(129).fill(5)]))).rejects.toThrow(/at most 128 tokens, got 129/);
  }));

describe("the cache", () => {
  const batch = packed([[5, 6, 7]]);
  const root = () => join(own.folder, "one-cache");
  const graphs = () => readdirSync(join(root(), "onnx")).map((name) => join(root(), "onnx", name));
  const hidden = () => withEngine(join(own.folder, "cached"), { head: "none" }, (engine) => engine.hidden(batch));
  beforeAll(() => {
    process.env.NEOBERT_CACHE = root();
    saveModel(join(own.folder, "cached"), openModel(model("bert"), { head: "none" }));
  });
  afterAll(() => {
    process.env.NEOBERT_CACHE = join(own.folder, "cache");
  });

  test("has the graph after the first load, and the second one makes nothing", async () => {
    const first = await hidden();
    const [graph, ...others] = graphs();
    expect(others).toEqual([]);
    const made = statSync(join(graph!, "model.onnx")).mtimeMs;
    expect(await hidden()).toEqual(first);
    expect(graphs()).toEqual([graph]);
    expect(statSync(join(graph!, "model.onnx")).mtimeMs).toBe(made);
  });

  test.each(["model.onnx", "model.onnx_data"])("has a broken %s made anew", async (file) => {
    const whole = await hidden();
    const path = join(graphs()[0]!, file);
    const { size } = statSync(path);
    truncateSync(path, size >> 1);
    expect(await hidden()).toEqual(whole);
    expect(statSync(path).size).toBe(size);
    rmSync(path);
    expect(await hidden()).toEqual(whole);
  });

  test("has another graph for other weights under the same name", async () => {
    const first = await hidden();
    const other = openModel(model("bert"), { head: "none" });
    const values = (name: string) => other.values(name).map((value) => value * 1.5);
    saveModel(join(own.folder, "cached"), { ...other, values });
    expect(largestDifference(await hidden(), first)).toBeGreaterThan(1e-3);
    expect(graphs()).toHaveLength(2);
  });
});
