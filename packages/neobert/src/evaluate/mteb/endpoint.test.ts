// A small server on 127.0.0.1 answers as OpenAI's does; what goes wrong with such servers is made to happen.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as bodyText } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type EndpointOptions, openEndpoint } from "./endpoint.js";

interface Call {
  path: string;
  key: string | undefined;
  body: { model: string; input: string[]; dimensions?: number };
}
let server: Server;
let url: string;
let calls: Call[];
let models: string[];
/** What the next requests get instead of vectors. */
let troubles: ((response: ServerResponse) => void)[];
let vectorOf: (text: string) => unknown;

const json = (response: ServerResponse, status: number, value: unknown, headers = {}) =>
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));

async function answer(request: IncomingMessage, response: ServerResponse) {
  if (request.url === "/v1/models") return json(response, 200, { data: models.map((id) => ({ id })) });
  const body = JSON.parse(await bodyText(request));
  calls.push({ path: request.url!, key: request.headers.authorization, body });
  const trouble = troubles.shift();
  if (trouble) return trouble(response);
  const data = body.input.map((text: string, index: number) => ({ index, embedding: vectorOf(text) }));
  return json(response, 200, { data: data.reverse() }); // the order is the server's
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  calls = [];
  troubles = [];
  models = ["tiny"];
  vectorOf = (text) => [text.length, text.charCodeAt(0)];
});
const open = (options: Partial<EndpointOptions> = {}) => openEndpoint({ url, pauseMs: 1, ...options });

test("texts go in batches, with model, key and prompt, and the vectors come back in the texts' order", async () => {
  const model = await open({ apiKey: "secret", batchTexts: 3, dimensions: 2 });
  const texts = ["a", "bb", "", "dddd", "eeeee", "ffffff", "g"];
  const seen: number[] = [];
  const { data, shape } = await model.encode(texts, { prompt: "p:", onProgress: ({ done }) => seen.push(done) });
  expect(shape).toEqual([7, 2]);
  expect([...data].filter((_, i) => i % 2 === 0)).toEqual(texts.map((text) => text.length + 2));
  expect(calls.length).toBe(3);
  expect(calls.flatMap(({ body }) => body.input).sort()).toEqual(texts.map((text) => `p:${text}`).sort());
  for (const { path, key, body } of calls) {
    expect([path, key, body.model, body.dimensions]).toEqual(["/v1/embeddings", "Bearer secret", "tiny", 2]);
  }
  expect(seen.at(-1)).toBe(7);
});

test("an empty text goes as a space, and vectors in base64 are read", async () => {
  vectorOf = (text) => Buffer.from(Float32Array.of(text.length, 0.5).buffer).toString("base64");
  const { data } = await (await open()).encode(["", "ab"]);
  expect([...data]).toEqual([1, 0.5, 2, 0.5]);
});

test("a busy or broken server is asked again, after the time that it names", async () => {
  troubles = [
    (response) => json(response, 429, { error: { message: "slow down" } }, { "retry-after": "0.05" }),
    (response) => response.destroy(),
    (response) => json(response, 503, {}),
  ];
  const start = performance.now();
  const { data } = await (await open()).encode(["abc"]);
  expect([...data]).toEqual([3, 97]);
  expect(calls.length).toBe(4);
  expect(performance.now() - start).toBeGreaterThan(50);
});

test("a server that stays broken is given up after the tries, with its own words", async () => {
  const model = await open({ attempts: 3 });
  troubles = Array(3).fill((response: ServerResponse) => json(response, 500, { error: { message: "out of memory" } }));
  await expect(model.encode(["a"])).rejects.toThrow(/expected an answer, got status 500: out of memory after 3 tries/);
  expect(calls.length).toBe(3);
});

test("a refusal is not asked again and says what to do", async () => {
  const model = await open();
  troubles = [(response) => json(response, 401, { error: { message: "no such key" } })];
  await expect(model.encode(["a"])).rejects.toThrow(/status 401: no such key\nGive its key/);
  troubles = [(response) => json(response, 400, { error: "text too long" })];
  await expect(model.encode(["a"])).rejects.toThrow(/status 400: text too long/);
  expect(calls.length).toBe(2);
});

test("answers that are no vectors are refused", async () => {
  const model = await open();
  troubles = [(response) => response.end("<html>")];
  await expect(model.encode(["a"])).rejects.toThrow("got <html> instead of JSON");
  troubles = [(response) => json(response, 200, { data: [] })];
  await expect(model.encode(["a"])).rejects.toThrow("expected 1 vectors for 1 texts, got 0");
  vectorOf = () => [1, null];
  await expect(model.encode(["a"])).rejects.toThrow("expected an embedding as a list of numbers, got [1,null]");
  vectorOf = (text) => Array(text.length).fill(1);
  await expect(model.encode(["a", "bb"])).rejects.toThrow(/expected vectors of \d values as before/);
});

test("the model is the one that the server lists, and must be named where there are several", async () => {
  expect((await open({ url: `${url}/v1/` })).name).toBe("tiny");
  expect((await open({ url: `${url}/v1/embeddings` })).url).toBe(`${url}/v1/embeddings`);
  models = ["one", "two"];
  await expect(open()).rejects.toThrow(/expected one model, got one, two\nName the model/);
  expect((await open({ model: "two" })).name).toBe("two");
  await expect(openEndpoint({ url: "ftp://x" })).rejects.toThrow("expected an http or https address, got ftp://x");
});

test("a server that is not there or does not answer in time is named", async () => {
  await expect(openEndpoint({ url: "http://127.0.0.1:9", attempts: 1 })).rejects.toThrow(
    /127\.0\.0\.1:9\/v1\/models.*got/,
  );
  const model = await open({ model: "tiny", attempts: 1, timeoutMs: 30 });
  troubles = [() => {}];
  await expect(model.encode(["a"])).rejects.toThrow("got nothing within 0.03 s");
});

test("aborting ends the call at once", async () => {
  const model = await open();
  const stop = new AbortController();
  troubles = [() => stop.abort(new Error("enough"))];
  await expect(model.encode(["a"], { signal: stop.signal })).rejects.toThrow("enough");
});
