// Every route as a function from request to response, on small models: answers equal the library's, and what cannot be
// answered is refused with the status that clients of each contract know.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, ask as askAt, disposeServed, loadServed, type SmallServed, servedOf } from "./fixture-serve.js";
import { createHandler, type Handler, type HandlerOptions } from "./index.js";

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

const ask = (
  path: string,
  body?: unknown,
  { by = handler, ...init }: RequestInit & { by?: Handler } = {},
): Promise<Answer> => askAt(by, path, body, init);
const withOptions = (options: HandlerOptions) => createHandler(servedOf(served), options);

function expectRows(found: number[][], expected: { length: number; row(i: number): Float32Array }) {
  expect(found.length).toBe(expected.length);
  for (const [i, row] of found.entries()) {
    const own = expected.row(i);
    expect(row.length).toBe(own.length);
    expect(Math.max(...row.map((value, j) => Math.abs(value - own[j]!)))).toBeLessThan(1e-6);
  }
}

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
