// Lists of token ids as inputs: the model's own reach it as they are, which the engine itself is asked about; OpenAI's become
// the text that they were made of.
import { Tiktoken } from "js-tiktoken/lite";
import ranks from "js-tiktoken/ranks/cl100k_base";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Encoder } from "../encoder/encoder.js";
import { writeSmallModel } from "../encoder/fixture-encoder.js";
import { loadOnnxEngine } from "../engine/onnx-engine.js";
import { ask } from "./fixture-serve.js";
import { createHandler, type Handler, type HandlerOptions } from "./index.js";

const prompts = { "config_sentence_transformers.json": { prompts: { query: "query: " } } };
const text = "the house of a united people";
let folder: string;
let encoder: Encoder;
let handler: Handler;
/** What no text is tokenized to. */
let odd: number[];
let special: { first: number; last: number };

beforeAll(async () => {
  folder = await writeSmallModel({ files: prompts });
  encoder = await Encoder.load(folder, { threads: 1 });
  handler = createHandler([{ name: "small", encoder }]);
  const { tokenizer } = encoder;
  const idOf = (token: string) => tokenizer.encode(token, { addSpecialTokens: false, padding: false }).ids[0]!;
  const part = Array.from({ length: tokenizer.maxId + 1 }, (_, id) => id).find((id) =>
    tokenizer.idToToken(id)?.startsWith("##"),
  );
  odd = [part!, idOf("law"), part!, idOf("house")];
  const whole = tokenizer.encode("law", { padding: false }).ids;
  special = { first: whole[0]!, last: whole.at(-1)! };
}, 60_000);
afterAll(() => encoder?.dispose());

const by = (options: HandlerOptions) => createHandler([{ name: "small", encoder }], options);

/** The mean over the tokens of what the engine computes of them, of length 1. */
async function meanOf(ids: readonly number[]): Promise<number[]> {
  const engine = await loadOnnxEngine(folder, { dtype: "fp32", head: "none", threads: 1 });
  const hidden = await engine.hidden({ ids: Int32Array.from(ids), cuSeqlens: Int32Array.of(0, ids.length) });
  await engine.dispose();
  const width = hidden.length / ids.length;
  const mean = Array.from({ length: width }, (_, c) => ids.reduce((sum, _, i) => sum + hidden[i * width + c]!, 0));
  const norm = Math.hypot(...mean);
  return mean.map((value) => value / norm);
}

function expectRow(found: number[], expected: ArrayLike<number>) {
  expect(found.length).toBe(expected.length);
  expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-6);
}

test("ids that no text gives are computed as they are, with the special tokens put around them once", async () => {
  expect(Array.from(encoder.tokenizer.encodeIds(encoder.tokenizer.decode(odd)))).not.toEqual(odd);
  const whole = [special.first, ...odd, special.last];
  const expected = await meanOf(whole);
  for (const ids of [odd, whole]) {
    expectRow((await ask(handler, "/embed", { inputs: ids })).json[0], expected);
    const { json } = await ask(handler, "/v1/embeddings", { input: [text, ids] });
    expectRow(json.data[1].embedding, expected);
    expect(json.usage.total_tokens).toBe(encoder.countTokens(text) + whole.length);
    expectRow([...(await encoder.encode({ ids }, { normalize: true }))], expected);
  }
  const vectors = await ask(handler, "/embed_all", { inputs: odd });
  expect(vectors.json[0]).toHaveLength(whole.length);
  expectRow((await ask(handler, "/embed", { inputs: [[]] })).json[0], await meanOf([special.first, special.last]));
});

test("ids that are too many are refused or cut as texts are, and stand behind the prompt", async () => {
  const many = Array.from({ length: 100 }, (_, i) => odd[i % odd.length]!);
  const refused = await ask(handler, "/v1/embeddings", { input: many });
  expect([refused.status, refused.json.message.includes("you requested 102 tokens")]).toEqual([400, true]);
  const cut = await ask(handler, "/v1/embeddings", { input: many, truncate_prompt_tokens: 8, report: true });
  expectRow(cut.json.data[0].embedding, await meanOf([special.first, ...many.slice(0, 6), special.last]));
  expect(cut.json.report).toEqual([{ tokens: 8, cut: 94 }]);
  const ids = Array.from(encoder.tokenizer.encodeIds(text));
  const [ofIds, ofText] = await Promise.all(
    [ids, text].map((one) => ask(handler, "/embed", { inputs: [one], prompt_name: "query", report: true })),
  );
  expect(ofIds!.json.report).toEqual(ofText!.json.report);
  expectRow(ofIds!.json.embeddings[0], ofText!.json.embeddings[0]);
});

test("ids beyond the vocabulary are 400 for OpenAI's clients, with what LangChain is to be told", async () => {
  const { maxId } = encoder.tokenizer;
  expect((await ask(handler, "/v1/embeddings", { input: [[maxId]] })).status).toBe(200);
  const { status, json } = await ask(handler, "/v1/embeddings", { input: [[5], [maxId + 1]] });
  expect([status, json.error.param]).toEqual([400, "input"]);
  expect(json.message).toContain("check_embedding_ctx_length=False");
  for (const ids of [[maxId + 1], [-1], [1.5]]) {
    await expect(encoder.encode({ ids })).rejects.toThrow(
      `encode: expected token ids from 0 to ${maxId}, got ${ids[0]}`,
    );
  }
});

test("ids of cl100k_base become their text again, where the server is told so", async () => {
  const cl100k = new Tiktoken(ranks);
  const texts = [text, "", "war, and PEACE; naïve 🙂 states"];
  const open = by({ tokenIds: "cl100k" });
  const { json } = await ask(open, "/v1/embeddings", { input: texts.map((one) => cl100k.encode(one)) });
  const expected = await encoder.encode(texts, { normalize: true });
  for (const [i, { embedding }] of json.data.entries()) expectRow(embedding, expected.row(i));
  expect((await ask(open, "/v1/embeddings", { input: [[100_277]] })).status).toBe(400);
  const refused = await ask(by({ tokenIds: "refuse" }), "/v1/embeddings", { input: [[5]] });
  expect([refused.status, refused.json.message.includes("LangChain")]).toEqual([400, true]);
});
