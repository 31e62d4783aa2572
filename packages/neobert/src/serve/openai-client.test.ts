// OpenAI's own client against the server. It asks for base64 unless told otherwise, and reads floats in its place as zeros
// without a word: the vectors are compared, not their number.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Encoder } from "../encoder/encoder.js";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { type RunningServer, type ServedModel, serve } from "./index.js";

const texts = Array.from({ length: 7 }, (_, seed) => wordsText(3 + 2 * seed, seed));
let encoder: Encoder;
let server: RunningServer;
let client: OpenAI;

beforeAll(async () => {
  encoder = await Encoder.load(await writeSmallModel(), { threads: 1 });
  server = await serve([{ name: "small", encoder }], { port: 0, apiKeys: ["key"] });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
}, 120_000);
afterAll(async () => {
  await server?.close();
  await encoder?.dispose();
});

test.each([undefined, "float", "base64"] as const)("encoding_format %s gives the library's vectors", async (format) => {
  const how = format === undefined ? {} : { encoding_format: format };
  const { data, usage, model } = await client.embeddings.create({ input: texts, model: "any", ...how });
  const expected = await encoder.encode(texts, { normalize: true });
  for (const [i, { embedding, index }] of data.entries()) {
    const bytes = Buffer.from(embedding as unknown as string, "base64");
    const row =
      format === "base64" ? Array.from({ length: bytes.length / 4 }, (_, j) => bytes.readFloatLE(4 * j)) : embedding;
    expect([index, row.length]).toEqual([i, 32]);
    expect(Math.max(...row.map((value, j) => Math.abs(value - expected.row(i)[j]!)))).toBeLessThan(1e-6);
  }
  expect([model, usage.prompt_tokens]).toEqual(["small", expected.tokenCounts.reduce((sum, count) => sum + count)]);
});

test("errors reach the caller with message, type and status", async () => {
  const refused = await client.embeddings
    .create({ input: "house ".repeat(100), model: "small" })
    .catch((error) => error);
  expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
  expect(refused).toMatchObject({ status: 400, type: "invalid_request_error" });
  expect(refused.message).toContain("maximum context length is 64 tokens");
  const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "other", maxRetries: 0 });
  expect(await stranger.embeddings.create({ input: "a", model: "small" }).catch((error) => error)).toBeInstanceOf(
    OpenAI.AuthenticationError,
  );
  expect((await stranger.models.list()).data.map(({ id }) => id)).toEqual(["small"]);
});

test("a client that comes while the model loads gets its vectors once it is there", async () => {
  let loaded: (models: ServedModel[]) => void = () => {};
  const models = new Promise<ServedModel[]>((resolve) => {
    loaded = resolve;
  });
  const early = await serve(models, {
    port: 0,
    log: ({ status }) => status === 503 && loaded([{ name: "small", encoder }]),
  });
  try {
    const patient = new OpenAI({ baseURL: `${early.url}/v1`, apiKey: "none", maxRetries: 2 });
    const { data } = await patient.embeddings.create({ input: "law", model: "small" });
    expect(data[0]!.embedding).toHaveLength(32);
  } finally {
    await early.close();
  }
});
