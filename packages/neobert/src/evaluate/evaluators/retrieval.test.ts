// Oracles: golden/metrics/dense_search.json.gz, made by mteb's exact search; the scores themselves are tested in
// metrics/ranking.test.ts. Against a search that sorts every document, properties of the chunks.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { plainProducts } from "../learn/products.js";
import { RandomState } from "../learn/random-state.js";
import { torchProducts } from "../learn/torch-products.js";
import { evaluateRetrieval } from "./retrieval.js";
import { searchExact } from "./search.js";
import type { Encode } from "./types.js";

const { query_embeddings, document_ids, document_embeddings, expected } = golden("dense_search.json.gz");
const d = query_embeddings[0].length;
const queries = { data: Float32Array.from(query_embeddings.flat()), shape: [query_embeddings.length, d] as const };
const corpus = document_ids.map((id: string, i: number) => ({ id, text: String(i) }));
const encode: Encode = async (texts) => ({
  data: Float32Array.from(texts.flatMap((text) => document_embeddings[Number(text)])),
  shape: [texts.length, d],
});

describe.each([["plain loops", () => plainProducts] as const, ["libtorch", torchProducts] as const])(
  "with %s",
  (_, load) => {
    test.each([50_000, 7])("the 20 best documents of each query are mteb's, in chunks of %i", async (chunkSize) => {
      const found = await searchExact(queries, corpus, encode, { products: await load(), topK: 20, chunkSize });
      for (const [i, ranking] of found.entries()) {
        const wanted: [string, number][] = expected[`q${i}`];
        expect([...ranking.keys()]).toEqual(wanted.map(([id]) => id));
        for (const [id, score] of wanted) expect(Math.abs(ranking.get(id)! - score)).toBeLessThan(1e-6);
      }
    });
  },
);

test("a search for few among many keeps the best, whatever the order in which they come", async () => {
  const random = new RandomState(7);
  const vectors = Array.from({ length: 3000 }, () => [
    Math.round(4 * random.randn()),
    Math.round(4 * random.randn()),
    1,
  ]);
  const documents = vectors.map((_, i) => ({ id: `d${i}`, text: String(i) }));
  const query = { data: Float32Array.from([0.6, 0.8, 0.1]), shape: [1, 3] as const };
  const look: Encode = async (texts) => ({
    data: Float32Array.from(texts.flatMap((text) => vectors[Number(text)]!)),
    shape: [texts.length, 3],
  });
  const options = { products: plainProducts, chunkSize: 500 };
  const [all] = await searchExact(query, documents, look, { ...options, topK: 3000 });
  const [best] = await searchExact(query, documents, look, { ...options, topK: 10 });
  expect(all!.size).toBe(3000);
  expect([...best!]).toEqual([...all!].slice(0, 10));
  // Many directions occur more than once: ties are decided by the larger id.
  const ties = [...all!].filter(([, score], i, list) => i > 0 && list[i - 1]![1] === score);
  expect(ties.length).toBeGreaterThan(100);
  for (const [i, [id, score]] of [...all!].entries()) {
    const before = [...all!.keys()][i - 1];
    if (i > 0 && all!.get(before!) === score) expect(before! > id).toBe(true);
  }
});

test("a vector that is no number is scored -1, and does not get in the way", async () => {
  const look: Encode = async (texts) => ({
    data: Float32Array.from(texts.flatMap((text) => (text === "nan" ? [Number.NaN, 0] : [1, 0.5]))),
    shape: [texts.length, 2],
  });
  const query = { data: Float32Array.from([1, 1]), shape: [1, 2] as const };
  const documents = ["nan", "a"].map((text) => ({ id: text, text }));
  const [found] = await searchExact(query, documents, look, { products: plainProducts, topK: 5 });
  expect([...found!.keys()]).toEqual(["a", "nan"]);
  expect(found!.get("nan")).toBe(-1);
});

test("retrieval's keys are mteb's, means have five decimals, and unjudged queries are left out", async () => {
  const named: Encode = async (texts) => ({
    data: Float32Array.from(
      texts.flatMap((text) =>
        text.startsWith("q") ? query_embeddings[Number(text.slice(1))] : document_embeddings[Number(text)],
      ),
    ),
    shape: [texts.length, d],
  });
  const judgements = new Map<string, Map<string, number>>();
  for (const i of [0, 1, 2, 4]) judgements.set(`q${i}`, new Map([[expected[`q${i}`][i][0], 1]]));
  const data = {
    corpus,
    queries: query_embeddings.map((_: unknown, i: number) => ({ id: `q${i}`, text: `q${i}` })),
    judgements,
  };
  const got = await evaluateRetrieval(data, named);
  const places = [1, 2, 3, 5];
  const ndcg = places.reduce((sum, place) => sum + 1 / Math.log2(place + 1), 0) / 4;
  expect(got.ndcg_at_10).toBe(Number(ndcg.toFixed(5)));
  expect(got.main_score).toBe(got.ndcg_at_10);
  expect(got.mrr_at_3).toBeCloseTo((1 + 1 / 2 + 1 / 3) / 4, 12);
  expect(got.recall_at_1).toBe(0.25);
  expect(got.precision_at_10).toBe(0.1);
  expect(Object.keys(got)).toContain("nauc_precision_at_1000_diff1");
  expect(Object.keys(got)).toContain("nauc_mrr_at_10_max");
  expect(Object.keys(got).length).toBe(5 * 7 * 4 + 1);

  // A query's own document does not count where identical ids are ignored.
  const own = { ...data, corpus: [...corpus, { id: "q0", text: "q0" }] };
  const ignoring = await evaluateRetrieval({ ...own, ignoreIdenticalIds: true }, named);
  expect(ignoring.ndcg_at_10).toBe(got.ndcg_at_10);
  expect((await evaluateRetrieval(own, named)).ndcg_at_10).toBeLessThan(got.ndcg_at_10 as number);
  await expect(evaluateRetrieval({ ...data, judgements: new Map() }, named)).rejects.toThrow("queries with judgements");
});
