// Byte-level BPE over a small vocabulary learnt here: what must hold of any text, the time a long word takes, and the
// errors of files that do not fit together.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Merges, Symbols } from "./bpe.js";
import { IdBuffer, loadTokenizer, saveTokenizer, Tokenizer, trainBpe } from "./index.js";
import type { BpeJSON } from "./json/schema.js";
import { characterKinds, endOfWord } from "./text/gpt2-words.js";

const lines =
  "the low lower lowest new newer newest the wide wider widest it's don't they'll naïve 北京 12 123 1234".split(" ");
const text = Array.from({ length: 40 }, (_, i) => lines.slice(i % 5).join(" ")).join("\n");
const tokenizer = await trainBpe([text], { vocabSize: 400 });
const json = tokenizer.toJSON() as BpeJSON;

const someText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc
    .array(fc.constantFrom(...lines, " ", "  ", "\n", "\ud83d", "\ude00", "\u00a0", "\u0301", "'s", "🙂", "<mask>"))
    .map((parts) => parts.join("")),
);

test("decode gives back any text that was encoded", () => {
  fc.assert(
    fc.property(someText, (one) => {
      const ids = tokenizer.encodeIds(one);
      // Only <mask> takes the space before it along.
      const wanted = one.toWellFormed().replace(/\p{White_Space}+<mask>/gu, "<mask>");
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(wanted);
    }),
    { numRuns: 500 },
  );
});

test("offsets are in order and within the text, and leave spaces out", () => {
  fc.assert(
    fc.property(someText, (one) => {
      const { offsets, ids } = tokenizer.encode(one, { addSpecialTokens: false, offsetUnit: "utf16" });
      let last = 0;
      for (let i = 0; i < ids.length; i++) {
        const [start, end] = [offsets[2 * i]!, offsets[2 * i + 1]!];
        expect(end).toBeGreaterThanOrEqual(start);
        expect(end).toBeGreaterThanOrEqual(last);
        expect(one.slice(start, end)).not.toMatch(/^ | $/);
        last = end;
      }
      expect(last).toBeLessThanOrEqual(one.length);
    }),
  );
});

test("a text has the same ids alone, in a batch and from the cache", () => {
  fc.assert(
    fc.property(fc.array(someText, { maxLength: 6 }), (texts) => {
      const batch = tokenizer.encodeBatch(texts, { addSpecialTokens: false });
      const sink = new IdBuffer(1);
      for (const [i, one] of texts.entries()) {
        sink.clear();
        tokenizer.encodeInto(one, sink);
        expect(sink.toArray()).toEqual(batch[i]!.ids);
        expect(Tokenizer.fromJSON(json).encodeIds(one)).toEqual(batch[i]!.ids);
      }
    }),
    { numRuns: 30 },
  );
});

test("the words are those of GPT-2's pattern", () => {
  // The engine's Unicode is newer than the tables, so only characters that are old.
  const pattern =
    /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
  const parts = "a é 中 𝐁 1 ² Ⅷ ' 's 're 'l ll . ! 🙂 \u0301 \u00a0 \u3000 \n \t \u0085 \ufeff".split(" ");
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...parts, " ", " ")), (chosen) => {
      const one = chosen.join("");
      const words: string[] = [];
      for (let at = 0, end = 0; at < one.length; at = end) {
        end = endOfWord(one, at, one.length, characterKinds());
        words.push(one.slice(at, end));
      }
      expect(words).toEqual(one.match(pattern) ?? []);
    }),
    { numRuns: 1000 },
  );
});

test("a word is joined as by looking for the best pair again and again", () => {
  const merges = json.model.merges.map((pair) => pair.join(" "));
  const naive = (word: string[]): string[] => {
    const ranks = word.slice(1).map((right, i) => merges.indexOf(`${word[i]} ${right}`));
    const best = Math.min(...ranks.filter((rank) => rank >= 0));
    if (best === Number.POSITIVE_INFINITY) return word;
    const at = ranks.indexOf(best);
    return naive([...word.slice(0, at), word[at]! + word[at + 1]!, ...word.slice(at + 2)]);
  };
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."thelowrnsid"), minLength: 1, maxLength: 30 }), (word) => {
      expect(tokenizer.encode(word, { addSpecialTokens: false }).tokens).toEqual(naive(Array.from(word)));
    }),
  );
});

test("a word a hundred times as long takes a hundred times the steps and a logarithm, not their square", () => {
  const steps = (length: number) => {
    // Four symbols that pair up at every level: a a -> 1, 1 1 -> 2, 2 2 -> 3 ...
    const merges = new Merges(Array.from({ length: 20 }, (_, id) => [id, id, id + 1]));
    const word = new Symbols();
    for (let i = 0; i < length; i++) word.push(0, i, i + 1);
    merges.apply(word);
    expect(Array.from(word.ends.ids.subarray(0, word.length)).at(-1)).toBe(length);
    return merges.steps;
  };
  expect(steps(100_000) / steps(1000)).toBeLessThan(100 * 3);
  const long = "abcdefghij".repeat(20_000);
  expect(tokenizer.decode(tokenizer.encodeIds(long))).toBe(long);
});

test("a saved tokenizer loads as it was, from tokenizer.json and from vocab.json with merges.txt", () => {
  const folder = mkdtempSync(join(tmpdir(), "bpe-"));
  saveTokenizer(tokenizer, folder, { modelMaxLength: 128 });
  for (const path of [folder, join(folder, "vocab.json")]) {
    const loaded = loadTokenizer(path);
    expect(loaded.toJSON()).toEqual(json);
    expect(loaded.hash).toBe(tokenizer.hash);
    expect(loaded.modelMaxLength).toBe(128);
    expect(loaded.specialIds).toEqual({ cls: 0, pad: 1, sep: 2, unk: 3, mask: 4 });
  }
});

test("merges of older files, with a space between, are the same tokenizer", () => {
  const merges = json.model.merges.map((pair) => pair.join(" "));
  expect(Tokenizer.fromJSON({ ...json, model: { ...json.model, merges } }).hash).toBe(tokenizer.hash);
});

test("a mask takes the space before it, and a pair has two </s> between", () => {
  const { tokens } = tokenizer.encode("the <mask> low", { pair: "new" });
  expect(tokens).toEqual(["<s>", "the", " <mask>", "Ġlow", "</s>", "</s>", "new", "</s>"]);
});

test.each([
  [
    "a merge of an unknown token",
    {
      merges: [json.model.merges[0], ["t", "xyz"]],
    },
    /merge 2 of 2 \("t xyz"\) .* got "xyz"/,
  ],
  ["a merge that makes an unknown token", { merges: [["t", "\u00c3"]] }, /merge 1 of 1 .* got "tÃ"/],
  ["a merge of three", { merges: ["a b c"] }, /model\.merges\.0: .*got "a b c"/],
  ["dropout", { dropout: 0.1 }, /model\.dropout: expected no dropout.*got 0\.1/],
  ["an end-of-word suffix", { end_of_word_suffix: "</w>" }, /model\.end_of_word_suffix: .*got "<\/w>"/],
  ["an unknown token outside the vocabulary", { unk_token: "[UNK]" }, "unk_token [UNK]"],
])("%s is refused with a way out", (_, change, message) => {
  const malformed = { ...json, model: { ...json.model, ...change } };
  expect(() => Tokenizer.fromJSON(malformed)).toThrow(message);
  expect(() => Tokenizer.fromJSON(malformed)).toThrow(/\n(Load|Set) .+\.$/);
});

test.each([
  [
    "a possessive pattern",
    { type: "Split", pattern: { Regex: "a++" }, behavior: "Isolated" },
    /pattern that JavaScript has too, got "a\+\+"/,
  ],
  ["Metaspace", { type: "Metaspace" }, /pre_tokenizer.*got \{"type":"Metaspace"\}/],
])("the pre-tokenizer %s is refused", (_, pre_tokenizer, message) => {
  expect(() => Tokenizer.fromJSON({ ...json, pre_tokenizer })).toThrow(message);
});

test("a merges.txt that is broken or of another vocabulary is refused with its line", () => {
  const folder = mkdtempSync(join(tmpdir(), "bpe-"));
  writeFileSync(join(folder, "vocab.json"), '{ "<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4 }');
  writeFileSync(join(folder, "merges.txt"), "#version: 0.2\na b\na\n");
  expect(() => loadTokenizer(folder)).toThrow(/line 3 of merges\.txt: expected two tokens .* got "a"\nCopy/);
  writeFileSync(join(folder, "merges.txt"), "#version: 0.2\na b\nb a\n");
  expect(() => loadTokenizer(folder)).toThrow(/merge 2 of 2 \("b a"\).* got "ba".*\n.*line 3 of a merges\.txt/);
});
