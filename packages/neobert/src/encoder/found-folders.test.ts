// Model folders as people have them (test/golden/cases), on both engines. Oracles: the float64 forward passes beside them.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportGguf, exportHf, exportOnnx } from "../export/index.js";
import { openSafetensors, writeSafetensors } from "../files/safetensors.js";
import { goldenRoot } from "../model/golden.js";
import { type Head, modelTypes } from "../model/index.js";
import { loadTokenizer } from "../tokenizer/index.js";
import { Classifier } from "./classifier.js";
import { CrossEncoder } from "./cross-encoder.js";
import { Encoder } from "./encoder.js";
import { FillMask } from "./fill-mask.js";
import { writeJson, writeSmallModel } from "./fixture-encoder.js";
import { QuestionAnswerer } from "./question-answerer.js";
import { TokenClassifier } from "./token-classifier.js";
import { ZeroShotClassifier } from "./zero-shot-classifier.js";

const root = join(goldenRoot, "cases");
const readJson = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), "utf8"));
const protoKeys = ["__proto__", "constructor", "toString"];
const engines = ["onnx", "torch"] as const;

const copies: string[] = [];
/** A copy of a folder whose config.json has other fields; `undefined` takes one away. */
function withConfig(folder: string, fields: Record<string, unknown>): string {
  const copy = mkdtempSync(join(tmpdir(), "neobert-found-"));
  copies.push(copy);
  cpSync(join(root, folder), copy, { recursive: true });
  writeJson(copy, "config.json", { ...readJson(folder, "config.json"), ...fields });
  return copy;
}
/** A copy of a folder whose tensors have other names, with further ones of zeros. */
function withTensors(folder: string, rename: (name: string) => string, more: Record<string, number[]>): string {
  const copy = withConfig(folder, {});
  const path = join(copy, "model.safetensors");
  const file = openSafetensors(path);
  const own = file.names().map((name) => {
    const { shape } = file.info(name);
    const data = file.read(name).data as Float32Array<ArrayBuffer>;
    return { name: rename(name), dtype: "F32" as const, shape, data };
  });
  file.close();
  const further = Object.entries(more).map(([name, shape]) => {
    return { name, dtype: "F32" as const, shape, data: new Float32Array(shape.reduce((size, n) => size * n, 1)) };
  });
  writeSafetensors(path, [...own, ...further]);
  return copy;
}
/** A small model whose tokenizer puts nothing around a text, so that an empty one has no tokens. */
async function bare(head: Head, config: Record<string, unknown> = {}): Promise<string> {
  const folder = await writeSmallModel({ head, config });
  copies.push(folder);
  const { post_processor: _, ...tokenizer } = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8"));
  writeJson(folder, "tokenizer.json", { ...tokenizer, post_processor: null });
  return folder;
}
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true });
});

function expectClose(got: Iterable<number>, expected: number[], tolerance = 1e-5): void {
  const values = [...got];
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(tolerance);
}

describe.each(engines)("with engine %s", (engine) => {
  test("rotary angles grow with a text's own length beyond that of training, in any company", async () => {
    const expected = readJson("nomic-scaling", "expected.json");
    const [long, short] = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n") as [string, string];
    await using encoder = await Encoder.load(join(root, "nomic-scaling/model"), { engine });
    expect(encoder.maxTokens).toBe(128);
    const [first, second] = await encoder.encode([long, short]);
    expectClose(first!, expected.line1_42_tokens);
    expectClose(second!, expected.line2_12_tokens);
    expectClose(await encoder.encode(long), expected.line1_42_tokens);
    expectClose(await encoder.encode(long, { maxTokens: 16 }), expected.line1_if_cut_to_16);
  });

  test("texts beyond the length of training are whole where no scaling is configured", async () => {
    const [long] = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n") as [string];
    const folder = withConfig("nomic-scaling/model", { rotary_scaling_factor: null });
    await using encoder = await Encoder.load(folder, { engine });
    expect([encoder.maxTokens, encoder.countTokens(long)]).toEqual([128, 42]);
    const { data, tokenCounts } = await encoder.encode([long]);
    expect([...tokenCounts]).toEqual([42]);
    // A factor of nearly 0 lets theta grow by nothing.
    await using still = await Encoder.load(withConfig("nomic-scaling/model", { rotary_scaling_factor: 1e-12 }), {
      engine,
    });
    expectClose(await still.encode(long), [...data]);
  });

  test.each(["cls", "mean", "max", "lasttoken"] as const)(
    "texts without tokens are zeros by %s, alone and among others, and leave the others alone",
    async (pooling) => {
      const texts: string[] = readJson("text-without-tokens", "texts.json");
      await using encoder = await Encoder.load(join(root, "text-without-tokens/model"), { engine });
      const without = texts.filter((text) => encoder.countTokens(text) === 0);
      expect(without.length).toBeGreaterThan(1);
      const vectors = [...(await encoder.encode(texts, { pooling }))];
      const alone = await Promise.all(texts.map((text) => encoder.encode(text, { pooling })));
      const expected = readJson("text-without-tokens", "expected.json")[pooling] ?? {};
      for (const [i, text] of texts.entries()) {
        if (without.includes(text)) expectClose(vectors[i]!, new Array(16).fill(0), 1e-30);
        else if (expected[text]) expectClose(vectors[i]!, expected[text]);
        expectClose(alone[i]!, [...vectors[i]!], 1e-6);
      }
      expect((await encoder.encode(without, { pooling })).shape).toEqual([without.length, 16]);
      expect((await encoder.tokens(without)).map(({ length }) => length)).toEqual(without.map(() => 0));
    },
  );

  test("a class, a place or a word is refused to a text without tokens in words, and others still get theirs", async () => {
    const expected = /text 1 \(""\): expected a text that has tokens, got one without\nLeave it out/;
    await using classifier = await Classifier.load(await bare("sequenceClassification"), { engine });
    await expect(classifier.classify(["the law", "", "peace"])).rejects.toThrow(expected);
    await expect(classifier.classify("")).rejects.toThrow("expected a text that has tokens");
    const [pair] = await classifier.classify([{ text: "", pair: "the law" }]);
    const [law] = await classifier.classify(["the law"]);
    for (const { score } of [...pair!, ...law!]) expect(score).toBeGreaterThan(0);

    await using reranker = await CrossEncoder.load(await bare("sequenceClassification", { num_labels: 1 }), { engine });
    await expect(reranker.rerank("", ["the law", ""])).rejects.toThrow(
      'rerank: text 1 ("" and ""): expected a text that has tokens',
    );
    expect(await reranker.rerank("peace", ["the law", ""])).toHaveLength(2);

    const zeroShotFolder = await bare("sequenceClassification", { id2label: { 0: "no", 1: "entailment" } });
    await using zeroShot = await ZeroShotClassifier.load(zeroShotFolder, { engine });
    expect(await zeroShot.classify("", ["war", "peace"], { hypothesisTemplate: "the {}" })).toHaveLength(2);
    const empty = zeroShot.classify(["the law", ""], ["", "war", "\u200b"], { hypothesisTemplate: "{}" });
    await expect(empty).rejects.toThrow('classify: text 1 ("" and ""): expected a text that has tokens');

    await using tagger = await TokenClassifier.load(await bare("tokenClassification"), { engine });
    const [tags, none] = await tagger.tag(["the law", ""], { aggregation: "none", ignore: [] });
    expect([tags!.length, none!.length]).toEqual([2, 0]);
    expect(await tagger.tag("")).toEqual([]);

    await using answerer = await QuestionAnswerer.load(await bare("questionAnswering"), { engine });
    await expect(answerer.answer("", "the law")).rejects.toThrow("got an empty text");
    expect(await answerer.answer("\u200b", "the law of peace")).toHaveLength(1);
    expect(await answerer.answer("the law", "\u200b")).toEqual([]);

    await using fillMask = await FillMask.load(await bare("maskedLM"), { engine });
    await expect(fillMask.fill("")).rejects.toThrow("expected a text with [MASK]");
    expect(await fillMask.fill("[MASK]")).toHaveLength(1);
  });

  test("tokens that share a character each have scores of their own", async () => {
    const expected = readJson("tokens-share-a-place", "expected.json");
    await using tagger = await TokenClassifier.load(join(root, "tokens-share-a-place/model"), { engine });
    const tags = await tagger.tag(expected.text, { aggregation: "none", ignore: [] });
    expect(tags.map(({ label }) => label)).toEqual(expected["none, ignore []"].map(([label]: [string]) => label));
    const scores = expected["none, ignore []"].map(([, score]: [string, number]) => score);
    expectClose(
      tags.map(({ score }) => score),
      scores,
      2e-5,
    );
    // "I" one unit of UTF-16, the face two, the letter one.
    const places = [
      [0, 1],
      [1, 3],
      [1, 3],
      [1, 3],
      [1, 3],
      [3, 4],
      [3, 4],
    ];
    expect(tags.map(({ start, end }) => [start, end])).toEqual(places);
    expect(await tagger.tag(expected.text, { aggregation: "simple", ignore: [] })).toHaveLength(7);
    const [word] = await tagger.tag(expected.text, { aggregation: "average" });
    expect(word).toMatchObject({ label: "SYM", text: expected.text });
    expect(word!.score).toBeCloseTo(0.43071, 4);
  });

  test.each(["right", "left"])(
    "each token of a text in windows is given once where it is cut at its %s",
    async (side) => {
      const source = join(root, "tokens-share-a-place/model");
      const folder = withConfig("tokens-share-a-place/model", {});
      writeJson(folder, "tokenizer_config.json", { truncation_side: side });
      await using tagger = await TokenClassifier.load(folder, { engine });
      const text = "I😀é".repeat(5);
      const { tokens, specialTokensMask } = loadTokenizer(source).encode(text);
      const tags = await tagger.tag(text, { aggregation: "none", ignore: [], maxTokens: 12 });
      expect(tags).toHaveLength(tokens.filter((_, i) => specialTokensMask[i] === 0).length);
      expect(tags.map(({ start }) => start)).toEqual(tags.map(({ start }) => start).sort((a, b) => a - b));
    },
  );

  test("a model is found under the prefix of a wrapper, beside another task's head and tensors that no model has", async () => {
    const { mean, text } = readJson("foreign-tensors", "expected.json");
    const [compiled, answering] = ["compiled", "question-answering"].map((name) => join(root, "foreign-tensors", name));
    const strange = withTensors("foreign-tensors/question-answering", (name) => `module.${name}`, {
      logit_scale: [],
      "bert.embeddings.token_type_ids": [1, 512],
      "loss.projector.weight": [3, 2],
    });
    for (const folder of [compiled!, answering!, strange]) {
      await using encoder = await Encoder.load(folder, { engine });
      expectClose(await encoder.encode(text), mean);
    }
  });

  test.each([
    ["as they are", {}, ["neg", "neu", "pos"]],
    ["numbers", { id2label: { 0: 0, 1: 1, 2: 2 }, label2id: { 0: 0, 1: 1, 2: 2 } }, ["0", "1", "2"]],
    ["a list", { id2label: ["a", "b", "c"] }, ["a", "b", "c"]],
    ["null", { id2label: null, label2id: null, num_labels: 3 }, ["LABEL_0", "LABEL_1", "LABEL_2"]],
    ["another number than num_labels says", { num_labels: 2 }, ["neg", "neu", "pos"]],
    ["an object's own keys", { id2label: { 0: "__proto__", 1: "constructor", 2: "toString" } }, protoKeys],
  ])("labels that are %s are given with their scores", async (_, fields, labels) => {
    const { text, softmax } = readJson("labels", "expected.json");
    await using classifier = await Classifier.load(withConfig("labels", fields), { engine });
    const scores = (await classifier.classify(text)).sort((a, b) => a.index - b.index);
    expect(scores.map(({ label }) => label)).toEqual(labels);
    expectClose(
      scores.map(({ score }) => score),
      softmax,
    );
  });

  test("a config without model_type is told by its architectures, else refused with its path and what to write", async () => {
    const { text, mean } = readJson("no-model-type", "expected.json");
    await using encoder = await Encoder.load(join(root, "no-model-type"), { engine });
    expectClose(await encoder.encode(text), mean);
    for (const architectures of [undefined, null, ["constructor"], "BertModel", []]) {
      const folder = withConfig("no-model-type", { architectures });
      await expect(Encoder.load(folder, { engine })).rejects.toThrow(
        `${join(folder, "config.json")}: expected model_type to be one of ${modelTypes.join(", ")}, got none\n` +
          'Write into it which it is, as "model_type": "bert".',
      );
    }
  });

  test("a config that is none, or has a wrong field, is refused with its path", async () => {
    for (const [text, expected] of [
      ["{", "expected JSON, got"],
      ["[]", "expected a JSON object, got []"],
      ['{"model_type": "constructor"}', 'got "constructor"'],
      ['{"model_type": "bert", "hidden_act": "toString"}', 'got "toString"'],
    ] as const) {
      const folder = withConfig("no-model-type", {});
      writeFileSync(join(folder, "config.json"), text);
      const error = await Encoder.load(folder, { engine }).catch((error: Error) => error);
      expect((error as Error).message).toContain(`${join(folder, "config.json")}: `);
      expect((error as Error).message).toContain(expected);
    }
  });

  test("a pair's second text has the one segment there is where the tokenizer counts two", async () => {
    const { pair, logits_with_segments_all_0: logits } = readJson("one-segment", "expected.json");
    await using classifier = await Classifier.load(join(root, "one-segment"), { engine });
    const [got] = await classifier.logits([{ text: pair[0], pair: pair[1] }]);
    expectClose(got!, logits);
  });

  test("a token that the model has no row for is refused by name, and texts without it are computed", async () => {
    const expected = readJson("more-tokens", "expected.json");
    await using encoder = await Encoder.load(join(root, "more-tokens"), { engine });
    const refused = encoder.encode(["a b", "a <new> b"]);
    await expect(refused).rejects.toThrow(
      'encode: text 1 ("a <new> b"): expected tokens with ids below the model\'s vocab_size 75, got <new>, id 75\n',
    );
    await expect(encoder.tokens("a <new> b")).rejects.toThrow("got <new>, id 75");
    expectClose(await encoder.encode("a b"), expected["a b"]);
  });
});

test("a folder with more tokens than rows is not exported", async () => {
  const [folder, out] = [join(root, "more-tokens"), join(tmpdir(), `neobert-never-${process.pid}`)];
  const expected = "expected tokens with ids below the model's vocab_size 75, got <new>, id 75\n";
  expect(() => exportHf(folder, out)).toThrow(`export hf: ${folder}: ${expected}`);
  expect(() => exportGguf(folder, `${out}.gguf`)).toThrow(`export gguf: ${folder}: ${expected}`);
  await expect(exportOnnx(folder, out)).rejects.toThrow(`export onnx: ${folder}: ${expected}`);
  expect([out, `${out}.gguf`].filter((path) => existsSync(path))).toEqual([]);
});

test("an exported graph scales rotary angles by each text's length, padding not counted", async () => {
  const out = join(mkdtempSync(join(tmpdir(), "neobert-found-")), "out");
  copies.push(dirname(out));
  await exportOnnx(join(root, "nomic-scaling/model"), out);
  const expected = readJson("nomic-scaling", "expected.json");
  const texts = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n").slice(0, 2);
  await using encoder = await Encoder.load(out, { onnxFile: "onnx/model.onnx" });
  const [long, short] = await encoder.encode(texts);
  expectClose(long!, expected.line1_42_tokens);
  expectClose(short!, expected.line2_12_tokens);
});
