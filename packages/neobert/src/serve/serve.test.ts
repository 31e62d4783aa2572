// Every route as a function from request to response, on small models: answers equal the library's, and what cannot be
// answered is refused with the status that clients of each contract know.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Encoder } from "../encoder/encoder.js";
import {
  askChecked,
  disposeServed,
  furthest,
  loadServed,
  type RowsLike,
  type SmallServed,
  servedOf,
} from "./fixture-serve.js";
import { createHandler, type Handler, type HandlerOptions, LaterModel, type RequestRecord } from "./index.js";
import { routes } from "./routes.js";

const texts = ["the house of a united people", "law", "war and peace shall govern the free states"];
const long = "house ".repeat(100);

let served: SmallServed;
let { encoder, reranker, classifier, fillMask, tagger } = {} as SmallServed;
let handler: Handler;

beforeAll(async () => {
  served = await loadServed();
  ({ encoder, reranker, classifier, fillMask, tagger } = served);
  handler = createHandler(servedOf(served));
}, 120_000);
afterAll(() => disposeServed(served));

const ask = (path: string, body?: unknown, { by = handler, ...init }: RequestInit & { by?: Handler } = {}) =>
  askChecked(by, path, body, init);
const withOptions = (options: HandlerOptions) => createHandler(servedOf(served), options);

const expectRows = (found: number[][], expected: RowsLike) => expect(furthest(found, expected)).toBeLessThan(1e-6);

describe("Text Embeddings Inference", () => {
  test.each(["/embed", "/"])("POST %s gives encode's vectors of length 1, in the order of the texts", async (path) => {
    const { status, json } = await ask(path, { inputs: texts });
    expect(status).toBe(200);
    expectRows(json, await encoder.encode(texts, { normalize: true }));
    expect(Math.hypot(...json[1])).toBeCloseTo(1, 5);
  });

  test("a single text gives a list of one vector; normalize, dimensions and prompt_name are encode's", async () => {
    const single = await ask("/embed", { inputs: "law", normalize: false });
    expectRows(single.json, await encoder.encode(["law"], { normalize: false }));
    const short = await ask("/embed", { inputs: ["law"], dimensions: 8 });
    expectRows(short.json, await encoder.encode(["law"], { normalize: true, dimensions: 8 }));
    const prompted = await ask("/embed", { inputs: ["law"], prompt_name: "query" });
    expectRows(prompted.json, await encoder.encode(["query: law"], { normalize: true }));
    expect((await ask("/embed", { inputs: "law", prompt_name: "none" })).status).toBe(422);
    expect((await ask("/embed", { inputs: "law", dimensions: 33 })).status).toBe(422);
    const zero = await ask("/embed", { inputs: "law", dimensions: 0 });
    expect([zero.status, zero.json.message]).toEqual([422, "`dimensions`: `dimensions` should be positive"]);
  });

  test("the ids that /tokenize gives embed as their text does, and /decode gives the text", async () => {
    const tokens = await ask("/tokenize", { inputs: texts });
    expect(tokens.json[1][0]).toMatchObject({ special: true, start: null, stop: null });
    expect(
      tokens.json[0]
        .slice(1, -1)
        .every(
          ({ text, start, stop }: { text: string; start: number; stop: number }) =>
            text.replace("##", "") === texts[0]!.slice(start, stop),
        ),
    ).toBe(true);
    const ids = tokens.json.map((list: { id: number }[]) => list.map(({ id }) => id));
    expect((await ask("/decode", { ids })).json).toEqual(texts);
    expect((await ask("/decode", { ids: ids[0] })).json).toEqual([texts[0]]);
    expect((await ask("/embed", { inputs: ids })).json).toEqual((await ask("/embed", { inputs: texts })).json);
    const refused = await ask("/embed", { inputs: [1, 2, 99_999] });
    expect(refused.status).toBe(422);
    expect(refused.json.message).toContain("check_embedding_ctx_length=False");
    const by = withOptions({ tokenIds: "refuse" });
    expect((await ask("/embed", { inputs: ids }, { by })).status).toBe(422);
  });

  test("/embed_all gives the vectors of all tokens", async () => {
    const { json } = await ask("/embed_all", { inputs: texts });
    const expected = await encoder.tokens(texts);
    for (const [i, rows] of json.entries()) expectRows(rows, expected[i]!);
  });

  test("/predict takes a text, a pair, or a list of them, and gives classify's labels", async () => {
    const single = await ask("/predict", { inputs: "law" });
    const plain = (list: { label: string; score: number }[]) => list.map(({ label, score }) => ({ score, label }));
    expect(single.json).toEqual(plain(await classifier.classify("law")));
    const pair = await ask("/predict", { inputs: ["law", "war"], raw_scores: true });
    expect(pair.json).toEqual(plain(await classifier.classify({ text: "law", pair: "war" }, { activation: "none" })));
    const batch = await ask("/predict", { inputs: [["law"], ["law", "war"]] });
    expect(batch.json).toHaveLength(2);
    expect(batch.json[0]).toEqual(single.json);
    expect((await ask("/predict", { inputs: ["a", "b", "c"] })).status).toBe(422);
    expect((await ask("/predict", { inputs: [] })).status).toBe(400);
  });

  test("/rerank sorts by score; /similarity gives the cosine of each sentence", async () => {
    const ranked = await ask("/rerank", { query: "law", texts, return_text: true });
    const expected = await reranker.rerank("law", texts);
    expect(ranked.json).toEqual(expected.map(({ index, text, score }) => ({ index, text, score })));
    const body = { inputs: { source_sentence: texts[0], sentences: texts } };
    const { json } = await ask("/similarity", body);
    expect(json[0]).toBeCloseTo(1, 5);
    expect((await ask("/", body)).json).toEqual(json);
    const [a, b] = [await encoder.encode(texts[0]!), await encoder.encode(texts[1]!)];
    const cosine = a.reduce((sum, value, i) => sum + value * b[i]!, 0) / Math.hypot(...a) / Math.hypot(...b);
    expect(json[1]).toBeCloseTo(cosine, 5);
  });

  test("a text that is too long is cut, unless the request or the server says that it is not to be", async () => {
    const cut = await ask("/embed", { inputs: long });
    expectRows(cut.json, await encoder.encode([long], { normalize: true }));
    const refused = await ask("/embed", { inputs: long, truncate: false });
    expect([refused.status, refused.json.message]).toEqual([422, "`inputs` must have less than 64 tokens. Given: 102"]);
    const by = withOptions({ autoTruncate: false });
    expect((await ask("/embed", { inputs: long }, { by })).status).toBe(422);
    expect((await ask("/embed", { inputs: long, truncate: true }, { by })).status).toBe(200);
    expect((await ask("/embed", { inputs: long, truncation_direction: "Left" })).status).toBe(422);
    const shorter = withOptions({ maxTokens: 8 });
    expectRows(
      (await ask("/embed", { inputs: long }, { by: shorter })).json,
      await encoder.encode([long], { normalize: true, maxTokens: 8 }),
    );
  });
});

describe("OpenAI and vLLM", () => {
  test("/v1/embeddings gives the same vectors as numbers and as base64 of little-endian float32", async () => {
    const expected = await encoder.encode(texts, { normalize: true });
    const { status, json } = await ask("/v1/embeddings", { input: texts, model: "text-embedding-3-small" });
    expect(status).toBe(200);
    expect(json).toMatchObject({ object: "list", model: "embed" });
    expect(json.data.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
    expectRows(
      json.data.map(({ embedding }: { embedding: number[] }) => embedding),
      expected,
    );
    const tokens = texts.reduce((sum, text) => sum + encoder.countTokens(text), 0);
    expect(json.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
    const base64 = await ask("/v1/embeddings", { input: texts, encoding_format: "base64", dimensions: 8 });
    const rows = base64.json.data.map(({ embedding }: { embedding: string }) => {
      const bytes = Buffer.from(embedding, "base64");
      return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    });
    expectRows(rows, await encoder.encode(texts, { normalize: true, dimensions: 8 }));
  });

  test("a text, its token ids, and lists of either are inputs", async () => {
    const ids = Array.from(encoder.tokenizer.encodeIds(texts[0]!));
    const of = async (input: unknown) => (await ask("/v1/embeddings", { input })).json.data;
    const [{ embedding }] = await of(texts[0]);
    expect(await of(ids)).toEqual([{ object: "embedding", index: 0, embedding }]);
    expect((await of([texts[1], ids]))[1].embedding).toEqual(embedding);
    expect(await of([""])).toHaveLength(1);
  });

  test("a text that is too long is refused in OpenAI's words, and cut where the request says how", async () => {
    const refused = await ask("/v1/embeddings", { input: [texts[0], long] });
    expect(refused.status).toBe(400);
    expect(refused.json.error).toMatchObject({ type: "invalid_request_error", param: null });
    expect(refused.json.error.message).toBe(
      "This model's maximum context length is 64 tokens, however you requested 102 tokens " +
        "(102 in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
    );
    const cut = await ask("/v1/embeddings", { input: long, truncate_prompt_tokens: 8 });
    expectRows([cut.json.data[0].embedding], await encoder.encode([long], { normalize: true, maxTokens: 8 }));
    const whole = await ask("/v1/embeddings", { input: long, truncate_prompt_tokens: -1 });
    expect(whole.json.usage.total_tokens).toBe(64);
  });

  test("/v1/models names the models and the tokens they read", async () => {
    const { json } = await ask("/v1/models");
    expect(json.data.map(({ id }: { id: string }) => id)).toEqual(["embed", "labels", "rank", "masks", "tags"]);
    expect(json.data[0]).toMatchObject({ object: "model", max_model_len: 64, dimension: 32, revision: "abc" });
  });

  test("/score repeats a single first text, in three spellings", async () => {
    const expected = await reranker.scores(texts.map((text) => ["law", text] as const));
    for (const [first, second] of ["text_1 text_2", "queries documents", "data_1 data_2"].map((names) =>
      names.split(" "),
    )) {
      const { json } = await ask("/score", { [first!]: "law", [second!]: texts });
      expect(json.data).toEqual(Array.from(expected, (score, index) => ({ index, object: "score", score })));
    }
    const paired = await ask("/score", { text_1: ["law", "law"], text_2: texts.slice(1) });
    expect(paired.json.data.map(({ score }: { score: number }) => score)).toEqual([...expected.slice(1)]);
    expect((await ask("/score", { text_1: ["a", "b"], text_2: texts })).status).toBe(400);
    expect((await ask("/score", { text_1: "a", documents: texts })).status).toBe(400);
  });

  test("/classify gives the best label and the scores by the labels' index", async () => {
    const { json } = await ask("/classify", { input: texts });
    const expected = await classifier.classify(texts);
    for (const [i, { label, probs, num_classes }] of json.data.entries()) {
      expect(label).toBe(expected[i]![0]!.label);
      expect(num_classes).toBe(3);
      for (const { index, score } of expected[i]!) expect(probs[index]).toBe(score);
    }
  });
});

describe("Ollama", () => {
  test("/api/embed and /api/embeddings give the vectors, to those who know the model's name", async () => {
    const { json } = await ask("/api/embed", { model: "embed:latest", input: texts });
    const expected = await encoder.encode(texts, { normalize: true });
    expectRows(json.embeddings, expected);
    expect(json.model).toBe("embed:latest");
    expect((await ask("/api/embed", { model: "embed", input: [] })).json.embeddings).toEqual([]);
    const old = await ask("/api/embeddings", { model: "embed", prompt: texts[0] });
    expectRows([old.json.embedding], await encoder.encode([texts[0]!], { normalize: true }));
    const unknown = await ask("/api/embed", { model: "llama", input: texts });
    expect(unknown.status).toBe(404);
    expect(Object.keys(unknown.json)).toEqual(["error"]);
    expect((await ask("/api/tags")).json.models[0]).toMatchObject({ name: "embed", digest: "abc" });
  });
});

describe("routes of our own", () => {
  test("/fill-mask and /tag give what the library gives", async () => {
    const masked = "the [MASK] of a [MASK]";
    const one = await ask("/fill-mask", { inputs: masked, top_k: 3 });
    expect(one.json).toEqual(await fillMask.fill(masked, { topK: 3 }));
    expect((await ask("/fill-mask", { inputs: [masked] })).json).toEqual(await fillMask.fill([masked]));
    const none = await ask("/fill-mask", { inputs: "no mask" });
    expect([none.status, none.json.message.includes("[MASK]")]).toEqual([422, true]);
    expect((await ask("/tag", { inputs: texts })).json).toEqual(await tagger.tag(texts));
    const tokenwise = await ask("/tag", { inputs: texts[0], aggregation: "none", ignore: [] });
    const words = texts[2]!.split(" ");
    const split = await ask("/tag", { words, ignore: [] });
    const places = words.map((word, i) => [words.slice(0, i).join(" ").length + (i > 0 ? 1 : 0), word] as const);
    const expected = (await tagger.tag(texts[2]!, { ignore: [] })).map((entity) => ({
      ...entity,
      word_start: places.findLastIndex(([start]) => start <= entity.start),
      word_end: 1 + places.findLastIndex(([start]) => start < entity.end),
    }));
    expect(split.json).toEqual(expected);
    expect((await ask("/tag", { words: [words], ignore: [] })).json).toEqual([expected]);
    expect((await ask("/tag", { words, inputs: "law" })).status).toBe(422);
    expect(tokenwise.json).toEqual(await tagger.tag(texts[0]!, { aggregation: "none", ignore: [] }));
  });
});

describe("several engines, models to come, prompts", () => {
  test("requests go to the instance with the least to do, under one name", async () => {
    const asked = [0, 0];
    const instances = asked.map((_, i) =>
      Object.create(encoder, {
        encode: {
          value: (...given: Parameters<Encoder["encode"]>) => encoder.encode(...given).finally(() => asked[i]!++),
        },
        waitingTokens: { get: () => 0 },
      }),
    ) as Encoder[];
    const by = createHandler([{ name: "embed", encoder: instances }]);
    const answers = await Promise.all(texts.concat(texts).map((inputs) => ask("/embed", { inputs }, { by })));
    expect(asked).toEqual([3, 3]);
    expectRows(
      answers.slice(0, 3).map(({ json }) => json[0]),
      await encoder.encode(texts, { normalize: true }),
    );
    expect((await ask("/v1/models", undefined, { by })).json.data).toHaveLength(1);
  });

  test("a model that is loaded when it is first asked for answers then, and one that cannot be is tried again", async () => {
    let loads = 0;
    const later = new LaterModel(async () => {
      if (loads++ === 0) throw new Error("load: expected weights, got none");
      return fillMask;
    });
    const records: RequestRecord[] = [];
    const log = (record: RequestRecord) => record.path === "/fill-mask" && records.push(record);
    const by = createHandler([{ name: "both", encoder, fillMask: later }], { log });
    await ask("/embed", { inputs: "law" }, { by });
    expect([loads, later.loaded]).toEqual([0, undefined]);
    expect((await ask("/info", undefined, { by })).json.model_type.fill_mask).toEqual({ mask_token: "[MASK]" });
    const failed = await ask("/fill-mask", { inputs: "the [MASK]" }, { by });
    expect([failed.status, failed.json.message]).toEqual([500, "the model cannot be loaded"]);
    expect(records[0]!.stack).toContain("expected weights");
    const { json } = await ask("/fill-mask", { inputs: "the [MASK]" }, { by });
    expect([loads, json]).toEqual([2, await fillMask.fill("the [MASK]")]);
    const alone = createHandler([{ name: "later", fillMask: new LaterModel(async () => fillMask) }]);
    expect((await ask("/info", undefined, { by: alone })).json.max_input_length).toBe(null);
    for (const path of ["/v1/models", "/meta", "/api/tags", "/metrics", "/health"]) {
      expect((await ask(path, undefined, { by: alone })).status).toBe(200);
    }
    expect((await ask("/tokenize", { inputs: "law" }, { by: alone })).status).toBe(200);
    expect((await ask("/info", undefined, { by: alone })).json.max_input_length).toBe(64);
  });

  test("a server's prompt stands where the request names none", async () => {
    for (const options of [{ defaultPrompt: "query: " }, { defaultPromptName: "query" }]) {
      const by = withOptions(options);
      expectRows(
        (await ask("/embed", { inputs: ["law"] }, { by })).json,
        await encoder.encode(["query: law"], { normalize: true }),
      );
    }
    const by = withOptions({ defaultPrompt: "law law " });
    const own = await ask("/embed", { inputs: ["law"], prompt_name: "query" }, { by });
    expectRows(own.json, await encoder.encode(["query: law"], { normalize: true }));
    const named = await ask("/v1/embeddings", { input: "law", prompt_name: "query" }, { by });
    expectRows([named.json.data[0].embedding], await encoder.encode(["query: law"], { normalize: true }));
    const counted = await ask("/embed", { inputs: "law", report: true }, { by });
    expect(counted.json.report).toEqual([{ tokens: encoder.countTokens("law law law"), cut: 0 }]);
  });

  test("a trace is logged, and what the answer was computed from is in its head", async () => {
    const records: RequestRecord[] = [];
    const by = withOptions({ log: (record) => records.push(record) });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const { headers } = await ask("/embed", { inputs: texts }, { by, headers: { traceparent } });
    const tokens = texts.reduce((sum, text) => sum + encoder.countTokens(text), 0);
    expect(records[0]).toMatchObject({ trace: "0af7651916cd43dd8448eb211c80319c", inputs: 3, tokens });
    expect([headers.get("x-compute-type"), headers.get("x-compute-tokens")]).toEqual(["cpu", `${tokens}`]);
  });
});

describe("what a server says of itself", () => {
  test("/info has the limits, and each model's task", async () => {
    const { json } = await ask("/info");
    expect(json).toMatchObject({
      model_id: "embed",
      model_sha: "abc",
      max_input_length: 64,
      max_client_batch_size: 2048,
    });
    // What clients of Text Embeddings Inference read must be there, of its type.
    const text = z.string();
    const limit = z.int().nullable();
    const labels = z.object({ id2label: z.record(text, text), label2id: z.record(text, z.int()) });
    const contract = z.object({
      model_id: text,
      model_sha: text.nullable(),
      model_dtype: text,
      model_type: z.union([
        z.object({ embedding: z.object({ pooling: z.enum(["cls", "mean", "last_token"]) }) }),
        z.object({ classifier: labels }),
        z.object({ reranker: labels }),
      ]),
      served_model_name: text,
      max_concurrent_requests: z.int(),
      max_input_length: z.int(),
      max_batch_tokens: limit,
      max_batch_requests: limit,
      max_client_batch_size: z.int(),
      auto_truncate: z.boolean(),
      tokenization_workers: z.int(),
      version: text,
      sha: text.nullable(),
      docker_label: text.nullable(),
    });
    for (const one of servedOf(served).slice(0, 3)) {
      const { json } = await ask("/info", undefined, { by: createHandler([one]) });
      expect(contract.safeParse(json).error).toBe(undefined);
      expect(Object.keys(json.model_type)).toHaveLength(1);
    }
    expect(json.model_type.embedding).toMatchObject({ dimension: 32, prompts: { query: "query: " } });
    expect(json.models[1].model_type.classifier.id2label).toEqual({ 0: "A", 1: "B", 2: "C" });
  });

  test("/metrics counts answers by route and refusals by kind", async () => {
    const by = withOptions({});
    await ask("/embed", { inputs: texts }, { by });
    await ask("/v1/embeddings", { input: texts }, { by });
    await ask("/embed", { inputs: [] }, { by });
    const { json, headers } = await ask("/metrics", undefined, { by });
    expect(headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const lines = json.split("\n");
    expect(lines).toContain('te_request_success{method="/embed"} 1');
    expect(lines).toContain('te_request_failure{err="empty"} 1');
    expect(lines).toContain("te_request_count 3");
    expect(lines).toContain("te_embed_success 6");
    expect(lines).toContain("te_queue_size 0");
    expect(lines).toContain("te_request_input_length_count 6");
    expect(lines).toContain("neobert_inputs_total 6");
    expect(lines).toContain('te_request_duration_bucket{le="+Inf"} 2');
    // A look at the metrics is no answer of a model: it would hide how long those take.
    const again = (await ask("/metrics", undefined, { by })).json.split("\n");
    expect(again).toContain("te_request_count 4");
    expect(again).toContain("te_request_duration_count 2");
  });

  test("/docs is a page of every route that loads nothing", async () => {
    const { status, json, headers } = await ask("/docs");
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    const shown = routes.filter(({ isHidden }) => !isHidden);
    for (const { method, paths } of shown) expect(json).toContain(`<code>${method} ${paths[0]}</code>`);
    expect(json).not.toMatch(/<script|src=|https?:/);
  });

  test("/openapi.json describes every route by the schemas that check it", async () => {
    const { json } = await ask("/openapi.json");
    expect(json.openapi).toBe("3.1.0");
    for (const { method, paths, body } of routes.filter(({ isHidden }) => !isHidden)) {
      for (const path of paths) {
        const operation = json.paths[path][method.toLowerCase()];
        expect(operation.summary.length).toBeGreaterThan(0);
        expect("requestBody" in operation).toBe(body !== undefined);
      }
    }
    const { schema } = json.paths["/v1/embeddings"].post.requestBody.content["application/json"];
    expect(Object.keys(schema.properties)).toContain("input");
    expect(json.paths["/rerank"].post.requestBody.content["application/json"].schema.anyOf).toHaveLength(3);
  });
});
