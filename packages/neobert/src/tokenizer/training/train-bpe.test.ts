// Training byte-level BPE against a naive trainer, and what must hold of any training. (Against Hugging Face's trainer:
// test/peers/tokenizer.py.)

import fc from "fast-check";
import { expect, test } from "vitest";
import { type BpeTrainerOptions, trainBpe } from "../index.js";
import type { BpeJSON } from "../json/schema.js";
import { byteCharacters, spellBytes } from "../text/byte-level.js";

const special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

async function mergesOf(texts: string[], options: Partial<BpeTrainerOptions> = {}): Promise<string[]> {
  const tokenizer = await trainBpe(texts, { vocabSize: 300, minFrequency: 1, ...options });
  return (tokenizer.toJSON() as BpeJSON).model.merges.map((pair) => pair.join(" "));
}

/** Counts all pairs anew for each merge; of equally frequent ones that with the smaller ids comes first. */
function naiveMerges(text: string, count: number): string[] {
  const ids = new Map([...special, ...byteCharacters.toSorted()].map((token, id) => [token, id]));
  let words = (text.match(/ ?\S+/g) ?? []).map((word) => Array.from(spellBytes(word)));
  const merges: string[] = [];
  while (merges.length < count) {
    const counts = new Map<string, number>();
    for (const word of words) for (let i = 1; i < word.length; i++) increment(counts, `${word[i - 1]} ${word[i]}`);
    const order = (pair: string) => pair.split(" ").map((token) => ids.get(token)!) as [number, number];
    const [best] = [...counts].sort(
      ([a, n], [b, m]) => m - n || order(a)[0] - order(b)[0] || order(a)[1] - order(b)[1],
    );
    if (!best) break;
    const [left, right] = best[0].split(" ") as [string, string];
    merges.push(best[0]);
    if (!ids.has(left + right)) ids.set(left + right, ids.size);
    words = words.map((word) => {
      const joined: string[] = [];
      for (const token of word) {
        if (token === right && joined.at(-1) === left) joined[joined.length - 1] = left + right;
        else joined.push(token);
      }
      return joined;
    });
  }
  return merges;
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

test("the merges are those of a naive trainer", async () => {
  const word = fc.string({ unit: fc.constantFrom(..."abcé"), minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 30 }), async (words) => {
      const text = words.join(" ");
      expect(await mergesOf([text])).toEqual(naiveMerges(text, 300 - 261));
    }),
    { numRuns: 60 },
  );
});

test("special tokens come first, then the bytes by character, then the merges", async () => {
  const tokenizer = await trainBpe(["low low lower"], { vocabSize: 300 });
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id)!);
  expect(tokens.slice(0, 6)).toEqual([...special, "!"]);
  expect(tokens.slice(5, 261).toSorted()).toEqual(byteCharacters.toSorted());
  // By hand: l o 3, o w 3, lo w 3, then Ġ low 2; "er" is seen once.
  expect(tokens.slice(261)).toEqual(["lo", "low", "Ġlow"]);
});

test("neither the order of the texts nor how they are cut changes the vocabulary", async () => {
  const texts = ["the low lower lowest\n", "newer newest the\n", "wider widest the low\n"];
  expect(await mergesOf(texts.toReversed())).toEqual(await mergesOf([texts.join("")]));
});

test("minFrequency, maxTokenLength and addPrefixSpace do what they say", async () => {
  expect(await mergesOf(["abc abc abd"], { minFrequency: 3 })).toEqual(["a b"]);
  expect(await mergesOf(["abcd abcd"], { minFrequency: 2, maxTokenLength: 2 })).toEqual(["a b", "c d"]);
  expect(await mergesOf(["a", "a"], { addPrefixSpace: true })).toEqual(["Ġ a"]);
});

test("a vocabulary too small for the bytes is refused", async () => {
  await expect(trainBpe(["a"], { vocabSize: 260 })).rejects.toThrow(/at least 261 .*, got 260\nRaise vocabSize/);
});
