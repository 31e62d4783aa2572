// Cohere's, Jina's, vLLM's pooling and Weaviate's bodies, as functions from request to response: answers equal the library's.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ask as askAt,
  askChecked,
  disposeServed,
  furthest,
  loadServed,
  type RowsLike,
  type SmallServed,
  servedOf,
} from "./fixture-serve.js";
import { createHandler, type Handler } from "./index.js";

const texts = ["the house of a united people", "law", "war and peace shall govern the free states"];
const long = "house ".repeat(100);

let served: SmallServed;
let { encoder, reranker, classifier } = {} as SmallServed;
let handler: Handler;

beforeAll(async () => {
  served = await loadServed();
  ({ encoder, reranker, classifier } = served);
  handler = createHandler(servedOf(served));
}, 120_000);
afterAll(() => disposeServed(served));

const ask = (path: string, body?: unknown, { by = handler, ...init }: RequestInit & { by?: Handler } = {}) =>
  askChecked(by, path, body, init);
const expectRows = (found: number[][], expected: RowsLike) => expect(furthest(found, expected)).toBeLessThan(1e-6);

describe("Cohere, Jina and Weaviate", () => {
  test.each(["/v1/rerank", "/v2/rerank", "/rerank"])("%s takes documents as texts or objects", async (path) => {
    const expected = await reranker.rerank("law", texts, { topK: 2 });
    const documents = [texts[0], { text: texts[1] }, texts[2]];
    const { status, json } = await ask(path, {
      model: "rank",
      query: "law",
      documents,
      top_n: 2,
      return_documents: true,
    });
    expect(status).toBe(200);
    const results = expected.map(({ index, score, text }) => ({ index, relevance_score: score, document: { text } }));
    expect(json).toMatchObject({ model: "rank", results });
    expect(json.results).toHaveLength(2);
  });

  test("a body with a property and no model is Weaviate's: scores in the documents' order", async () => {
    const { json } = await ask("/rerank", { query: "law", documents: texts, property: "" });
    const expected = await reranker.scores(texts.map((text) => ["law", text] as const));
    expect(json).toEqual({ query: "law", scores: texts.map((document, i) => ({ document, score: expected[i] })) });
  });
});

describe("vLLM's /pooling", () => {
  test("gives the tokens' vectors, a text's, or the labels' scores, as numbers or base64", async () => {
    const { json } = await ask("/pooling", { model: "embed", input: texts });
    const all = await encoder.tokens(texts);
    expect(json.data.map(({ index, object }: { index: number; object: string }) => [index, object])).toEqual(
      texts.map((_, i) => [i, "pooling"]),
    );
    for (const [i, rows] of all.entries()) expectRows(json.data[i].data, rows);
    const tokens = texts.reduce((sum, text) => sum + encoder.countTokens(text), 0);
    expect(json.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
    const packed = await ask("/pooling", { input: texts[1], encoding_format: "base64" });
    const bytes = Buffer.from(packed.json.data[0].data, "base64");
    expect([bytes.readFloatLE(0), bytes.length]).toEqual([all[1]!.data[0], 4 * all[1]!.data.length]);
    const pooled = await ask("/pooling", { input: texts, task: "embed", dimensions: 8 });
    expectRows(
      pooled.json.data.map(({ data }: { data: number[] }) => data),
      await encoder.encode(texts, { normalize: true, dimensions: 8 }),
    );
    const labels = await ask("/pooling", { input: texts, task: "classify", use_activation: false });
    const found = await classifier.classify(texts, { activation: "none" });
    for (const [i, { data }] of labels.json.data.entries()) {
      for (const { index, score } of found[i]!) expect(data[index]).toBe(score);
    }
    const onlyLabels = createHandler([{ name: "labels", classifier }]);
    expect((await ask("/pooling", { input: "law" }, { by: onlyLabels })).json.data[0].data).toHaveLength(3);
    for (const no of [{ dimensions: 8 }, { embed_dtype: "float16" }, { endianness: "big" }]) {
      expect((await ask("/pooling", { input: "law", ...no })).status).toBe(400);
    }
  });
});

describe("Cohere's /v2/embed, Jina's fields", () => {
  test("gives each type that is asked for, with the prompt of the input's type", async () => {
    const wanted = ["float", "base64", "ubinary", "binary"];
    const body = { model: "embed", texts, input_type: "search_query", embedding_types: wanted, output_dimension: 16 };
    const { status, json } = await ask("/v2/embed", body);
    expect(status).toBe(200);
    const how = { role: "query", normalize: true, dimensions: 16 } as const;
    const expected = await encoder.encode(texts, how);
    expectRows(json.embeddings.float, expected);
    const [first] = json.embeddings.base64;
    expect(Buffer.from(first, "base64").readFloatLE(4)).toBe(json.embeddings.float[0][1]);
    for (const output of ["ubinary", "binary"] as const) {
      const bits = await encoder.encode(texts, { ...how, output });
      expect(json.embeddings[output]).toEqual(texts.map((_, i) => Array.from(bits.row(i))));
    }
    expect(json).toMatchObject({ texts, response_type: "embeddings_by_type" });
    expect(json.meta.billed_units.input_tokens).toBe(expected.tokenCounts.reduce((a, b) => a + b));
    const parts = await ask("/v2/embed", { inputs: [{ content: [{ type: "text", text: texts[0] }] }] });
    expectRows(parts.json.embeddings.float, await encoder.encode([texts[0]!], { normalize: true }));
    const cut = await ask("/v2/embed", { texts: [long], truncate: "END", max_tokens: 8, report: true });
    expect(cut.json.report).toEqual([{ tokens: 8, cut: 94 }]);
    expect((await ask("/v2/embed", { texts: [long], truncate: "NONE" })).status).toBe(400);
    expect((await ask("/v2/embed", { texts, embedding_types: ["int8"] })).json.message).toContain("ranges");
    expect((await ask("/v2/embed", { model: "embed" })).status).toBe(400);
  });

  test("/v1/embeddings takes Jina's task, embedding_type, normalized texts in objects and messages, and refuses late chunking", async () => {
    const input = texts.map((text) => ({ text }));
    const { json } = await ask("/v1/embeddings", { input, task: "retrieval.query", normalized: false });
    expectRows(
      json.data.map(({ embedding }: { embedding: number[] }) => embedding),
      await encoder.encode(texts, { role: "query", normalize: false }),
    );
    const bits = await ask("/v1/embeddings", { input: texts[0], embedding_type: ["ubinary"] });
    const expected = await encoder.encode(texts[0]!, { output: "ubinary" });
    expect(bits.json.data[0].embedding).toEqual(Array.from(expected));
    expect((await ask("/v1/embeddings", { input: "a", late_chunking: true })).status).toBe(400);
    const messages = texts.map((text) => [{ role: "user", content: [{ type: "text", text }] }]);
    const said = await ask("/v1/embeddings", { messages });
    expect(said.json.data).toEqual((await ask("/v1/embeddings", { input: texts })).json.data);
    const two = [[...messages[0]!, ...messages[1]!]];
    expect((await ask("/v1/embeddings", { messages: two })).status).toBe(400);
    expect((await ask("/v1/embeddings", { model: "embed" })).json.error.param).toBe("input");
    expect((await ask("/v1/embeddings", { input: "a", embed_dtype: "float16" })).status).toBe(400);
  });
});

describe("Weaviate's vectorizer", () => {
  test("/vectors, with a slash behind it or without, gives the vector and its dimensions", async () => {
    for (const path of ["/vectors", "/vectors/"]) {
      const body = { text: "law", config: { pooling_strategy: "masked_mean", task_type: "query", dimensions: 0 } };
      const { status, json } = await askAt(handler, path, body);
      expect([status, json.text, json.dim]).toEqual([200, "law", 32]);
      expectRows([json.vector], await encoder.encode(["law"], { role: "query", normalize: true }));
    }
    const wrong = await ask("/vectors", { texts });
    expect([wrong.status, Object.keys(wrong.json)]).toEqual([400, ["error"]]);
  });

  test("it may see that the server lives, is ready, and what it serves", async () => {
    for (const path of ["/.well-known/live", "/.well-known/ready"]) expect((await ask(path)).status).toBe(204);
    expect((await ask("/meta")).json).toMatchObject({ name: "embed", model_type: "bert", dim: 32 });
    const loading = createHandler(new Promise<never>(() => {}));
    expect((await ask("/.well-known/live", undefined, { by: loading })).status).toBe(204);
    for (const path of ["/.well-known/ready", "/meta"]) {
      const { status, json } = await ask(path, undefined, { by: loading });
      expect([status, Object.keys(json)]).toEqual([503, ["error"]]);
    }
  });
});
