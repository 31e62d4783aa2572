// `neobert finetune classify` on questions with answers: reading, windows and their targets, a toy rule that can be learnt,
// the unbroken run.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wordsText, writeSmallModel } from "../../encoder/fixture-encoder.js";
import { QuestionAnswerer } from "../../encoder/question-answerer.js";
import { smallConfig } from "../../model/fixture-model.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { runClassify } from "./classify.js";
import { parseClassifyConfig } from "./classify-config.js";
import { Examples } from "./examples.js";
import { readLabelled } from "./read-labelled.js";

let root: string;
let model: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-spans-"));
  model = await writeSmallModel({ head: "maskedLM", config: smallConfig("bert") });
});
afterAll(() => {
  for (const folder of [root, model]) rmSync(folder, { recursive: true });
});

const write = (name: string, lines: string[]) => {
  writeFileSync(join(root, name), `${lines.join("\n")}\n`);
  return join(root, name);
};
const jsonl = (name: string, records: object[]) =>
  write(
    name,
    records.map((record) => JSON.stringify(record)),
  );

/** The answer is the word after "query"; every fifth context has none. */
function afterQuery(seed: number) {
  const words = wordsText(6 + (seed % 7), seed)
    .split(" ")
    .filter((word) => word !== "query");
  const at = (seed * 7) % words.length;
  const [before, answer] = [words.slice(0, at), words[at]!];
  const hasAnswer = seed % 5 !== 0;
  const context = (hasAnswer ? [...before, "query", ...words.slice(at)] : words).join(" ");
  const start = [...before, "query", ""].join(" ").length;
  return {
    question: "the query",
    context,
    answers: hasAnswer ? { text: [answer], answer_start: [start] } : { text: [], answer_start: [] },
  };
}

const config = (name: string, train: string, ...overrides: string[]) =>
  parseClassifyConfig(`{ out: ${join(root, name)}, model: ${model}, data: { train: ${train} } }`, {
    file: "test",
    overrides: ["optimizer.lr=5e-3", "epochs=16", "batchSize=8", "dtype=fp32", "threads=1", ...overrides],
  });

test("questions with answers make a QuestionAnswerer, which answers by the rule and knows when there is no answer", async () => {
  const file = jsonl(
    "rule.jsonl",
    Array.from({ length: 200 }, (_, seed) => afterQuery(seed)),
  );
  const { best, model: folder, problem } = await runClassify(config("rule", file));
  expect(problem).toEqual({ type: "spans", labels: ["start", "end"] });
  // A word of the context at random would be right one time in nine.
  expect(best!.scores.exactMatch).toBeGreaterThan(0.7);
  expect(best!.scores.f1).toBeGreaterThanOrEqual(best!.scores.exactMatch!);
  const saved = JSON.parse(readFileSync(join(folder!, "config.json"), "utf8"));
  expect(saved.architectures).toEqual(["BertForQuestionAnswering"]);
  await using answerer = await QuestionAnswerer.load(folder!, { threads: 1 });
  const unseen = Array.from({ length: 40 }, (_, i) => afterQuery(1000 + i));
  const got = await answerer.answer(
    unseen.map(({ question }) => question),
    unseen.map(({ context }) => context),
    { handleImpossibleAnswer: true },
  );
  const right = unseen.filter(({ answers }, i) => got[i]![0]!.text === (answers.text[0] ?? ""));
  expect(right.length).toBeGreaterThan(25);
  expect(readFileSync(join(folder!, "README.md"), "utf8")).toContain('neobert answer FOLDER "a question"');
});

test("a run that was broken off and resumed equals the unbroken one, over contexts of several windows", async () => {
  const long = Array.from({ length: 60 }, (_, seed) => {
    const { context, answers, ...rest } = afterQuery(seed);
    const before = `${wordsText(50, seed).replaceAll("query", "law")} `;
    const starts = answers.answer_start.map((start) => start + before.length);
    return { ...rest, context: before + context, answers: { ...answers, answer_start: starts } };
  });
  const file = jsonl("long.jsonl", long);
  const own = ["epochs=2", "maxLength=32", "stride=8", "microBatchTokens=200"];
  const unbroken = await runClassify(config("unbroken", file, ...own));
  let steps = 0;
  const broken = config("broken", file, ...own, "checkpoint.everySteps=3");
  await runClassify(broken, { onStep: () => steps++, shouldStop: () => steps >= 5 });
  const resumed = await runClassify(broken, { resume: true });
  const weights = ({ model }: typeof resumed) => readFileSync(join(model!, "model.safetensors"));
  expect(weights(resumed).equals(weights(unbroken))).toBe(true);
  expect(resumed.best).toEqual(unbroken.best);
});

test("a long context is read in windows: the answer is the target where a window has all of it, else [CLS]", async () => {
  const tokenizer = loadTokenizer(model);
  const context = wordsText(60);
  const words = context.split(" ");
  const start = words.slice(0, 30).join(" ").length + 1;
  const answer = words.slice(30, 33).join(" ");
  const data = {
    inputs: [
      { text: "the law", pair: context },
      { text: "peace", pair: "law" },
    ],
    labels: [[start, start + answer.length], []],
    answers: [[answer], []],
  };
  const spans = { type: "spans" as const, labels: ["start", "end"] };
  const examples = await Examples.tokenize(spans, data, tokenizer, { where: "test", maxTokens: 24, stride: 6 });
  expect(examples.length).toBe(2);
  const { ids, cuSeqlens, targets, order } = examples.pack([1, 0]);
  expect(order).toEqual([1, 0]);
  expect([...targets.subarray(0, 2)]).toEqual([0, 0]);
  const windows = cuSeqlens.length - 1;
  expect(targets.length).toBe(2 * windows);
  expect(windows).toBeGreaterThan(4);
  expect(examples.tokenCount(0) + examples.tokenCount(1)).toBe(ids.length);
  let holding = 0;
  for (let i = 1; i < windows; i++) {
    const window = ids.subarray(cuSeqlens[i]!, cuSeqlens[i + 1]!);
    expect(window.length).toBeLessThanOrEqual(24);
    const [first, last] = [targets[2 * i]!, targets[2 * i + 1]!];
    if (first === 0) expect(last).toBe(0);
    else {
      holding++;
      expect(tokenizer.decode(window.subarray(first, last + 1))).toBe(answer);
    }
  }
  expect(holding).toBeGreaterThanOrEqual(1);
});

describe("files of questions", () => {
  const source = {
    text: "text",
    label: "label",
    question: "question",
    context: "context",
    answers: "answers",
    answerStart: "answer_start",
    type: "auto" as const,
    separator: ",",
    header: true,
    validationFraction: 0,
  };
  const context = "\u{1F3DB} the law of peace";
  const labels = async (record: object, own: object = {}) => {
    const file = jsonl("one.jsonl", [{ question: "what?", context, ...record }]);
    const { train } = await readLabelled({ ...source, ...own, train: file }, 0);
    const { pair } = train.inputs[0] as { pair: string };
    return (train.labels as number[][]).map(([start, end]) => (start === undefined ? "" : pair.slice(start, end)));
  };

  test("answers stand as SQuAD's lists, as a list of objects, or as a text with its place, counted in code points", async () => {
    expect(await labels({ answers: { text: ["law", "peace"], answer_start: [6, 13] } })).toEqual(["law"]);
    expect(await labels({ answers: [{ text: "peace", answer_start: 13 }] })).toEqual(["peace"]);
    expect(await labels({ answers: " law ", answer_start: 5 })).toEqual(["law"]);
    expect(await labels({ what: "of", at: 10 }, { answers: "what", answerStart: "at" })).toEqual(["of"]);
    for (const none of [{ text: [], answer_start: [] }, [], "", null])
      expect(await labels({ answers: none })).toEqual([""]);
    const file = write("spans.csv", ["question,context,answers,answer_start", `who?,the law,law,4`, "who?,the law,,"]);
    const { train } = await readLabelled({ ...source, train: file }, 0);
    expect(train).toEqual({
      inputs: Array(2).fill({ text: "who?", pair: "the law" }),
      labels: [[4, 7], []],
      answers: [["law"], []],
      places: [`${file}: record 1`, `${file}: record 2`],
    });
  });

  test("what is missing, or stands elsewhere, is named with its record", async () => {
    const misplaced = labels({ answers: { text: ["law"], answer_start: [7] } });
    await expect(misplaced).rejects.toThrow(':1: expected the answer "law" at 7 of its context, got "aw "');
    await expect(labels({ answers: { text: ["law"], answer_start: [] } })).rejects.toThrow("of equal length");
    await expect(labels({ answers: "law" })).rejects.toThrow(":1: expected a column answer_start");
    await expect(labels({ answers: [{ text: "law" }] })).rejects.toThrow("an answer with a text and its start");
    await expect(labels({ question: "", answers: [] })).rejects.toThrow('expected text in column question, got ""');
    await expect(labels({ reply: [] }, { type: "spans" })).rejects.toThrow("expected a column answers, got question");
  });
});
