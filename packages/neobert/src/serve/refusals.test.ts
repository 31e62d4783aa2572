// What a server refuses, and that it goes on afterwards: bodies that are malformed, huge or deep, keys, too much at once,
// clients that go, an engine that dies. Fuzzed bodies never give 500.
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Encoder } from "../encoder/encoder.js";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { DeadlineError } from "../engine/queue.js";
import { ask, disposeServed, loadServed, type SmallServed, servedOf } from "./fixture-serve.js";
import { createHandler, type Handler, type RequestRecord } from "./index.js";
import { errorResponse, requestErrorOf } from "./request-error.js";
import { routes } from "./routes.js";

let served: SmallServed;
let handler: Handler;
const records: RequestRecord[] = [];

beforeAll(async () => {
  served = await loadServed();
  handler = createHandler(servedOf(served), { log: (record) => records.push(record) });
}, 120_000);
afterAll(() => disposeServed(served));

const only = (encoder: Encoder) => [{ name: "embed", encoder }];
const bulk = Array.from({ length: 2000 }, (_, seed) => wordsText(60, seed));

/** A value of /metrics. */
async function gauge(by: Handler, name: string): Promise<number> {
  const { json } = await ask(by, "/metrics");
  return Number(new RegExp(`^${name} (.*)$`, "m").exec(json)![1]);
}

describe("bodies", () => {
  test.each([
    ["no JSON", "{inputs", 400],
    ["nothing", "", 400],
    ["another value", "[1]", 422],
    ["null", "null", 422],
    ["no inputs", {}, 422],
    ["inputs of another type", { inputs: 3 }, 422],
    ["a list with a number among texts", { inputs: ["a", 3] }, 422],
    ["a fraction as id", { inputs: [1, 2.5] }, 422],
    ["an empty list", { inputs: [] }, 400],
    ["a wrong flag", { inputs: "a", normalize: "yes" }, 422],
    ["too many levels", "[".repeat(100_000), 400],
    ["too many texts", { inputs: new Array(2049).fill("a") }, 422],
    ["a text of a million characters and more", { inputs: "a".repeat(2 ** 20 + 1) }, 413],
    ["a field twice, the last of which holds", '{"inputs":"a","inputs":3}', 422],
    ["more bytes than the limit", { inputs: "a ".repeat(8_000_001) }, 413],
    ["millions of wrong elements", `{"inputs":[${"[],".repeat(4_000_000)}{}]}`, 413],
  ])("%s is refused, and says why in a sentence", async (_, body, status) => {
    const answer = await ask(handler, "/embed", body);
    expect(answer.status).toBe(status);
    const { message } = answer.json;
    expect(answer.json).toMatchObject({ error: message, code: status });
    expect(["Validation", "Empty"]).toContain(answer.json.error_type);
    expect(message.length).toBeGreaterThan(5);
    expect(message.length).toBeLessThanOrEqual(200);
  });

  test("what is invalid is 400 in OpenAI's family, with its field", async () => {
    const { status, json } = await ask(handler, "/v1/embeddings", { input: "a", encoding_format: "int8" });
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ type: "invalid_request_error", param: "encoding_format", code: "invalid" });
    expect(json).toMatchObject({ message: json.error.message, code: 400, type: "Validation" });
  });

  test("bytes that are no UTF-8, and other types of content, are refused", async () => {
    const bytes = new Request("http://localhost/embed", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: Buffer.from([0x22, 0xff, 0x22]),
    });
    expect((await handler(bytes)).status).toBe(400);
    const form = { headers: { "content-type": "text/plain" } };
    expect((await ask(handler, "/embed", { inputs: "a" }, form)).status).toBe(415);
  });

  test("an error repeats at most 200 characters of a request", async () => {
    const secret = "x".repeat(5000);
    for (const [path, body] of [
      ["/fill-mask", { inputs: secret }],
      ["/embed", { inputs: "a", prompt_name: secret }],
      ["/embed", secret],
      ["/v1/embeddings", { input: "a", model: secret, encoding_format: secret }],
      ["/api/embed", { input: "a", model: secret }],
      ["/embed", { inputs: "a", truncation_direction: secret }],
      [`/${secret}`, { inputs: "a" }],
    ] as const) {
      const { json, status } = await ask(handler, path, body);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(
        JSON.stringify(json.error.message ?? json.error)
          .match(/x*/g)!
          .sort((a, b) => b.length - a.length)[0]!.length,
      ).toBeLessThanOrEqual(200);
    }
  });

  test("pairs whose query is long are bounded together, not each alone", async () => {
    const query = "a".repeat(100_000);
    const { status } = await ask(handler, "/rerank", { query, texts: new Array(1000).fill("b") });
    expect(status).toBe(413);
  });
});

describe("routes", () => {
  test("an unknown path is 404, another method 405 with those there are, a wrong model 424 with its routes", async () => {
    expect((await ask(handler, "/nowhere")).status).toBe(404);
    const method = await ask(handler, "/embed");
    expect([method.status, method.headers.get("allow")]).toEqual([405, "POST"]);
    const by = createHandler(only(served.encoder));
    const { status, json } = await ask(by, "/rerank", { query: "a", texts: ["b"] });
    expect(status).toBe(424);
    expect(json.message).toContain("embed: POST /embed, POST /embed_all");
    expect(json.message).not.toContain("/predict");
    const named = await ask(handler, "/v1/embeddings", { input: "a", model: "rank" });
    expect([named.status, named.json.message.includes("rank: ")]).toEqual([424, true]);
  });

  test("with two models for a task an unknown name is 404, with one it is any", async () => {
    const two = createHandler([...only(served.encoder), { name: "other", encoder: served.encoder }]);
    expect((await ask(two, "/v1/embeddings", { input: "a", model: "gpt" })).status).toBe(404);
    expect((await ask(two, "/v1/embeddings", { input: "a", model: "other" })).json.model).toBe("other");
    expect((await ask(handler, "/v1/embeddings", { input: "a", model: "gpt" })).json.model).toBe("embed");
  });

  test("every route that asks a model says 503 while models load, and /health too", async () => {
    let loaded: (models: ReturnType<typeof servedOf>) => void = () => {};
    const by = createHandler(
      new Promise<ReturnType<typeof servedOf>>((resolve) => {
        loaded = resolve;
      }),
    );
    for (const { method, paths, task } of routes) {
      if (task === undefined) continue;
      const answer = await ask(by, paths[0]!, method === "GET" ? undefined : {});
      expect([paths[0], answer.status, answer.headers.get("retry-after")]).toEqual([paths[0], 503, "1"]);
    }
    expect((await ask(by, "/health")).status).toBe(503);
    expect((await ask(by, "/v1/models")).status).toBe(503);
    loaded(servedOf(served));
    await new Promise((resolve) => setImmediate(resolve));
    expect((await ask(by, "/health")).status).toBe(200);
    expect((await ask(by, "/embed", { inputs: "law" })).status).toBe(200);
  });
});

describe("keys and origins", () => {
  test("a key opens the routes, bare or behind Bearer; without one the body is not read", async () => {
    const by = createHandler(servedOf(served), { apiKeys: ["first-key", "second-key"] });
    const status = async (authorization?: string) =>
      (await ask(by, "/embed", { inputs: "a" }, authorization === undefined ? {} : { headers: { authorization } }))
        .status;
    expect(await status()).toBe(401);
    expect(await status("Bearer third-key")).toBe(401);
    expect(await status("Bearer ")).toBe(401);
    expect(await status("Bearer first-key")).toBe(200);
    expect(await status("second-key")).toBe(200);
    let isRead = false;
    const body = new ReadableStream({ pull: () => void (isRead = true) }, { highWaterMark: 0 });
    const request = new Request("http://localhost/embed", { method: "POST", body, duplex: "half" });
    expect((await by(request)).status).toBe(401);
    expect(isRead).toBe(false);
    for (const path of ["/health", "/info", "/v1/models"]) expect((await ask(by, path)).status).toBe(200);
    expect(() => createHandler([], { apiKeys: ["two words"] })).toThrow(/expected API keys of visible ASCII/);
  });

  test("a browser is let in from named origins only", async () => {
    const origin = "https://app.example";
    const closed = await ask(handler, "/health", undefined, { headers: { origin } });
    expect(closed.headers.get("access-control-allow-origin")).toBe(null);
    const by = createHandler(servedOf(served), { corsAllowOrigins: [origin] });
    const open = await ask(by, "/health", undefined, { headers: { origin } });
    expect(open.headers.get("access-control-allow-origin")).toBe(origin);
    const before = await ask(by, "/embed", undefined, { method: "OPTIONS", headers: { origin } });
    expect([before.status, before.headers.get("access-control-allow-headers")?.includes("authorization")]).toEqual([
      204,
      true,
    ]);
    const other = await ask(by, "/health", undefined, { headers: { origin: "https://other.example" } });
    expect(other.headers.get("access-control-allow-origin")).toBe(null);
  });
});

describe("too much", () => {
  test("where too many tokens wait, further requests get 429 and when to come again", async () => {
    await using encoder = await Encoder.load(await writeSmallModel(), { maxWaitingTokens: 64, threads: 1 });
    const by = createHandler(only(encoder));
    const first = ask(by, "/embed", { inputs: bulk });
    while (encoder.waitingTokens === 0) await new Promise((resolve) => setImmediate(resolve));
    const second = await ask(by, "/v1/embeddings", { input: "law" });
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(second.json).toMatchObject({ type: "Overloaded", error: { type: "rate_limit_error" } });
    expect((await first).status).toBe(200);
    expect((await ask(by, "/embed", { inputs: bulk.slice(0, 3) })).status).toBe(200);
  });

  test("a request past its time gets 503, and so many at once 429", async () => {
    const late = createHandler(only(served.encoder), { queueTimeoutMs: 1 });
    const answer = await ask(late, "/embed", { inputs: bulk });
    expect([answer.status, answer.json.error, answer.headers.get("retry-after")]).toEqual([
      503,
      "Model is overloaded: no answer in time",
      "1",
    ]);
    const by = createHandler(only(served.encoder), { maxConcurrentRequests: 2 });
    const answers = await Promise.all([1, 2, 3].map(() => ask(by, "/embed", { inputs: "law" })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 429]);
    expect((await ask(by, "/embed", { inputs: "law" })).status).toBe(200);
  });

  test("Retry-After is the seconds that the queue needs at best", async () => {
    const waits = [0, 999, 1001, 12_300];
    const seconds = waits.map((ms) => {
      const refusal = requestErrorOf(
        new DeadlineError("encode: expected an answer in time", ms),
        new AbortController().signal,
      );
      const { status, headers } = errorResponse(refusal, "openai");
      return [status, headers.get("retry-after")];
    });
    expect(seconds).toEqual([
      [503, "1"],
      [503, "1"],
      [503, "2"],
      [503, "13"],
    ]);
  });

  test("a client that goes takes its texts with it", async () => {
    const gone = new AbortController();
    const asked = ask(handler, "/embed", { inputs: bulk }, { signal: gone.signal });
    while (served.encoder.waitingTokens === 0) await new Promise((resolve) => setImmediate(resolve));
    gone.abort();
    expect((await asked).status).toBe(499);
    expect(served.encoder.waitingTokens).toBe(0);
    expect(await gauge(handler, "neobert_requests_in_flight")).toBe(1); // this one
    expect(records.some(({ status }) => status === 499)).toBe(true);
  });

  test("an engine that dies is replaced, and the request it held is answered; one that dies again gives 500", async () => {
    await using encoder = await Encoder.load(await writeSmallModel(), { threads: 1 });
    const by = createHandler(only(encoder));
    // NOTE: of its own, idle: ONNX Runtime ends the process where a worker is stopped in the midst of a run.
    const die = function (this: Worker) {
      void this.terminate();
    };
    const spy = vi.spyOn(Worker.prototype, "postMessage").mockImplementationOnce(die);
    const expected = await encoder.encode(["law"], { normalize: true }).catch(() => undefined);
    expect(expected).toBe(undefined); // without a server the call fails
    spy.mockImplementationOnce(die);
    const once = await ask(by, "/embed", { inputs: "law" });
    expect([once.status, once.json[0]?.length]).toEqual([200, 32]);
    spy.mockImplementationOnce(die).mockImplementationOnce(die);
    const died = await ask(by, "/embed", { inputs: "law" });
    spy.mockRestore();
    expect([died.status, died.json.error_type]).toEqual([500, "Unhealthy"]);
    expect((await ask(by, "/health")).status).toBe(200);
    expect((await ask(by, "/embed", { inputs: "law" })).status).toBe(200);
  });

  test("an engine that dies each time makes /health say 503", async () => {
    await using encoder = await Encoder.load(await writeSmallModel(), { threads: 1 });
    const by = createHandler(only(encoder));
    const spy = vi.spyOn(Worker.prototype, "postMessage").mockImplementation(function (this: Worker) {
      void this.terminate();
    });
    for (let i = 0; i < 4; i++) expect((await ask(by, "/embed", { inputs: "law" })).status).toBe(500);
    spy.mockRestore();
    expect((await ask(by, "/health")).status).toBe(503);
  });
});

test("fuzzed bodies are answered, never with 500", async () => {
  const texts = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 4 }), fc.array(fc.nat(200), { maxLength: 4 }));
  const values = fc.oneof(
    { weight: 4, arbitrary: texts },
    fc.jsonValue({ maxDepth: 3 }),
    fc.array(texts, { maxLength: 3 }),
  );
  const numbers = fc.oneof(fc.integer({ min: -2, max: 70 }), fc.double(), fc.constant(null));
  const flags = fc.oneof(fc.boolean(), fc.constant(null), fc.string());
  const bodies = fc.record(
    {
      ...Object.fromEntries(
        "inputs input text text_1 text_2 texts documents query prompt ids words messages"
          .split(" ")
          .map((name) => [name, values]),
      ),
      ...Object.fromEntries(
        "dimensions top_n top_k truncate_prompt_tokens output_dimension max_tokens"
          .split(" ")
          .map((name) => [name, numbers]),
      ),
      ...Object.fromEntries(
        "normalize truncate raw_scores return_text report use_activation normalized"
          .split(" ")
          .map((name) => [name, flags]),
      ),
      model: fc.constantFrom("embed", "rank", "labels", "masks", "tags", "other", "__proto__"),
      encoding_format: fc.constantFrom("float", "base64", "other"),
      prompt_name: fc.constantFrom("query", "constructor", null),
      truncation_direction: fc.constantFrom("Left", "right", "up"),
      aggregation: fc.constantFrom("simple", "max", "all"),
      property: fc.string(),
      task: fc.constantFrom("embed", "classify", "token_embed", "retrieval.query", "other"),
      input_type: fc.constantFrom("search_query", "constructor", null),
      embedding_types: fc.array(fc.constantFrom("float", "ubinary", "int8"), { maxLength: 3 }),
      config: fc.record(
        { task_type: fc.constantFrom("query", "", "other"), dimensions: numbers },
        { requiredKeys: [] },
      ),
      parameters: fc.jsonValue({ maxDepth: 1 }),
    },
    { requiredKeys: [] },
  );
  // What each route takes, some fields of it made others.
  const good = { input: "law", text: "law", text_1: "law", text_2: "war", texts: ["law", "war"], query: "law" };
  const more = { documents: ["law"], prompt: "law", ids: [5], inputs: "the [MASK]" };
  const goodOf = (path: string): object => {
    const body: Record<string, unknown> = { ...good, ...more };
    if (path === "/v2/embed") delete body.inputs;
    if (path === "/similarity") body.inputs = { source_sentence: "law", sentences: ["war"] };
    if (path.startsWith("/api/")) body.model = "embed";
    return body;
  };
  const few = fc.tuple(bodies, fc.nat(20), fc.nat(2)).map(([body, first, count]) => {
    return Object.fromEntries(Object.entries(body).slice(first, first + count));
  });
  const raw = fc.oneof(
    { weight: 8, arbitrary: few.map((body) => (path: string) => JSON.stringify({ ...goodOf(path), ...body })) },
    { weight: 4, arbitrary: bodies.map((body) => () => JSON.stringify(body)) },
    fc.oneof(fc.json(), fc.string()).map((text) => () => text),
  );
  const paths = routes.filter(({ method }) => method === "POST").flatMap(({ paths }) => paths);
  const statuses = new Set<number>();
  const answered = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), raw, async (path, bodyFor) => {
      const { status } = await ask(handler, path, bodyFor(path));
      statuses.add(status);
      if (status === 200) answered.add(path);
      expect([200, 400, 404, 413, 422, 424]).toContain(status);
    }),
    { numRuns: 1200, seed: 3 },
  );
  expect(statuses).toContain(200);
  expect(paths.filter((path) => !answered.has(path))).toEqual([]); // else bodies are refused before anything is computed
  expect(await gauge(handler, "neobert_requests_in_flight")).toBe(1);
}, 60_000);
