// A model that is one: its log-probabilities are a known function of the token, so every number of a report can be told.

import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Encoding } from "../../tokenizer/index.js";
import type { MaskedLM } from "./pppl.js";
import { doublingLengths, pointsByLength } from "./pppl-points.js";
import { evaluatePseudoPerplexity, type PplOptions } from "./pppl-run.js";

let out: string;
let asked: number;
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), "neobert-pppl-"));
  asked = 0;
});
afterEach(() => rmSync(out, { recursive: true }));

// A token a character; a mask's log-probability is minus a tenth of the letter's place in the alphabet.
const model: MaskedLM = {
  maxTokens: 8,
  maxPositions: 64,
  tokenizer: {
    specialIds: { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 } as MaskedLM["tokenizer"]["specialIds"],
    encode: (text, { maxLength = 8 }) => {
      const inner = [...text].slice(0, maxLength - 2).map((letter) => letter.charCodeAt(0) - 92);
      const ids = Int32Array.from([2, ...inner, 3]);
      return { ids, specialTokensMask: ids.map((id) => (id < 4 ? 1 : 0)) } as Encoding;
    },
  },
  logProbabilities: async (_, rows, ids) => {
    asked += rows.length;
    return Float32Array.from(ids, (id) => -(id - 4) / 10);
  },
};
const run = (options: Partial<PplOptions> & Pick<PplOptions, "texts">) =>
  evaluatePseudoPerplexity({ model, name: "letters", maxLength: 64, out, ...options });

test("every text given is in the report, short and long, the last one too", async () => {
  // The reference's script first keeps up to 20,000 characters, then above 20,000: nothing is left.
  const texts = ["a", "aab", "z".repeat(30_000), "", "b"];
  const report = await run({ texts });
  expect(report.texts.map(({ tokens }) => tokens)).toEqual([3, 5, 64, 3]);
  expect(report.texts.map(({ pseudoPerplexity }) => Number(pseudoPerplexity.toFixed(5)))).toEqual(
    [0.1, 0.4 / 3, 2.6, 0.2].map((loss) => Number(Math.exp(loss).toFixed(5))),
  );
  expect(report.skipped).toBe(1);
  expect(JSON.parse(readFileSync(join(out, "pppl.json"), "utf8"))).toEqual(JSON.parse(JSON.stringify(report)));
});

test("a run that was stopped goes on with the texts it has not scored, and ends as one that was not", async () => {
  const texts = ["abc", "bcd", "cde", "def", "efg"];
  const whole = await evaluatePseudoPerplexity({ model, name: "letters", maxLength: 64, texts });
  const all = asked;
  const stop = new AbortController();
  const onProgress = ({ textsDone }: { textsDone: number }) => textsDone === 2 && stop.abort(new Error("stopped"));
  await expect(run({ texts, batchTokens: 5, signal: stop.signal, onProgress })).rejects.toThrow("stopped");
  appendFileSync(join(out, "texts.jsonl"), '{"id":"torn'); // as a kill leaves it
  asked = 0;
  const resumed = await run({ texts });
  expect(asked).toBeLessThan(all);
  expect(asked).toBeGreaterThan(0);
  expect(resumed).toEqual(whole);
  asked = 0;
  expect(await run({ texts: [...texts].reverse() })).toEqual({ ...whole, texts: [...whole.texts].reverse() });
  expect(asked).toBe(0);
});

test("scores of another model or sample are not mixed in, but thrown away by force", async () => {
  await run({ texts: ["abc"], settings: { weights: "1" } });
  await expect(run({ texts: ["abc"], settings: { weights: "2" } })).rejects.toThrow(
    /"weights":"2".*got.*"weights":"1"/,
  );
  await expect(run({ texts: ["abc"], settings: { weights: "1" }, sample: 2 })).rejects.toThrow(/`force`/);
  const report = await run({ texts: ["abcdef"], settings: { weights: "2" }, sample: 2, force: true });
  expect(report.settings).toMatchObject({ weights: "2", sample: 2, seed: 0, trainedLength: 8 });
});

test("with every length each bin holds the same texts, cut", async () => {
  const report = await run({
    texts: ["abcdefghij", "abcdefgh", "a"],
    lengths: [4, 6, 10],
    everyLength: true,
    maxLength: 10,
  });
  expect(report.points.map(({ length, texts }) => [length, texts])).toEqual([
    [4, 2],
    [6, 2],
    [10, 2],
  ]);
  expect(report.skipped).toBe(1);
  await expect(run({ texts: ["ab"], lengths: [8], everyLength: true, maxLength: 8 })).rejects.toThrow(
    /at least 8 tokens, got none/,
  );
});

test("bins have the median and quartiles that NumPy gives, and empty ones are left out", () => {
  const scores = [
    [10, 1],
    [64, 2],
    [3, 4],
    [65, 9],
    [64, 10],
    [300, 5],
  ].map(([tokens, pseudoPerplexity]) => ({ tokens: tokens!, pseudoPerplexity: pseudoPerplexity! }));
  // numpy.quantile([1, 2, 4, 10], [0.25, 0.5, 0.75]) = [1.75, 3.0, 5.5]
  expect(pointsByLength(scores, [64, 128, 256, 512])).toEqual([
    { length: 64, texts: 4, median: 3, q25: 1.75, q75: 5.5 },
    { length: 128, texts: 1, median: 9, q25: 9, q75: 9 },
    { length: 512, texts: 1, median: 5, q25: 5, q75: 5 },
  ]);
  expect(doublingLengths(300)).toEqual([64, 128, 256, 300]);
  expect(doublingLengths(256)).toEqual([64, 128, 256]);
});

test("lengths that do not ascend to the greatest are refused", async () => {
  await expect(run({ texts: ["ab"], lengths: [8, 4] })).rejects.toThrow(
    /ascending lengths up to the greatest, 64, got 8, 4/,
  );
});
