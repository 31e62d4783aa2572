// What a batch is made of: labels at the right tokens, every example once an epoch, and early stopping. Oracles: by hand.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fineTuningSchedule } from "../../evaluate/glue/grid.js";
import { goldenRoot } from "../../model/golden.js";
import { loadTokenizer, trainBpe, trainWordPiece } from "../../tokenizer/index.js";
import { learningRate } from "../loop/schedule.js";
import { BestSoFar } from "./best.js";
import { classScoresOf } from "./class-scores.js";
import { epochSteps } from "./epochs.js";
import { Examples } from "./examples.js";
import { labelledOf, warOrPeace } from "./fixture-classify.js";
import { IGNORED, type Problem } from "./problem.js";
import { scoresOf } from "./problem-scores.js";

const problem: Problem = { type: "single", labels: ["war", "peace"] };
const corpus = warOrPeace(60).map(({ text }) => text);
const options = { where: "test", maxTokens: 64 };

test.each(["WordPiece", "byte-level BPE"])(
  "a word's label stands at its first piece, and nowhere else: %s",
  async (kind) => {
    const texts = ["government of people", "peaceful peoples govern", ...corpus];
    const tokenizer = await (kind === "WordPiece"
      ? trainWordPiece(texts, { vocabSize: 60 })
      : trainBpe(texts, { vocabSize: 290 }));
    const words = ["governments", "of", "peopled", "o", "war"];
    const data = { inputs: [words.join(" ")], labels: [[3, 1, 4, 0, 2]], words: [words] };
    const tokens: Problem = { type: "tokens", labels: ["a", "b", "c", "d", "e"] };
    const examples = await Examples.tokenize(tokens, data, tokenizer, options);
    const targets = examples.targets(0);
    expect([...targets].filter((target) => target !== IGNORED)).toEqual([3, 1, 4, 0, 2]);
    expect(targets.length).toBeGreaterThan(words.length + 2);
    expect([targets[0], targets.at(-1)]).toEqual([IGNORED, IGNORED]);
    // The pieces from a label up to the next one spell the word.
    const { ids } = examples.pack([0]);
    const starts = [...targets.keys()].filter((token) => targets[token] !== IGNORED);
    for (const [i, start] of starts.entries()) {
      expect(tokenizer.decode(ids.slice(start, starts[i + 1] ?? ids.length)).trim()).toBe(words[i]);
    }
  },
);

test("an epoch shows every example once in an order of its own, and a cursor goes on where it stood", async () => {
  const tokenizer = await trainWordPiece(corpus, { vocabSize: 80 });
  const examples = await Examples.tokenize(problem, labelledOf(warOrPeace(21)), tokenizer, options);
  const epochOptions = { problem, seed: 3, batchSize: 4, microBatchTokens: 20 };
  const steps = epochSteps(examples, epochOptions);
  const taken = Array.from({ length: 12 }, () => steps.next().value);
  const orders = taken.map(({ microBatches }) => microBatches.flatMap(({ order }) => order));
  const [first, second] = [orders.slice(0, 6).flat(), orders.slice(6, 12).flat()];
  const all = Array.from({ length: 21 }, (_, i) => i);
  expect(first.toSorted((a, b) => a - b)).toEqual(all);
  expect(second.toSorted((a, b) => a - b)).toEqual(all);
  expect(second).not.toEqual(first);
  expect(orders.map(({ length }) => length)).toEqual([4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4, 1]);
  const resumed = epochSteps(examples, epochOptions, taken[6]!.cursor as never);
  expect(resumed.next().value.microBatches).toEqual(taken[7]!.microBatches);
  for (const { microBatches, targets } of taken) {
    expect(targets).toBe(microBatches.reduce((sum, { order }) => sum + order.length, 0));
    for (const { ids, order } of microBatches) expect(ids.length <= 20 || order.length === 1).toBe(true);
  }
});

test("a run gives up after exactly `patience` evaluations without gain, counted from the best one", () => {
  const best = new BestSoFar(3);
  const given: boolean[] = [];
  for (const [i, main] of [0.5, 0.6, 0.6, 0.1, 0.55].entries()) {
    best.add({ step: i + 1, scores: { main } });
    given.push(best.hasGivenUp);
  }
  expect(given).toEqual([false, false, false, false, true]);
  expect(best.best!.step).toBe(2);
});

test("a score that is no number is never the best, and evaluations are read back from a run's metrics", () => {
  const folder = mkdtempSync(join(tmpdir(), "neobert-best-"));
  const file = join(folder, "metrics.jsonl");
  const mains = [Number.NaN, 0.2, 0.7, Number.NaN];
  const lines = mains.map((main, i) => JSON.stringify({ step: i + 1, validation: { main } }));
  writeFileSync(file, `${[...lines, JSON.stringify({ step: 5, loss: 1 })].join("\n")}\n`);
  const best = new BestSoFar(2);
  best.restore(file);
  expect(best.best).toEqual({ step: 3, scores: { main: 0.7 } });
  expect(best.withoutGain).toBe(1);
  rmSync(folder, { recursive: true });
});

test("the rates of a run of 1,230 steps are the closed form of the paper's schedule", () => {
  const file = new URL("../../../../../test/golden/training/schedules.json", import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as {
    cases: { name: string; peak_lr: number; steps: number[]; formula: number[] }[];
  };
  const { peak_lr: peakLr, steps, formula } = cases.find(({ name }) => name === "GLUE, 1230 steps")!;
  for (const [i, step] of steps.entries()) {
    const rate = learningRate({ ...fineTuningSchedule(1230), peakLr }, step);
    expect(Math.abs(rate - formula[i]!)).toBeLessThanOrEqual(1e-9 * peakLr);
  }
});

test("entities of words that the model does not see, cut away or without tokens, are missed ones", async () => {
  const folder = join(goldenRoot, "cases/cut-words");
  const tokenizer = loadTokenizer(join(folder, "model"));
  const { tokens: words, tags } = JSON.parse(readFileSync(join(folder, "long.jsonl"), "utf8"));
  const tagging: Problem = { type: "tokens", labels: ["O", "B-X"] };
  const scores = async (words: string[], tags: string[], maxTokens: number) => {
    const labels = [tags.map((tag) => tagging.labels.indexOf(tag))];
    const data = { inputs: [words.join(" ")], labels, words: [words] };
    const examples = await Examples.tokenize(tagging, data, tokenizer, { where: "test", maxTokens });
    const right = [...examples.targets(0)].flatMap((target) => (target === 1 ? [0, 1] : [1, 0]));
    const logits = [Float32Array.from(right)];
    const { labels: byLabel, confusion } = classScoresOf(tagging, logits, examples, 1)!;
    // The scores by label are of the same words.
    expect(byLabel.map(({ count }) => count)).toEqual(
      tagging.labels.map((label) => tags.filter((tag) => tag === label).length),
    );
    expect(byLabel[1]!.recall).toBe(scoresOf(tagging, logits, examples).recall);
    expect(confusion!.flat().reduce((sum, times) => sum + times)).toBe(words.length);
    return scoresOf(tagging, logits, examples);
  };
  // Five entities, four of them behind the first 64 tokens, and all that is seen is tagged right.
  expect(tags.filter((tag: string) => tag === "B-X")).toHaveLength(5);
  expect(await scores(words, tags, 64)).toMatchObject({ precision: 1, recall: 0.2 });
  expect(await scores(words, tags, 512)).toMatchObject({ precision: 1, recall: 1, accuracy: 1 });
  // A word of a zero-width space has no tokens.
  expect(await scores(["a", "\u200b", "b"], ["O", "B-X", "B-X"], 64)).toMatchObject({ precision: 1, recall: 0.5 });
});
