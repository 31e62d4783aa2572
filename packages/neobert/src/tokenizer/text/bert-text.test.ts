// The switches of BertNormalizer and the borders of BertPreTokenizer. Expected strings are those of Hugging Face's
// own tests and of its Rust tokenizers 0.23.2 asked for the same text.

import { expect, test } from "vitest";
import { type BertNormalizerOptions, normalizeBert, splitBert } from "./bert-text.js";

const off: BertNormalizerOptions = {
  cleanText: false,
  handleChineseChars: false,
  stripAccents: false,
  lowercase: false,
};

test.each([
  ["Héllò", { stripAccents: true }, "Hello"],
  ["Héllò", { lowercase: true }, "héllò"],
  ["你好", { handleChineseChars: true }, " 你  好 "],
  ["\ufeffHello", { cleanText: true }, "Hello"],
  ["a\u0000b\ufffdc\u200bd", { cleanText: true }, "abcd"],
  ["a\tb\u3000c\u0085d", { cleanText: true }, "a b cd"],
  ["a\ud800b", { cleanText: true }, "ab"],
  ["ΌΔΟΣ", { lowercase: true }, "όδοσ"],
  ["İ", { lowercase: true }, "i̇"],
  ["각", { stripAccents: true }, "각".normalize("NFD")],
])("%j with %j becomes %j", (text, options, expected) => {
  expect(normalizeBert(text, { ...off, ...options }).text).toBe(expected);
});

test("each normalized character knows its place in the original", () => {
  const { text, starts, ends } = normalizeBert("\u200bÉ𝒳中", {
    cleanText: true,
    handleChineseChars: true,
    stripAccents: true,
    lowercase: true,
  });
  expect(text).toBe("e𝒳 中 ");
  expect(Array.from(starts)).toEqual([1, 2, 2, 4, 4, 4]);
  expect(Array.from(ends)).toEqual([2, 4, 4, 5, 5, 5]);
});

test("words end at white space and punctuation, and punctuation stands alone", () => {
  const text = "Hey friend!     How are you?!?";
  const words: string[] = [];
  splitBert(text, 0, text.length, (start, end) => words.push(text.slice(start, end)));
  expect(words).toEqual(["Hey", "friend", "!", "How", "are", "you", "?", "!", "?"]);
});

test("punctuation that Unicode added lately does not cut, as in Hugging Face's older tables", () => {
  const words: string[] = [];
  splitBert("a\u061db\u2e55c\u00b7d", 0, 7, (start) => words.push(String(start)));
  expect(words).toEqual(["0", "5", "6"]);
});
