// Texts that go to the worker against the same texts tokenized here, and what becomes of a worker that is not to be had.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { Encoder } from "../index.js";
import { loadTokenizer } from "../tokenizer/index.js";
import { isLong, LongTexts } from "./long-texts.js";
import { TextTokenizer } from "./tokenized.js";

const long = (seed: number) => wordsText(5_000, seed);
let folder: string;
beforeAll(async () => {
  folder = await writeSmallModel();
});

function tokenizers() {
  const tokenizer = loadTokenizer(folder);
  const longTexts = new LongTexts(folder);
  return {
    here: new TextTokenizer(tokenizer),
    elsewhere: new TextTokenizer(tokenizer, undefined, longTexts),
    longTexts,
  };
}

test("a list of texts is tokenized in many turns of the event loop, by the time that they take", async () => {
  const { here, longTexts } = tokenizers();
  let ms = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => ms++); // a text takes a millisecond
  const turns = vi.spyOn(globalThis, "setImmediate");
  await here.tokenizeAll(Array(100).fill("in war"), { where: "test", maxTokens: 10 });
  expect(turns.mock.calls.length).toBeGreaterThan(20);
  for (const spy of [clock, turns]) spy.mockRestore();
  await longTexts.dispose();
});

describe("long texts", () => {
  test("texts and pairs among short ones have the ids, segments and encodings that they have here", async () => {
    const { here, elsewhere, longTexts } = tokenizers();
    const pairs = [
      "a free people",
      long(1),
      { text: "the house", pair: long(2) },
      "in war",
      { text: "by", pair: "law" },
    ];
    const prepare = (text: string) => `query ${text}`;
    expect(pairs.map(isLong)).toEqual([false, true, true, false, false]);
    for (const inputs of [pairs, pairs.filter((input) => typeof input === "string")]) {
      for (const options of [{ maxTokens: 50 }, { maxTokens: 30_000, prepare }, { maxTokens: 40, stride: 10 }]) {
        const how = { where: "test", ...options };
        const [a, b] = [await here.tokenizeAll(inputs, how), await elsewhere.tokenizeAll(inputs, how)];
        const order = inputs.map((_, i) => i);
        expect(b.pack(order)).toEqual(a.pack(order));
        expect(await elsewhere.encodeAll(inputs, how)).toEqual(await here.encodeAll(inputs, how));
      }
    }
    await longTexts.dispose();
  });

  test("tokens of long texts are counted in the worker, as many as here, unless the call is aborted", async () => {
    const { here, elsewhere, longTexts } = tokenizers();
    for (const text of ["in war", long(3)]) {
      expect(await elsewhere.countAsync(text)).toBe(here.count(text));
    }
    const stopped = elsewhere.countAsync(long(4), AbortSignal.abort(new Error("gone")));
    await expect(stopped).rejects.toThrow("gone");
    await longTexts.dispose();
  });

  test("errors say what they say of texts that are tokenized here", async () => {
    const { here, elsewhere, longTexts } = tokenizers();
    const messages = async (tokenizer: TextTokenizer) => {
      const how = [
        { where: "test", maxTokens: 10, stride: 20 },
        { where: "test", maxTokens: 2 },
      ];
      const errors = how.map((options) => tokenizer.encodeAll([long(1)], options).catch((error: Error) => error));
      return (await Promise.all(errors)).map((error) => [(error as Error).name, (error as Error).message]);
    };
    const own = await messages(here);
    expect(own[0]![1]).toContain("expected stride below");
    expect(await messages(elsewhere)).toEqual(own);
    await expect(elsewhere.tokenizeAll([long(1), 3 as never], { where: "test", maxTokens: 9 })).rejects.toThrow(
      "test: expected a text at index 1, got number",
    );
    await longTexts.dispose();
  });

  test("a long text with a token that the model has no row for is refused by name, as a short one is", async () => {
    const tokenizer = loadTokenizer(folder);
    const longTexts = new LongTexts(folder);
    const elsewhere = new TextTokenizer(tokenizer, tokenizer.maxId, longTexts);
    const last = tokenizer.idToToken(tokenizer.maxId)!;
    const foreign = Array.from({ length: tokenizer.maxId + 1 }, (_, id) => tokenizer.idToToken(id)!).find((token) =>
      tokenizer.encodeIds(token).includes(tokenizer.maxId),
    )!;
    const how = { where: "test", maxTokens: 30_000 };
    for (const input of [foreign, `${foreign} ${long(1)}`]) {
      const message = `expected tokens with ids below the model's vocab_size ${tokenizer.maxId}, got ${last}`;
      await expect(elsewhere.tokenizeAll([input], how)).rejects.toThrow(message);
      await expect(elsewhere.encodeAll([input], how)).rejects.toThrow(message);
    }
    await longTexts.dispose();
  });

  test("an abort rejects at once with its reason, and the next text has its ids", async () => {
    const { here, elsewhere, longTexts } = tokenizers();
    const stop = new AbortController();
    const one = elsewhere.tokenizeAll([long(1).repeat(50)], { where: "test", maxTokens: 20, signal: stop.signal });
    await new Promise(setImmediate);
    stop.abort(new Error("no longer wanted"));
    await expect(one).rejects.toThrow("no longer wanted");
    const how = { where: "test", maxTokens: 20 };
    const [a, b] = [await here.tokenizeAll([long(2)], how), await elsewhere.tokenizeAll([long(2)], how)];
    expect(b.ids(0)).toEqual(a.ids(0));
    await longTexts.dispose();
  });

  test("a folder that has changed since is not read again", async () => {
    const own = await writeSmallModel();
    const tokenizer = loadTokenizer(own);
    const elsewhere = new TextTokenizer(tokenizer, undefined, new LongTexts(own));
    const how = { where: "test", maxTokens: 20 };
    const before = await new TextTokenizer(tokenizer).tokenizeAll([long(3)], how);
    writeFileSync(join(own, "tokenizer.json"), "{}");
    expect((await elsewhere.tokenizeAll([long(3)], how)).ids(0)).toEqual(before.ids(0));
    rmSync(own, { recursive: true });
    expect((await elsewhere.tokenizeAll([long(3)], how)).ids(0)).toEqual(before.ids(0));
  });

  test("of many calls at once each has the ids that it has alone", async () => {
    const { here } = tokenizers();
    const lists = Array.from({ length: 12 }, (_, call) =>
      Array.from({ length: 10 + 60 * call }, (_, i) => wordsText(1 + (i % 9), call + i)),
    );
    const how = { where: "test", maxTokens: 20 };
    const together = await Promise.all(lists.map((texts) => here.tokenizeAll(texts, how)));
    for (const [call, texts] of lists.entries()) {
      for (const [i, text] of texts.entries()) {
        expect(together[call]!.ids(i)).toEqual((await here.tokenizeAll([text], how)).ids(0));
      }
    }
  });

  test("a model that is disposed of waits for a long text; a process that is not disposing ends by itself", async () => {
    const encoder = await Encoder.load(folder);
    const vector = encoder.encode(long(1));
    await encoder.dispose();
    const entry = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
    const program = `
      const { Encoder } = await import(${JSON.stringify(entry)});
      const encoder = await Encoder.load(${JSON.stringify(folder)});
      const vector = await encoder.encode(${JSON.stringify(long(1))});
      console.log(JSON.stringify([...vector]));
    `;
    const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-"], {
      input: program,
      encoding: "utf8",
      timeout: 60_000,
    });
    expect(status).toBe(0);
    expect(Float32Array.from(JSON.parse(stdout))).toEqual(await vector);
  });
});
