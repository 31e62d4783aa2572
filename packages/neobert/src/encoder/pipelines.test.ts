// QuestionAnswerer and ZeroShotClassifier against transformers' pipelines (test/golden/make_pipelines.py), whose places
// count code points; and the rules of answers written out for logits by hand.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportHf } from "../export/hf.js";
import { exportOnnx } from "../export/onnx.js";
import { openSafetensors } from "../files/safetensors.js";
import { goldenRoot } from "../model/golden.js";
import { openSession } from "../onnx/onnxruntime.js";
import { answerDefaults, findAnswers } from "./answers.js";
import { Classifier } from "./classifier.js";
import { wordsText, writeSmallModel } from "./fixture-encoder.js";
import { QuestionAnswerer } from "./question-answerer.js";
import { ZeroShotClassifier } from "./zero-shot-classifier.js";

const folders: string[] = [];
const small = async (...args: Parameters<typeof writeSmallModel>) => {
  folders.push(await writeSmallModel(...args));
  return folders.at(-1)!;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface AnswerCase {
  question: string;
  context: string;
  top_k?: number;
  max_answer_len?: number;
  max_seq_len?: number;
  doc_stride?: number;
  handle_impossible_answer?: boolean;
  align_to_words?: boolean;
  answers: { score: number; start: number; end: number; answer: string }[];
}

interface ZeroShotCase {
  sequences: string;
  candidate_labels: string[];
  hypothesis_template?: string;
  multi_label?: boolean;
  labels: string[];
  scores: number[];
}

const casesOf = <T>(path: string) => JSON.parse(readFileSync(join(goldenRoot, path, "expected.json"), "utf8")) as T[];
/** The same options under our names, without those left out. */
const named = (options: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
const utf16 = (text: string, codePoints: number) => [...text].slice(0, codePoints).join("").length;

const runs = ["bert", "roberta"].flatMap((family) =>
  (["onnx", "torch"] as const).map((engine) => ({ family, engine })),
);

describe.each(runs)("$family on $engine", ({ family, engine }) => {
  test("answers are those of transformers' pipeline, with their scores and places, in long contexts too", async () => {
    const path = `question-answering/${family}`;
    await using answerer = await QuestionAnswerer.load(join(goldenRoot, path), { engine, threads: 1 });
    const cases = casesOf<AnswerCase>(path);
    for (const { question, context, answers, ...own } of cases) {
      const options = named({
        topK: own.top_k,
        maxAnswerTokens: own.max_answer_len,
        maxTokens: own.max_seq_len,
        stride: own.doc_stride,
        handleImpossibleAnswer: own.handle_impossible_answer,
        alignToWords: own.align_to_words,
      });
      const got = await answerer.answer(question, context, options);
      expect(got.map(({ start, end, text }) => ({ start, end, text }))).toEqual(
        answers.map(({ start, end, answer }) => ({
          start: utf16(context, start),
          end: utf16(context, end),
          text: answer,
        })),
      );
      for (const [i, { score }] of answers.entries()) expect(got[i]!.score).toBeCloseTo(score, 5);
    }
    const plain = cases.filter(({ question, context, answers, ...own }) => Object.keys(own).length === 0);
    const [{ question, context, answers }] = plain as [AnswerCase];
    const many = await answerer.answer([question, "law", question], context);
    expect(many.map(([best]) => best!.text)[2]).toBe(answers[0]!.answer);
    expect(many[0]).toEqual(many[2]);
  });

  test("zero-shot labels and scores are those of transformers' pipeline, of texts that are cut too", async () => {
    const path = `zero-shot/${family}`;
    await using classifier = await ZeroShotClassifier.load(join(goldenRoot, path), { engine, threads: 1 });
    for (const { sequences, candidate_labels, labels, scores, ...own } of casesOf<ZeroShotCase>(path)) {
      const options = named({ hypothesisTemplate: own.hypothesis_template, multiLabel: own.multi_label });
      const [, got] = await classifier.classify(["the law", sequences], candidate_labels, options);
      expect(got!.map(({ label }) => label)).toEqual(labels);
      expect(got!.map(({ index }) => candidate_labels[index])).toEqual(labels);
      for (const [i, score] of scores.entries()) expect(got![i]!.score).toBeCloseTo(score, 5);
    }
  });
});

describe("answers of logits by hand", () => {
  // [CLS] who [SEP] war peace war [SEP], of which "war" is one word and "peace" is cut in two.
  const encoding = {
    ids: Int32Array.of(2, 9, 3, 5, 6, 7, 5, 3),
    typeIds: new Int32Array(8),
    attentionMask: new Int32Array(8).fill(1),
    specialTokensMask: Int32Array.of(1, 0, 1, 0, 0, 0, 0, 1),
    offsets: Int32Array.of(0, 0, 0, 3, 0, 0, 0, 3, 4, 6, 6, 9, 10, 13, 0, 0),
    tokens: [],
    words: Int32Array.of(-1, 0, -1, 0, 1, 1, 2, -1),
    overflowing: [],
  };
  const windows = [{ encoding, first: 3, end: 7 }];
  const context = "war peace WAR";
  const find = (logits: number[][], own: object = {}) =>
    findAnswers(context, windows, [logits.flat()], { ...answerDefaults, clsId: 2, ...own });
  const flat = [0, 0, 0, 0, 0, 0, 0, 0].map(() => [0, 0]);

  test("equally likely spans: the earlier goes first, and equal words add up whatever their case", () => {
    // Five tokens may start or end: each span has 1/25. "war" is there twice, "peace" by its halves three times.
    const got = find(flat, { topK: 3, maxAnswerTokens: 2 });
    expect(got.map(({ text, start }) => [text, start])).toEqual([
      ["peace", 4],
      ["war", 0],
      ["war peace", 0],
    ]);
    for (const [i, spans] of [3, 2, 1].entries()) expect(got[i]!.score).toBeCloseTo(spans / 25, 12);
  });

  test("no answer is the first token's probability, and none where that is not [CLS]", () => {
    const sure = flat.map(() => [0, 0]);
    sure[0] = [4, 4];
    const share = (Math.exp(4) / (Math.exp(4) + 4)) ** 2;
    const [best] = find(sure, { handleImpossibleAnswer: true });
    expect(best).toEqual({ score: expect.closeTo(share, 12), start: 0, end: 0, text: "" });
    expect(find(sure, { handleImpossibleAnswer: true, clsId: undefined })[0]!.text).toBe("peace");
    expect(find(sure)[0]!.text).toBe("peace");
  });

  test("what stands outside the context is never an answer, however likely", () => {
    const outside = flat.map((_, token) => (token < 3 || token === 7 ? [50, 50] : [0, 0]));
    const got = find(outside, { topK: 99, clsId: undefined });
    for (const { start, end, text } of got) expect(context.slice(start, end)).toBe(text);
    expect(got.every(({ text }) => text.length > 0)).toBe(true);
    expect(got.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(10 / 16, 12);
  });
});

test("an exported graph answers as the model does, by start_logits and end_logits", async () => {
  const source = join(goldenRoot, "question-answering/bert");
  const out = mkdtempSync(join(tmpdir(), "neobert-answers-"));
  folders.push(out);
  expect((await exportOnnx(source, out)).className).toBe("BertForQuestionAnswering");
  const session = await openSession(join(out, "onnx/model.onnx"), 1);
  expect(session.outputNames).toEqual(["start_logits", "end_logits"]);
  await session.release();
  await using answerer = await QuestionAnswerer.load(out, { onnxFile: "onnx/model.onnx" });
  const [{ question, context, answers }] = casesOf<AnswerCase>("question-answering/bert") as [AnswerCase];
  const [best] = await answerer.answer(question, context);
  expect(best).toMatchObject({ text: answers[0]!.answer, score: expect.closeTo(answers[0]!.score, 5) });
  await expect(Classifier.load(out, { onnxFile: "onnx/model.onnx" })).rejects.toThrow("expected an output logits, got");
});

test.each([
  ["bert", "BertForQuestionAnswering", "qa_outputs.weight"],
  ["roberta", "RobertaForQuestionAnswering", "qa_outputs.weight"],
  ["nomic_bert", "NomicBertForQuestionAnswering", "qa_outputs.weight"],
  ["modernbert", "ModernBertForQuestionAnswering", "classifier.weight"],
  ["neobert", "NeoBERTForQuestionAnswering", "qa_outputs.weight"],
  ["eurobert", "EuroBertForQuestionAnswering", "qa_outputs.weight"],
])("%s answers alike on both engines and is exported as %s", async (model_type, className, weight) => {
  const folder = await small({
    head: "questionAnswering",
    config: { model_type, pad_token_id: 0, embedding_init_range: 0.3 },
  });
  await using onnx = await QuestionAnswerer.load(folder, { engine: "onnx", threads: 1 });
  await using torch = await QuestionAnswerer.load(folder, { engine: "torch", threads: 1 });
  const ask = (answerer: QuestionAnswerer) => answerer.answer("who shall govern", wordsText(90), { topK: 4 });
  const expected = (await ask(torch)).map((answer) => ({ ...answer, score: expect.closeTo(answer.score, 5) }));
  expect(await ask(onnx)).toEqual(expected);
  expect(expected).toHaveLength(4);
  const out = join(folder, "exported");
  expect(exportHf(folder, out).className).toBe(className);
  const { architectures } = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
  expect(architectures).toEqual([className]);
  const file = openSafetensors(join(out, "model.safetensors"));
  expect(file.info(weight).shape).toEqual([2, 32]);
  file.close();
});

test("what cannot be answered or classified is refused with the way out", async () => {
  await using answerer = await QuestionAnswerer.load(join(goldenRoot, "question-answering/bert"));
  await expect(answerer.answer("", "law")).rejects.toThrow("expected a question at index 0, got an empty text");
  await expect(answerer.answer(["is it?"], [])).rejects.toThrow("a context for each of 1 questions, got 0");
  await expect(answerer.answer("is it?", "law", { topK: 0 })).rejects.toThrow("expected topK of 1 or more, got 0");
  await expect(answerer.answer("law ".repeat(70), "law")).rejects.toThrow("expected onlySecond to reach maxLength");
  expect(await answerer.answer("is it?", " \n ")).toEqual([]);
  const folder = await small({ head: "sequenceClassification", config: { id2label: { 0: "war", 1: "peace" } } });
  await expect(ZeroShotClassifier.load(folder)).rejects.toThrow('a label that starts with "entail", got war, peace');
  await using classifier = await ZeroShotClassifier.load(join(goldenRoot, "zero-shot/bert"));
  await expect(classifier.classify("law", [])).rejects.toThrow("expected labels, got none");
  await expect(classifier.classify("law", ["a"], { hypothesisTemplate: "so" })).rejects.toThrow("with one {}, got");
  await expect(QuestionAnswerer.load(await small({}))).rejects.toThrow(/qa_outputs.weight/);
});
