import { expect, test } from "vitest";
import { Tokenizer } from "../tokenizer.js";
import { matcherOf } from "./matcher.js";

const words = (pattern: object, normalizer: object | null = null) =>
  Tokenizer.fromJSON({
    version: "1.0",
    added_tokens: [],
    normalizer,
    pre_tokenizer: { type: "Split", pattern, behavior: "Isolated", invert: false },
    model: { type: "WordPiece", vocab: { "[UNK]": 0, a: 1, "##a": 2 }, unk_token: "[UNK]" },
  });

test("matches are those of matchAll, empty ones and those beside a surrogate pair too", () => {
  for (const [pattern, text] of [
    [/b*/gu, "ab😀bb"],
    [/\p{L}+|\s+(?!\S)|\s+/gu, "a b  c \u00e9\n\n"],
    [/(?:ab)+|(?:a|b){2,}c*d*e*/gu, "abab aab cde"],
  ] as const) {
    const expected = [...text.matchAll(pattern)].flatMap(({ index, 0: match }) => [index, index + match.length]);
    expect([...matcherOf(pattern)(text)]).toEqual(expected);
  }
});

test("a pattern that takes for ever is stopped with its place, and the next text is split as ever", () => {
  for (const pattern of ["(a+)+$", "(a|aa)+$", "a*a*a*a*a*a*a*$"]) {
    const tokenizer = words({ Regex: pattern });
    expect(() => tokenizer.encode(`${"a".repeat(5000)}b`)).toThrow(
      /pre_tokenizer.pattern to find its matches in a text of 5001 characters within \d+ ms[\s\S]*repeat no group/,
    );
    expect(tokenizer.encode("aa").tokens).toEqual(["a", "##a"]);
  }
});

test("steps that double a text again and again are refused before they fill the memory", () => {
  const double = { type: "Replace", pattern: { String: "a" }, content: "aa" };
  const normalizer = { type: "Sequence", normalizers: Array.from({ length: 40 }, () => double) };
  expect(() => words({ String: " " }, normalizer).encode("a")).toThrow(
    "normalizer.pattern to leave a text of a bearable length",
  );
});
