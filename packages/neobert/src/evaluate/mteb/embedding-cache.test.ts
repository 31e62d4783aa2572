import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EmbeddingCache } from "./embedding-cache.js";

let folder: string;
let computed: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "embeddings-"));
  computed = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A vector of a text: its length and the code of its first letter. */
async function compute(texts: readonly string[]) {
  computed.push(...texts);
  return {
    data: Float32Array.from(texts.flatMap((text) => [text.length, text.charCodeAt(0)])),
    shape: [texts.length, 2] as const,
  };
}
const encode = async (texts: string[], prompt = "", identity = "model") => {
  const cache = new EmbeddingCache(folder, identity);
  const done: number[] = [];
  const { data, shape } = await cache.encode(texts, prompt, { compute, onProgress: (count) => done.push(count) });
  cache.close();
  expect(done.at(-1)).toBe(texts.length);
  return Array.from({ length: shape[0] }, (_, i) => [...data.subarray(2 * i, 2 * i + 2)]);
};

test("equal texts are computed once, and each row gets its own vector", async () => {
  expect(await encode(["ab", "c", "ab", "", "c"])).toEqual([
    [2, 97],
    [1, 99],
    [2, 97],
    [0, Number.NaN],
    [1, 99],
  ]);
  expect(computed).toEqual(["ab", "c", ""]);
});

test("a later run computes the texts that are new alone; another prompt or model begins anew", async () => {
  await encode(["a", "bb"]);
  expect(await encode(["bb", "ccc", "a"])).toEqual([
    [2, 98],
    [3, 99],
    [1, 97],
  ]);
  expect(computed).toEqual(["a", "bb", "ccc"]);
  await encode(["ccc", "a"]);
  expect(computed.length).toBe(3);
  await encode(["a"], "query: ");
  await encode(["a"], "", "another");
  expect(computed.length).toBe(5);
});

test("of files that a kill cut off, the whole vectors count and the others are computed again", async () => {
  await encode(["a", "bb", "ccc"]);
  const [store] = readdirSync(folder);
  const vectors = readdirSync(join(folder, store!)).find((name) => name.endsWith(".vectors"))!;
  truncateSync(join(folder, store!, vectors), 2 * 8 + 3);
  computed = [];
  expect(await encode(["a", "bb", "ccc"])).toEqual([
    [1, 97],
    [2, 98],
    [3, 99],
  ]);
  expect(computed).toEqual(["ccc"]);
});

test("keys that a kill has left without vectors are passed over", async () => {
  await encode(["a", "bb"]);
  const [store] = readdirSync(folder);
  writeFileSync(join(folder, store!, "0123456789ab.keys"), "");
  writeFileSync(join(folder, store!, "ba9876543210.keys"), Buffer.alloc(32));
  expect(await encode(["bb", "c"])).toEqual([
    [2, 98],
    [1, 99],
  ]);
  expect(computed).toEqual(["a", "bb", "c"]);
});

test("without a folder nothing is kept", async () => {
  const cache = new EmbeddingCache(undefined, "model");
  await cache.encode(["a"], "", { compute });
  await cache.encode(["a"], "", { compute });
  expect(computed).toEqual(["a", "a"]);
  expect(readdirSync(folder)).toEqual([]);
});

test("vectors of the wrong number or length are refused", async () => {
  const cache = new EmbeddingCache(folder, "model");
  const wrong = async () => ({ data: new Float32Array(2), shape: [1, 2] as const });
  await expect(cache.encode(["a", "b"], "", { compute: wrong })).rejects.toThrow(
    "encode: expected 2 vectors, got 1 of 2",
  );
  cache.close();
});
