// FillMask, Classifier, TokenClassifier and CrossEncoder on small models. Oracles: the model's logits computed by libtorch
// text by text, and softmax or sigmoid written out here.

import { rmSync } from "node:fs";
import { noGrad, tidy } from "@neobert/torch";
import { afterAll, expect, test } from "vitest";
import { TorchModel } from "../model/torch/torch-model.js";
import { loadTokenizer } from "../tokenizer/index.js";
import { Classifier } from "./classifier.js";
import { CrossEncoder } from "./cross-encoder.js";
import { Encoder } from "./encoder.js";
import { FillMask } from "./fill-mask.js";
import { type SmallModel, wordsText, writeSmallModel } from "./fixture-encoder.js";
import { TokenClassifier } from "./token-classifier.js";

const engines = ["onnx", "torch"] as const;
const folders: string[] = [];
async function small(model: SmallModel): Promise<string> {
  folders.push(await writeSmallModel(model));
  return folders.at(-1)!;
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

type Compute = "sequenceLogits" | "tokenLogits" | "logits";
/** Logits of one text or pair. */
function logitsOf(folder: string, compute: Compute, text: string, pair?: string): number[][] {
  const { ids, typeIds } = loadTokenizer(folder).encode(text, pair === undefined ? {} : { pair });
  const batch = { ids, cuSeqlens: Int32Array.of(0, ids.length), tokenTypes: typeIds };
  const model = TorchModel.load(folder);
  const rows = Int32Array.from(ids.keys());
  const values = tidy(() =>
    noGrad(() => (compute === "logits" ? model.logits(batch, rows) : model[compute](batch)).toArray()),
  ) as number[];
  model.dispose();
  const count = compute === "sequenceLogits" ? 1 : ids.length;
  const width = values.length / count;
  return Array.from({ length: count }, (_, i) => values.slice(i * width, (i + 1) * width));
}
const softmax = (logits: number[]) => {
  const parts = logits.map((logit) => Math.exp(logit));
  return parts.map((part) => part / parts.reduce((a, b) => a + b));
};

test.each(engines)("FillMask on %s gives each mask its likeliest tokens, alone or in a list", async (engine) => {
  const folder = await small({ head: "maskedLM" });
  await using fillMask = await FillMask.load(folder, { engine });
  const text = "the [MASK] of a [MASK] people";
  const [first, second] = await fillMask.fill(text, { topK: 4 });
  const { ids } = fillMask.tokenizer.encode(text);
  const rows = [...ids.keys()].filter((i) => ids[i] === fillMask.tokenizer.specialIds.mask);
  const expected = rows.map((row) => softmax(logitsOf(folder, "logits", text)[row]!));
  for (const [mask, choices] of [first!, second!].entries()) {
    const best = [...expected[mask]!.entries()].sort((a, b) => b[1] - a[1]).slice(0, 4);
    expect(choices.map(({ id }) => id)).toEqual(best.map(([id]) => id));
    for (const [k, { score }] of choices.entries()) expect(score).toBeCloseTo(best[k]![1], 5);
  }
  expect(first![0]!.sequence).toContain(first![0]!.token.replace("##", ""));
  const many = await fillMask.fill([text, "a [MASK]", text], { topK: 4 });
  expect(many.map((masks) => masks.length)).toEqual([2, 1, 2]);
  expect(many[2]!.map((choices) => choices.map(({ id }) => id))).toEqual(
    [first!, second!].map((choices) => choices.map(({ id }) => id)),
  );
  await expect(fillMask.fill("no mask")).rejects.toThrow(
    /fill: expected a text with \[MASK\], got "no mask"\nPut \[MASK\] where/,
  );
  await expect(fillMask.fill("the law of [MASK]", { maxTokens: 4 })).rejects.toThrow("behind its first 4 tokens");
});

test.each(engines)(
  "Classifier on %s sorts labels by softmax, with the config's names, in the caller's order",
  async (engine) => {
    const id2label = { 0: "war", 1: "peace", 2: "law" };
    const folder = await small({ head: "sequenceClassification", config: { id2label } });
    await using classifier = await Classifier.load(folder, { engine });
    const texts = [wordsText(9), "the law", wordsText(20, 3)];
    for (const [i, labels] of (await classifier.classify(texts)).entries()) {
      const expected = softmax(logitsOf(folder, "sequenceLogits", texts[i]!)[0]!);
      expect(labels.map(({ index }) => index)).toEqual([0, 1, 2].sort((a, b) => expected[b]! - expected[a]!));
      for (const { label, index, score } of labels) {
        expect(label).toBe(Object.values(id2label)[index]);
        expect(score).toBeCloseTo(expected[index]!, 5);
      }
    }
    expect(await classifier.classify("the law", { topK: 1 })).toHaveLength(1);
    const pair = await classifier.classify({ text: "the law", pair: "of war" }, { activation: "none" });
    const logits = logitsOf(folder, "sequenceLogits", "the law", "of war")[0]!;
    for (const { index, score } of pair) expect(score).toBeCloseTo(logits[index]!, 4);
  },
);

test("labels that do not exclude each other get a sigmoid each, and regression its value", async () => {
  const folder = await small({
    head: "sequenceClassification",
    config: { num_labels: 2, problem_type: "multi_label_classification" },
  });
  await using classifier = await Classifier.load(folder);
  const logits = logitsOf(folder, "sequenceLogits", "the law")[0]!;
  for (const { label, index, score } of await classifier.classify("the law")) {
    expect(label).toBe(`LABEL_${index}`);
    expect(score).toBeCloseTo(1 / (1 + Math.exp(-logits[index]!)), 5);
  }
  await using regression = await Classifier.load(
    await small({ head: "sequenceClassification", config: { num_labels: 2, problem_type: "regression" } }),
  );
  for (const { index, score } of await regression.classify("the law")) expect(score).toBeCloseTo(logits[index]!, 4);
});

test.each(engines)("CrossEncoder on %s ranks texts by the pair's score, with segments", async (engine) => {
  const folder = await small({ head: "sequenceClassification", config: { num_labels: 1 } });
  await using crossEncoder = await CrossEncoder.load(folder, { engine });
  const query = "who shall govern";
  const texts = ["the law", wordsText(12), "a free people", wordsText(30, 2)];
  const ranked = await crossEncoder.rerank(query, texts);
  const expected = texts.map((text) => 1 / (1 + Math.exp(-logitsOf(folder, "sequenceLogits", query, text)[0]![0]!)));
  expect(ranked.map(({ index }) => index)).toEqual([0, 1, 2, 3].sort((a, b) => expected[b]! - expected[a]!));
  for (const { index, score, text } of ranked) {
    expect(score).toBeCloseTo(expected[index]!, 5);
    expect(text).toBe(texts[index]);
  }
  expect(await crossEncoder.rerank(query, texts, { topK: 2 })).toEqual(ranked.slice(0, 2));
});

test("CrossEncoder's activation is the config's, and a model with more labels is refused", async () => {
  const identity = { sbert_ce_default_activation_function: "torch.nn.modules.linear.Identity" };
  const folder = await small({ head: "sequenceClassification", config: { num_labels: 1, ...identity } });
  await using crossEncoder = await CrossEncoder.load(folder);
  const [score] = await crossEncoder.scores([["the law", "of war"]]);
  expect(score).toBeCloseTo(logitsOf(folder, "sequenceLogits", "the law", "of war")[0]![0]!, 4);
  await using two = await CrossEncoder.load(await small({ head: "sequenceClassification", config: { num_labels: 2 } }));
  await expect(two.rerank("a", ["b"])).rejects.toThrow("expected a model with one label, got 2");
});

test.each(engines)(
  "TokenClassifier on %s labels tokens, with places in the text, in texts of any length",
  async (engine) => {
    const id2label = { 0: "O", 1: "B-LAW", 2: "I-LAW" };
    const folder = await small({ head: "tokenClassification", config: { id2label, max_position_embeddings: 64 } });
    await using tagger = await TokenClassifier.load(folder, { engine });
    const text = "  the law of \u{1F3DB} the free states";
    const tags = await tagger.tag(text, { aggregation: "none", ignore: [] });
    const logits = logitsOf(folder, "tokenLogits", text).slice(1, -1);
    expect(tags).toHaveLength(logits.length);
    for (const [i, { label, score, start, end, text: part }] of tags.entries()) {
      const scores = softmax(logits[i]!);
      const best = scores.indexOf(Math.max(...scores));
      expect([label, part]).toEqual([id2label[best as 0], text.slice(start, end)]);
      expect(score).toBeCloseTo(scores[best]!, 5);
    }
    expect(tags.at(-1)!.end).toBe(text.length);
    // 150 words in windows of 64 tokens: every token once, in order.
    const long = await tagger.tag(wordsText(150), { aggregation: "none", ignore: [] });
    expect(long.map(({ text }) => text).join("")).toBe(wordsText(150).replaceAll(" ", ""));
    const grouped = await tagger.tag([text, "the"], { aggregation: "first" });
    expect(grouped).toHaveLength(2);
    for (const { label } of grouped.flat()) expect(label).toBe("LAW");
  },
);

test("a model without the head that is asked for is refused, naming what is missing", async () => {
  const folder = await small({});
  await expect(Classifier.load(folder)).rejects.toThrow(/classifier.weight/);
  await using encoder = await Encoder.load(await small({ head: "maskedLM" }));
  expect(encoder.dimension).toBe(32);
});
