// Real weights: all-MiniLM-L6-v2 (fetched once, see tools/minilm.mjs) against the vectors that sentence-transformers gave for
// 300 real texts, and against its published score on STSBenchmark. Skipped where the weights cannot be had.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../packages/neobert/src/files/safetensors.js";
import { Encoder, Rows } from "../packages/neobert/src/index.js";
import { fetchMiniLM } from "../tools/minilm.mjs";

const model = await fetchMiniLM();
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const stsb = at("../../shared/data/stsb/stsb-en-test.csv");

const texts: string[] = JSON.parse(gunzipSync(readFileSync(at("golden/minilm/texts.json.gz"))).toString()).texts.map(
  ({ text }: { text: string }) => text,
);
const golden = openSafetensors(at("golden/minilm/embeddings.safetensors")).read("embeddings");
const expected = new Rows(golden.data as Float32Array, [texts.length, 384]);

/** Ranks from 1, equal values sharing their mean, and Pearson's correlation of them. */
function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [a, b].map((values) => {
    const order = Array.from(values, (_, i) => i).sort((i, j) => values[i]! - values[j]!);
    const ranks = new Float64Array(values.length);
    for (let start = 0, end = 0; start < order.length; start = end) {
      while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
      for (let k = start; k < end; k++) ranks[order[k]!] = (start + end + 1) / 2;
    }
    return ranks;
  }) as [Float64Array, Float64Array];
  const mean = (x.length + 1) / 2;
  const product = (u: Float64Array, v: Float64Array) =>
    u.reduce((sum, _, i) => sum + (u[i]! - mean) * (v[i]! - mean), 0);
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}

describe.skipIf(!model).each([
  { engine: "onnx", dtype: "fp32", alike: 1e-5 },
  { engine: "onnx", dtype: "int8", alike: 1e-4 },
  { engine: "torch", dtype: "fp32", alike: 1e-5 },
] as const)("all-MiniLM-L6-v2 on $engine in $dtype", ({ engine, dtype, alike }) => {
  let encoder: Encoder;
  let vectors: Rows<Float32Array>;
  beforeAll(async () => {
    encoder = await Encoder.load(model!, { engine, dtype });
    vectors = await encoder.encode(texts);
  }, 120_000);
  afterAll(() => encoder.dispose());

  test("gives sentence-transformers' vectors", () => {
    const cosines = texts.map((_, i) => encoder.similarity(vectors.row(i), expected.row(i)));
    const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
    if (dtype === "int8") expect(mean).toBeGreaterThan(0.98);
    else expect(Math.min(...cosines)).toBeGreaterThan(0.99999);
  });

  test("gives a text the same vector alone, in any batch, in any order", async () => {
    const some = Array.from({ length: 40 }, (_, i) => (i * 37) % texts.length);
    const backwards = await encoder.encode(some.map((i) => texts[i]!).reverse());
    const difference = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, c) => Math.abs(value - b[c]!)));
    for (const [place, i] of some.entries()) {
      expect(difference(backwards.row(some.length - 1 - place), vectors.row(i))).toBeLessThan(alike);
      if (place % 3 === 0) expect(difference(await encoder.encode(texts[i]!), vectors.row(i))).toBeLessThan(alike);
    }
  });

  test.skipIf(!existsSync(stsb) || engine === "torch")("keeps its score on STSBenchmark to 0.3 points", async () => {
    const rows = parse(readFileSync(stsb, "utf8")) as [string, string, string][];
    const [first, second] = [await encoder.encode(rows.map(([a]) => a)), await encoder.encode(rows.map(([, b]) => b))];
    const scores = rows.map((_, i) => encoder.similarity(first.row(i), second.row(i)));
    const points =
      100 *
      spearman(
        scores,
        rows.map(([, , score]) => Number(score)),
      );
    expect(rows.length).toBe(1379);
    expect(Math.abs(points - 82.03)).toBeLessThan(dtype === "int8" ? 0.3 : 0.02);
  });
});
