// A toy vocabulary: what must hold of any text, pair and length, and what decoding gives back.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Encoding, IdBuffer, Tokenizer } from "./index.js";
import { bertTokenizerJSON } from "./json/bert-json.js";
import { usualSpecialTokens } from "./tokenizer.js";

const letters = Array.from("abcdefghijklmnopqrstuvwxyz0123456789");
const tokens = [
  ...Object.values(usualSpecialTokens),
  ...letters,
  ...letters.map((letter) => `##${letter}`),
  ..."! ? . , ' - é ß 中 Ω 🙂 want ##want ##ed wa un runn ##ing the low ##er ##est don".split(" "),
];
const json = bertTokenizerJSON({ tokens, specialTokens: usualSpecialTokens });
const tokenizer = Tokenizer.fromJSON(json);

const word = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    "want",
    "Running",
    "lower",
    "naïve",
    "[MASK]",
    "[SEP]",
    "don't",
    "中文",
    "🙂",
    "\ud800",
    " ",
    "\u200b",
  ),
  fc.string({ unit: fc.constantFrom("a", "B", "é", "中", " ", ".", "\u0301") }),
);
const someText = fc.array(word, { maxLength: 12 }).map((words) => words.join(" "));

describe("encode", () => {
  test("splits greedily from the left, as BERT's own example", () => {
    const { tokens: pieces } = tokenizer.encode("UNwant\u00e9d,running", { addSpecialTokens: false });
    expect(pieces).toEqual(["un", "##want", "##ed", ",", "runn", "##ing"]);
  });

  test("a word that does not come out even is unknown as a whole", () => {
    const { tokens: pieces, offsets } = tokenizer.encode("want wantЖ want");
    expect(pieces).toEqual(["[CLS]", "want", "[UNK]", "want", "[SEP]"]);
    expect(Array.from(offsets)).toEqual([0, 0, 0, 4, 5, 10, 11, 15, 0, 0]);
  });

  test("a word of 100 characters is split, one of 101 is unknown", () => {
    expect(tokenizer.encodeIds("a".repeat(100)).length).toBe(100);
    expect(Array.from(tokenizer.encodeIds("a".repeat(101)))).toEqual([tokenizer.specialIds.unk]);
  });

  test("offsets count code points, or UTF-16 units where asked", () => {
    const offsets = (offsetUnit: "codePoint" | "utf16") =>
      Array.from(tokenizer.encode("🙂🙂 the", { addSpecialTokens: false, offsetUnit }).offsets);
    expect(offsets("codePoint")).toEqual([0, 2, 3, 6]);
    expect(offsets("utf16")).toEqual([0, 4, 5, 8]);
  });

  test("offsets lie within the text, in order", () => {
    fc.assert(
      fc.property(someText, (text) => {
        const { offsets, ids } = tokenizer.encode(text, { addSpecialTokens: false, offsetUnit: "utf16" });
        let last = 0;
        for (let i = 0; i < ids.length; i++) {
          const [start, end] = [offsets[2 * i]!, offsets[2 * i + 1]!];
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThan(start);
          last = start;
        }
        expect(Math.max(0, ...offsets)).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  test("encodeIds and encodeInto give the ids of encode without special tokens", () => {
    const sink = new IdBuffer(1);
    fc.assert(
      fc.property(someText, (text) => {
        const { ids } = tokenizer.encode(text, { addSpecialTokens: false });
        sink.clear();
        tokenizer.encodeInto(text, sink);
        expect(tokenizer.encodeIds(text)).toEqual(ids);
        expect(sink.toArray()).toEqual(ids);
      }),
    );
  });

  test("the cache gives the same ids after it has overflowed", () => {
    const numbers = Array.from({ length: 90_000 }, (_, i) => `a${i}`);
    const fresh = Tokenizer.fromJSON(json);
    for (const text of numbers) fresh.encodeIds(text);
    for (const text of numbers.filter((_, i) => i % 997 === 0)) {
      expect(fresh.encodeIds(text)).toEqual(tokenizer.encode(text, { addSpecialTokens: false }).ids);
    }
  });
});

describe("truncation and padding", () => {
  const strategies = fc.constantFrom("longestFirst", "onlyFirst", "onlySecond");

  test("no result is longer than maxLength, and no overflow where both texts have room", () => {
    fc.assert(
      fc.property(
        someText,
        fc.option(someText, { nil: undefined }),
        fc.integer({ min: 3, max: 12 }),
        strategies,
        (text, pair, maxLength, truncation) => {
          let encoding: Encoding;
          try {
            encoding = tokenizer.encode(text, { maxLength, truncation, ...(pair === undefined ? {} : { pair }) });
          } catch (error) {
            expect((error as Error).message).toMatch(/expected only(First|Second) to reach maxLength/);
            return;
          }
          expect(encoding.ids.length).toBeLessThanOrEqual(maxLength);
          if (maxLength < 5) return;
          for (const { ids } of encoding.overflowing) expect(ids.length).toBeLessThanOrEqual(maxLength);
        },
      ),
    );
  });

  test("pieces that overflow share stride tokens and together hold the whole text", () => {
    fc.assert(
      fc.property(someText, fc.integer({ min: 3, max: 9 }), fc.nat(2), (text, maxLength, stride) => {
        const whole = Array.from(tokenizer.encodeIds(text));
        const options = { addSpecialTokens: false, maxLength, stride };
        const { ids, overflowing } = tokenizer.encode(text, options);
        const together = Array.from(ids);
        for (const piece of overflowing) {
          expect(Array.from(piece.ids.subarray(0, stride))).toEqual(stride === 0 ? [] : together.slice(-stride));
          together.push(...piece.ids.subarray(stride));
        }
        expect(together).toEqual(whole);
      }),
    );
  });

  test("a batch padded to its longest has one length, and its mask counts the tokens", () => {
    const batch = tokenizer.encodeBatch(["the", "the low lower lowest", ["the", "low"]], { padding: "longest" });
    expect(batch.map(({ ids }) => ids.length)).toEqual([8, 8, 8]);
    expect(batch.map(({ attentionMask }) => attentionMask.reduce((a, b) => a + b))).toEqual([3, 8, 5]);
    expect(Array.from(batch[0]!.ids.subarray(3))).toEqual([0, 0, 0, 0, 0]);
    expect(Array.from(batch[2]!.typeIds)).toEqual([0, 0, 0, 1, 1, 0, 0, 0]);
  });

  test("padding reaches maxLength and the next multiple", () => {
    expect(tokenizer.encode("the", { padding: "maxLength", maxLength: 8 }).ids.length).toBe(8);
    expect(tokenizer.encode("the", { padding: "longest", padToMultipleOf: 16 }).ids.length).toBe(16);
  });

  test("the tokenizer.json's own truncation and padding hold unless turned off", () => {
    const saved = Tokenizer.fromJSON({
      ...json,
      truncation: { direction: "Left", max_length: 4, strategy: "LongestFirst", stride: 0 },
      padding: {
        strategy: { Fixed: 6 },
        direction: "Left",
        pad_to_multiple_of: null,
        pad_id: 0,
        pad_type_id: 0,
        pad_token: "[PAD]",
      },
    });
    expect(saved.encode("the low want").tokens).toEqual(["[PAD]", "[PAD]", "[CLS]", "low", "want", "[SEP]"]);
    expect(saved.encode("the low want", { truncation: false, padding: false }).ids.length).toBe(5);
  });

  test.each([
    [{ maxLength: 1 }, "expected maxLength of at least the 2 special tokens, got 1"],
    [{ truncation: "longestFirst" as const }, "expected maxLength with truncation, got none"],
    [{ maxLength: 4, stride: 2 }, "expected stride below the 2 tokens a piece has room for, got 2"],
    [{ padding: "maxLength" as const }, 'expected maxLength with padding "maxLength", got none'],
  ])("%j is refused", (options, message) => {
    expect(() => tokenizer.encode("the low lower lowest", options)).toThrow(message);
  });
});

describe("decode", () => {
  test("words of the vocabulary come back as they were, in lower case", () => {
    const words = fc.array(fc.constantFrom("want", "wanted", "unwanted", "Running", "the", "lower", "lowest", "ß"));
    fc.assert(
      fc.property(words, (list) => {
        const text = list.join(" ");
        expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text.toLowerCase());
      }),
    );
  });

  test("special tokens stay where asked, punctuation is drawn close, foreign ids are left out", () => {
    const { ids } = tokenizer.encode("wanted , the [MASK] .");
    expect(tokenizer.decode(ids)).toBe("wanted, the.");
    expect(tokenizer.decode([...ids, 9999], { skipSpecialTokens: false })).toBe("[CLS] wanted, the [MASK]. [SEP]");
  });
});

describe("added tokens", () => {
  const added = (content: string, settings: object) => {
    const base = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
    const added_tokens = [...json.added_tokens, { ...base, id: tokens.length, content, ...settings }];
    return Tokenizer.fromJSON({ ...json, added_tokens });
  };
  const pieces = (t: Tokenizer, text: string) => {
    const { ids, offsets } = t.encode(text, { addSpecialTokens: false });
    expect(t.encodeIds(text)).toEqual(ids);
    return Array.from(ids, (id, i) => `${t.idToToken(id)}@${offsets[2 * i]}-${offsets[2 * i + 1]}`);
  };

  test("are never split, and enlarge the vocabulary", () => {
    const t = added("wan", {});
    expect(pieces(t, "wanted")).toEqual(["wan@0-3", "t@3-4", "##ed@4-6"]);
    expect(t.vocabSize).toBe(tokens.length + 1);
  });

  test("that are single words match no part of a word", () => {
    expect(pieces(added("wa", { single_word: true }), "wa wanted")).toEqual(["wa@0-2", "want@3-7", "##ed@7-9"]);
  });

  test("that strip take the white space beside them", () => {
    expect(pieces(added("X", { lstrip: true, rstrip: true }), "the  X \tthe")).toEqual([
      "the@0-3",
      "X@3-8",
      "the@8-11",
    ]);
  });

  test("that are normalized match the normalized text", () => {
    expect(pieces(added("Élow", { normalized: true }), "the ELOWer")).toEqual([
      "the@0-3",
      "Élow@4-8",
      "e@8-9",
      "##r@9-10",
    ]);
  });
});

test("a batch may have more texts than a function takes arguments", () => {
  const batch = tokenizer.encodeBatch(new Array<string>(200_000).fill("a"), { padding: "longest" });
  expect(batch.length).toBe(200_000);
  expect(batch.every(({ ids }) => ids.length === 3)).toBe(true);
});
