// Training against eight runs of Hugging Face's WordPieceTrainer, and what must hold of any training.

import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type TrainingProgress, trainWordPiece } from "../index.js";

const repository = new URL("../../../../../", import.meta.url);
const wikitext = new URL("../shared/data/wikitext-2/valid.txt.gz", repository);
const here = existsSync(wikitext);
const unzip = (file: URL) => gunzipSync(readFileSync(file)).toString();

test.skipIf(!here)(
  `the vocabulary of WikiText-2 is that of Hugging Face's trainer${here ? "" : " (skipped: ../shared/data is absent)"}`,
  async () => {
    const golden = JSON.parse(unzip(new URL("test/golden/training/wordpiece_trainer.json.gz", repository)));
    const lines = unzip(wikitext)
      .split("\n")
      .filter((line) => line.trim() !== "");
    const tokenizer = await trainWordPiece(lines, { vocabSize: 2000, minFrequency: 2, limitAlphabet: 1000 });
    const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id));
    expect(tokens.length).toBe(2000);
    expect(tokens.slice(0, golden.first_tokens.length)).toEqual(golden.first_tokens);
    const common: string[] = golden.in_all_runs;
    const found = common.filter((token) => tokenizer.tokenToId(token) !== undefined);
    expect(found.length / common.length).toBeGreaterThanOrEqual(0.99);
    expect(golden.hash_letters.filter((token: string) => tokenizer.tokenToId(token) === undefined)).toEqual([]);
  },
);

const vocabularyOf = async (texts: string[], options: Partial<Parameters<typeof trainWordPiece>[1]> = {}) => {
  const tokenizer = await trainWordPiece(texts, { vocabSize: 100, ...options });
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id)!).slice(5);
};

test("pairs are merged most frequent first, and counted anew after each merge", async () => {
  // By hand: l ##o 3, ##o ##w 2, then lo ##w 2; d ##o and do ##g once are below the least frequency.
  expect(await vocabularyOf(["low low lo dog"], { minFrequency: 2 })).toEqual([
    ..."dglow",
    "##g",
    "##o",
    "##w",
    "lo",
    "low",
  ]);
});

test("a letter that repeats is merged from the left", async () => {
  // a ##aa ##aa after the first merge; of two pairs seen once that of the older symbols goes first.
  expect(await vocabularyOf(["aaaaa"], { minFrequency: 1 })).toEqual(["a", "##a", "##aa", "aaa", "aaaaa"]);
});

test("neither the order of the texts nor how they are cut changes the vocabulary", async () => {
  const texts = ["the low lower lowest", "newer newest the", "wider widest the low"];
  const whole = await vocabularyOf([texts.toReversed().join("\n")]);
  expect(await vocabularyOf(texts)).toEqual(whole);
});

test("cased training keeps upper case and accents, the default does not", async () => {
  expect(await vocabularyOf(["É"], { lowercase: false })).toEqual(["É"]);
  expect(await vocabularyOf(["É"])).toEqual(["e"]);
});

test("limitAlphabet keeps the most frequent letters, and initialAlphabet comes before them", async () => {
  const options = { limitAlphabet: 2, initialAlphabet: ["z"], minFrequency: 9 };
  expect(await vocabularyOf(["a b b c c c"], options)).toEqual(["c", "z"]);
});

test("a vocabulary too small for the letters is refused", async () => {
  await expect(trainWordPiece(["abcdef"], { vocabSize: 10 })).rejects.toThrow(
    /expected vocabSize of at least 16 .*, got 10\nRaise vocabSize/,
  );
});

test("progress is told while reading and merging", async () => {
  const seen: TrainingProgress[] = [];
  const words = Array.from({ length: 90_000 }, (_, i) => (i * 7919).toString(36)).join(" ");
  await trainWordPiece([words, words, words], { vocabSize: 1500, onProgress: (progress) => seen.push(progress) });
  expect(seen.map(({ stage }) => stage)).toEqual(["reading", "merging"]);
  expect(seen.at(-1)).toEqual({ stage: "merging", done: 1024, total: 1500 });
});
