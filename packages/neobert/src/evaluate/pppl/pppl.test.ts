// Against values made with the reference's model (test/golden/training/pseudo_perplexity.json) and transformers' logits of
// the other encoders, and against the masks one by one. What the reference's own script does wrong is named where a test
// would catch it.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineName } from "../../engine/engine.js";
import { logProbabilities } from "../../engine/engine-tasks.js";
import { loadEngine } from "../../engine/load-engine.js";
import { Golden, goldenConfig, goldenRoot, goldens } from "../../model/golden.js";
import type { Encoding } from "../../tokenizer/index.js";
import { type MaskedLM, maskedText, scoreTexts, type TextScore } from "./pppl.js";

let cache: string;
const before = process.env.NEOBERT_CACHE;
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "neobert-pppl-"));
  process.env.NEOBERT_CACHE = cache;
});
afterAll(() => {
  rmSync(cache, { recursive: true });
  if (before === undefined) delete process.env.NEOBERT_CACHE;
  else process.env.NEOBERT_CACHE = before;
});

interface GoldenFile {
  mask_token_id: number;
  cls_token_id: number;
  sep_token_id: number;
  sequences: { ids: number[]; log_probs: number[]; all_positions: number; without_first_and_last: number }[];
}
const golden: GoldenFile = JSON.parse(readFileSync(join(goldenRoot, "training/pseudo_perplexity.json"), "utf8"));
const sequences = golden.sequences.map(({ ids }) => ids);

/** A tokenizer whose texts are the places of sequences of ids, the first and the last of them put there by its template. */
function idTokenizer(texts: readonly number[][], special: { mask: number; cls?: number; sep?: number; unk?: number }) {
  return {
    specialIds: special as MaskedLM["tokenizer"]["specialIds"],
    encode: (text: string, { maxLength = Number.POSITIVE_INFINITY }: { maxLength?: number }) => {
      const all = texts[Number(text)]!;
      const ids = all.length <= maxLength ? all : [...all.slice(0, maxLength - 1), all.at(-1)!];
      const specialTokensMask = ids.map((_, i) => (i === 0 || i === ids.length - 1 ? 1 : 0));
      return { ids: Int32Array.from(ids), specialTokensMask: Int32Array.from(specialTokensMask) } as Encoding;
    },
  };
}

const { mask_token_id: mask, cls_token_id: cls, sep_token_id: sep } = golden;

interface Calls {
  sizes: number[];
  tokens: number[];
}

async function withModel<T>(
  path: string,
  engineName: EngineName,
  tokenizer: MaskedLM["tokenizer"],
  body: (model: MaskedLM, calls: Calls) => Promise<T>,
): Promise<T> {
  const engine = await loadEngine(join(goldenRoot, path), {
    engine: engineName,
    dtype: "fp32",
    head: "maskedLM",
    threads: 1,
  });
  const calls: Calls = { sizes: [], tokens: [] };
  try {
    const model: MaskedLM = {
      tokenizer,
      maxTokens: 128,
      maxPositions: Number.POSITIVE_INFINITY,
      logProbabilities: async (batch, rows, ids) => {
        calls.sizes.push(rows.length);
        calls.tokens.push(batch.ids.length);
        return logProbabilities(await engine.maskedLogits(batch, rows), ids);
      },
    };
    return await body(model, calls);
  } finally {
    await engine.dispose();
  }
}

async function scores(
  model: MaskedLM,
  count: number,
  options: { sample?: number; seed?: number; batchTokens?: number },
) {
  const texts = Array.from({ length: count }, (_, i) => maskedText(model, `${i}`, options)!);
  const found: TextScore[] = [];
  for await (const score of scoreTexts(model, texts, options)) found.push(score);
  return found;
}

describe.each<EngineName>(["onnx", "torch"])("with %s", (engine) => {
  test("pseudo-perplexity equals the reference's where [CLS] and [SEP] are left out, which its script masks too", () =>
    withModel("neobert/base", engine, idTokenizer(sequences, { mask, cls, sep }), async (model) => {
      const found = await scores(model, sequences.length, {});
      expect(found).toHaveLength(golden.sequences.length); // its script never writes the last text
      for (const [i, { without_first_and_last, all_positions, ids }] of golden.sequences.entries()) {
        const { tokens, masks, pseudoPerplexity, standardError } = found[i]!;
        expect([tokens, masks, standardError]).toEqual([ids.length, ids.length - 2, undefined]);
        expect(Math.abs(pseudoPerplexity / without_first_and_last - 1)).toBeLessThan(1e-4);
        expect(Math.abs(pseudoPerplexity / all_positions - 1)).toBeGreaterThan(1e-3);
      }
    }));

  test.each(Object.values(goldens).map(({ models }) => models[0]!))(
    "log-probabilities are those of the published weights, not of fresh ones as RoBERTa's in the reference's script: %s",
    (path) =>
      withModel(path, engine, idTokenizer([], { mask }), async (model) => {
        const file = new Golden(`${path}/expected.safetensors`);
        const { ids, cuSeqlens } = file.batch;
        const V = goldenConfig(path).vocab_size;
        const logits = file.packed("logits", V);
        const rows = Int32Array.from(ids.keys());
        const labels = rows.map((row) => (7 * row + 3) % V);
        const found = await model.logProbabilities({ ids: ids.slice(), cuSeqlens: cuSeqlens.slice() }, rows, labels);
        for (const row of rows) {
          const ofRow = [...logits.subarray(row * V, (row + 1) * V)];
          const expected = ofRow[labels[row]!]! - Math.log(ofRow.reduce((sum, value) => sum + Math.exp(value), 0));
          expect(Math.abs(found[row]! - expected)).toBeLessThan(1e-4);
        }
      }),
  );
});

test("each position's log-probability is the reference's, and is the same in any batch", () =>
  withModel("neobert/base", "onnx", idTokenizer(sequences, { mask, cls, sep }), async (model, calls) => {
    const whole = await scores(model, sequences.length, {});
    const alone = await scores(model, sequences.length, { batchTokens: 1 });
    for (const [i, { log_probs }] of golden.sequences.entries()) {
      const inner = log_probs.slice(1, -1);
      const mean = inner.reduce((sum, value) => sum + value, 0) / inner.length;
      expect(Math.abs(whole[i]!.logProbability - mean)).toBeLessThan(1e-4);
      expect(Math.abs(whole[i]!.logProbability - alone[i]!.logProbability)).toBeLessThan(1e-5);
    }
    const masks = sequences.reduce((sum, ids) => sum + ids.length - 2, 0);
    expect(calls.sizes.filter((size) => size === 1)).toHaveLength(masks);
  }));

test("a batch holds the masks of several texts, and never more tokens than its budget", () =>
  withModel("neobert/base", "onnx", idTokenizer(sequences, { mask, cls, sep }), async (model, calls) => {
    await scores(model, sequences.length, { batchTokens: 500 });
    expect(Math.max(...calls.tokens)).toBeLessThanOrEqual(500);
    // Full but for the last: every batch is left when the next copy, of 40 tokens at most, would not fit.
    expect(Math.min(...calls.tokens.slice(0, -1))).toBeGreaterThan(500 - 40);
  }));

test("special tokens in the text itself are no masks either, and a text of nothing else has no score", () => {
  const texts = [
    [cls, 20, 1, sep, 30, sep],
    [cls, sep],
    [cls, mask, sep],
  ];
  const tokenizer = idTokenizer(texts, { mask, cls, sep, unk: 1 });
  const model: MaskedLM = {
    tokenizer,
    maxTokens: 128,
    maxPositions: 512,
    logProbabilities: () => Promise.reject(new Error("not asked")),
  };
  expect([...maskedText(model, "0")!.positions]).toEqual([1, 4]);
  expect(maskedText(model, "1")).toBeUndefined();
  expect(maskedText(model, "2")).toBeUndefined();
});

describe("with a sample of masks", () => {
  const long = [Array.from({ length: 40 }, (_, i) => (i === 0 ? cls : i === 39 ? sep : 5 + ((i * 37) % 120)))];

  test("the draw follows the seed and the text alone, and is of different tokens of the text", () =>
    withModel("neobert/base", "onnx", idTokenizer([...long, ...sequences], { mask, cls, sep }), async (model) => {
      const draw = (seed: number) => [...maskedText(model, "0", { sample: 10, seed })!.positions];
      expect(new Set(draw(0)).size).toBe(10);
      expect(draw(0)).toEqual(draw(0));
      expect(draw(0)).not.toEqual(draw(1));
      const [alone] = await scores(model, 1, { sample: 10 });
      const [among] = await scores(model, 4, { sample: 10 });
      expect(among!.id).toBe(alone!.id);
      expect(among!.pseudoPerplexity).toBeCloseTo(alone!.pseudoPerplexity, 3);
    }));

  test("the standard error is the spread of the estimate over seeds, and a sample of all tokens is exact", () =>
    withModel("neobert/base", "onnx", idTokenizer(long, { mask, cls, sep }), async (model) => {
      const [exact] = await scores(model, 1, {});
      const estimates: TextScore[] = [];
      for (let seed = 0; seed < 60; seed++) estimates.push((await scores(model, 1, { sample: 12, seed }))[0]!);
      const logs = estimates.map(({ logProbability }) => logProbability);
      const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
      const spread = Math.sqrt(logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (logs.length - 1));
      const said =
        estimates.reduce((sum, { standardError, pseudoPerplexity }) => sum + standardError! / pseudoPerplexity, 0) / 60;
      expect(Math.abs(mean - exact!.logProbability)).toBeLessThan(4 * (spread / Math.sqrt(60)));
      // 60 draws tell their own deviation to about 10 %.
      expect(said / spread).toBeGreaterThan(0.7);
      expect(said / spread).toBeLessThan(1.4);
      expect((await scores(model, 1, { sample: 38 }))[0]).toEqual(exact);
      expect((await scores(model, 1, { sample: 1 }))[0]!.standardError).toBeNull();
    }));
});

test("texts longer than the model's training are scored, longer than its positions refused", () =>
  withModel(
    "neobert/base",
    "onnx",
    idTokenizer([Array.from({ length: 300 }, (_, i) => 5 + (i % 100))], { mask }),
    async (model) => {
      const text = maskedText(model, "0", { maxLength: 200, sample: 3 })!;
      expect(text.ids).toHaveLength(200); // the model's max_length is 128
      for await (const { pseudoPerplexity } of scoreTexts(model, [text])) expect(pseudoPerplexity).toBeGreaterThan(1);
      expect(() => maskedText({ ...model, maxPositions: 128 }, "0", { maxLength: 200 })).toThrow(
        /at most the model's 128 positions, got 200\nOnly models with rotary/,
      );
    },
  ));
