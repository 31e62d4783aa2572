// `neobert finetune classify`: each kind of labelled file, from the file to the loaded classifier. Oracles: labels that can be
// learnt, the unbroken run.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Classifier } from "../../encoder/classifier.js";
import { CrossEncoder } from "../../encoder/cross-encoder.js";
import { writeSmallModel } from "../../encoder/fixture-encoder.js";
import { TokenClassifier } from "../../encoder/token-classifier.js";
import { smallConfig } from "../../model/fixture-model.js";
import { runClassify } from "./classify.js";
import { parseClassifyConfig } from "./classify-config.js";
import { warOrPeace } from "./fixture-classify.js";
import { readLabelled } from "./read-labelled.js";

let root: string;
let model: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-labels-"));
  model = await writeSmallModel({ head: "maskedLM", config: smallConfig("bert") });
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(model, { recursive: true });
});

const rows = warOrPeace(120);
const write = (name: string, lines: string[]) => {
  writeFileSync(join(root, name), `${lines.join("\n")}\n`);
  return join(root, name);
};
const jsonl = (name: string, records: object[]) =>
  write(
    name,
    records.map((record) => JSON.stringify(record)),
  );
const config = (name: string, train: string, ...overrides: string[]) =>
  parseClassifyConfig(`{ out: ${join(root, name)}, model: ${model}, data: { train: ${train} } }`, {
    file: "test",
    overrides: ["optimizer.lr=5e-3", "epochs=8", "batchSize=8", "dtype=fp32", "threads=1", ...overrides],
  });

const program = fileURLToPath(new URL("../../../bin/neobert.js", import.meta.url));

test("the command makes a Classifier of a CSV file, which tells the labels by name", async () => {
  const file = write("one.csv", [
    "words,what",
    ...rows.map(({ text, label }) => `${text},${label === 1 ? "peace" : "war"}`),
  ]);
  const args = ["finetune", "classify", model, file, "--text", "words", "--label", "what", "--out", join(root, "one")];
  const own = ["optimizer.lr=5e-3", "epochs=8", "batchSize=8", "dtype=fp32", "threads=1"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args, ...own]);
  expect(stderr).toContain(
    "108 texts to learn from, 12 held out; one label a text: peace, war; 112 steps of 8 texts, 8 epochs",
  );
  expect(stdout).toContain(`finished 112 steps: ${join(root, "one/model")}`);
  await using classifier = await Classifier.load(join(root, "one/model"), { threads: 1 });
  const unseen = warOrPeace(20, 5000);
  const got = await classifier.classify(
    unseen.map(({ text }) => text),
    { topK: 1 },
  );
  const right = unseen.filter(({ label }, i) => got[i]![0]!.label === (label === 1 ? "peace" : "war"));
  expect(right.length).toBeGreaterThanOrEqual(17);
  expect(JSON.parse(readFileSync(join(root, "one/model/config.json"), "utf8"))).toMatchObject({
    id2label: { 0: "peace", 1: "war" },
    label2id: { peace: 0, war: 1 },
    problem_type: "single_label_classification",
  });
});

test("forty texts are learnt with defaults alone; the end shows each label's scores and what was taken for what", async () => {
  const file = jsonl(
    "forty.jsonl",
    warOrPeace(40).map(({ text, label }) => ({ text, label: label === 1 ? "peace" : "war" })),
  );
  const held = warOrPeace(60, 2000).map(({ text, label }) => ({ text, label: label === 1 ? "peace" : "war" }));
  const out = join(root, "forty");
  const args = ["finetune", "classify", model, file, "--validation", jsonl("held.jsonl", held), "--out", out];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args, "dtype=fp32", "threads=1"]);
  expect(stderr).toContain("40 texts to learn from, 60 held out");

  await using classifier = await Classifier.load(join(out, "model"), { threads: 1 });
  const given = (await classifier.classify(held.map(({ text }) => text))).map(([best]) => best!.label);
  const times = (label: string, got: string) => held.filter((row, i) => row.label === label && given[i] === got).length;
  const confusion = ["peace", "war"].map((label) => ["peace", "war"].map((got) => times(label, got)));
  expect((confusion[0]![0]! + confusion[1]![1]!) / 60).toBeGreaterThan(0.85);
  const scores = JSON.parse(readFileSync(join(out, "scores.json"), "utf8"));
  expect(scores.confusion).toEqual(confusion);
  const [right, taken] = [confusion[0]![0]!, confusion[1]![0]!];
  const count = confusion[0]![0]! + confusion[0]![1]!;
  expect(scores.labels[0]).toMatchObject({
    label: "peace",
    recall: right / count,
    precision: right / (right + taken),
    count,
  });
  expect(stdout).toMatch(
    new RegExp(`^peace +${(right / (right + taken)).toFixed(2)} +${(right / count).toFixed(2)} `, "m"),
  );
  expect(stdout).toMatch(new RegExp(`^war +${confusion[1]!.join(" +")}$`, "m"));
});

test("several labels a text are learnt each on its own", async () => {
  const records = rows.map(({ text, label }) => {
    return { text, label: [label === 1 ? "peace" : "war", ...(text.includes("people") ? ["people"] : [])] };
  });
  const { best, model: folder, problem } = await runClassify(config("multi", jsonl("multi.jsonl", records)));
  expect(problem).toEqual({ type: "multi", labels: ["peace", "people", "war"] });
  expect(best!.scores.f1Micro).toBeGreaterThan(0.85);
  await using classifier = await Classifier.load(folder!, { threads: 1 });
  const scores = await classifier.classify(["the people war", "the state peace"]);
  const scoreOf = (i: number, name: string) => scores[i]!.find(({ label }) => label === name)!.score;
  expect(scoreOf(0, "people")).toBeGreaterThan(0.5);
  expect(scoreOf(0, "war")).toBeGreaterThan(0.5);
  expect(scoreOf(1, "people")).toBeLessThan(0.5);
});

test("numbers of pairs make a CrossEncoder, whose scores are the numbers", async () => {
  const lines = rows.map(({ text, label }) => `the people\t${text}\t${label === 1 ? "2.5" : "0.5"}`);
  const file = write("pairs.tsv", ["query\tdocument\tscore", ...lines]);
  const columns = ["data.text=query", "data.pair=document", "data.label=score"];
  const { best, model: folder, problem } = await runClassify(config("pairs", file, ...columns));
  expect(problem.type).toBe("regression");
  expect(best!.scores.pearson).toBeGreaterThan(0.8);
  await using reranker = await CrossEncoder.load(folder!, { threads: 1 });
  const [first, second] = await reranker.rerank("the people", ["free war", "free peace"]);
  expect([first!.index, second!.index]).toEqual([1, 0]);
  expect(first!.score).toBeGreaterThan(1.5);
  expect(second!.score).toBeLessThan(1.5);
});

test("labels of words make a TokenClassifier, which finds the entities in plain text", async () => {
  const records = rows.map(({ text }) => {
    const tokens = text.split(" ");
    return { tokens, tags: tokens.map((word) => (word === "war" || word === "peace" ? "B-STATE" : "O")) };
  });
  const columns = ["data.text=tokens", "data.label=tags"];
  const {
    best,
    model: folder,
    problem,
  } = await runClassify(config("tokens", jsonl("tokens.jsonl", records), ...columns));
  expect(problem).toEqual({ type: "tokens", labels: ["O", "B-STATE"] });
  expect(best!.scores.f1).toBeGreaterThan(0.9);
  await using tagger = await TokenClassifier.load(folder!, { threads: 1 });
  const [entity] = await tagger.tag("the people war of law");
  expect(entity).toMatchObject({ label: "STATE", text: "war", start: 11, end: 14 });
});

test("a run that was broken off and resumed equals the unbroken one", async () => {
  const file = jsonl(
    "resume.jsonl",
    rows.map(({ text, label }) => ({ text, label })),
  );
  const unbroken = await runClassify(config("unbroken", file, "epochs=2"));
  let steps = 0;
  const broken = config("broken", file, "epochs=2", "checkpoint.everySteps=7");
  await runClassify(broken, { onStep: () => steps++, shouldStop: () => steps >= 11 });
  const resumed = await runClassify(broken, { resume: true });
  const weights = ({ model }: typeof resumed) => readFileSync(join(model!, "model.safetensors"));
  expect(weights(resumed).equals(weights(unbroken))).toBe(true);
  expect(resumed.best).toEqual(unbroken.best);
});

describe("labelled files", () => {
  const source = {
    text: "text",
    label: "label",
    type: "auto",
    separator: ",",
    header: true,
    validationFraction: 0,
  } as const;
  const read = (name: string, records: object[], own: object = {}) =>
    readLabelled({ ...source, train: jsonl(name, records), ...own } as never, 0);

  test("auto tells the kinds apart: lists, fractions, names and whole numbers", async () => {
    const type = async (labels: unknown[]) =>
      (
        await read(
          "auto.jsonl",
          labels.map((label) => ({ text: "x", label })),
        )
      ).problem;
    expect(await type([["a"], []])).toEqual({ type: "multi", labels: ["a"] });
    expect(await type([1, 2.5])).toEqual({ type: "regression", labels: ["score"] });
    expect(await type([10, 9, 2])).toEqual({ type: "single", labels: ["2", "9", "10"] });
    expect(await type([true, false])).toEqual({ type: "single", labels: ["false", "true"] });
  });

  const rowsOf = (labels: unknown[]) => labels.map((label, i) => ({ text: `text ${i}`, label }));

  test("a text that no token stands for is named with its file and row, in the held-out file too", async () => {
    const bare = await writeSmallModel();
    const tokenizerFile = join(bare, "tokenizer.json");
    const json = JSON.parse(readFileSync(tokenizerFile, "utf8"));
    writeFileSync(tokenizerFile, JSON.stringify({ ...json, post_processor: null }));
    const good = jsonl("good.jsonl", rows.slice(0, 8));
    const bad = jsonl("bad.jsonl", [
      { text: "war", label: 0 },
      { text: "peace", label: 1 },
      { text: "\u200b", label: 1 },
    ]);
    const run = (name: string, train: string, ...own: string[]) =>
      runClassify({ ...config(name, train, ...own), model: { from: bare } });
    const wanted = `${bad}:3: expected a text that has tokens, got "\u200b"\nLeave it out of the data.`;
    await expect(run("empty-train", bad, "data.validationFraction=0")).rejects.toThrow(wanted);
    await expect(run("empty-held-out", good, `data.validation=${bad}`)).rejects.toThrow(wanted);
    rmSync(bare, { recursive: true });
  });

  test("spellings of one number or truth value are one label, in the validation file too", async () => {
    const mixed = await read("mixed.jsonl", rowsOf(["0", "1", "0.0", 1]));
    expect(mixed.problem).toEqual({ type: "single", labels: ["0", "1"] });
    expect(mixed.train.labels).toEqual([0, 1, 0, 1]);
    const held = jsonl("held.jsonl", rowsOf(["1.0", "0.0"]));
    expect((await read("whole.jsonl", rowsOf(["0", "1"]), { validation: held })).validation!.labels).toEqual([1, 0]);
    const truths = await read("truths.jsonl", rowsOf([true, "False", "True"]));
    expect(truths.problem.labels).toEqual(["False", "true"]);
    expect((await read("versions.jsonl", rowsOf(["1.0", "beta", "1"]))).problem.labels).toEqual(["1", "1.0", "beta"]);
  });

  test("labels beyond 2^53 stay apart, and one that is no exact number is refused", async () => {
    const big = ["1234567890123456784", "1234567890123456785"];
    const file = jsonl("big.jsonl", []);
    writeFileSync(file, big.map((label) => `{"text":"x","label":${label}}`).join("\n"));
    expect((await readLabelled({ ...source, train: file } as never, 0)).problem.labels).toEqual(big);
    writeFileSync(file, '{"text":"x","label":1}\n{"text":"x","label":1.2345678901234568e18}\n');
    await expect(readLabelled({ ...source, train: file } as never, 0)).rejects.toThrow(/big\.jsonl:2: label: expected/);
  });

  test("lists written as texts are lists: Python's, numpy's and JSON's", async () => {
    const lists = await read("lists.jsonl", rowsOf(["['joy', 'fear']", '["fear"]', "[]", "['joy' \"it's\"]"]));
    expect(lists.problem).toEqual({ type: "multi", labels: ["fear", "it's", "joy"] });
    expect(lists.train.labels).toEqual([[2, 0], [0], [], [2, 1]]);
    const held = await read("lists.jsonl", rowsOf(["['a']", "['b']"]), { validationFraction: 0.5 });
    expect([held.train.labels, held.validation!.labels].flat(2).sort()).toEqual([0, 1]);
    const words = [{ text: "['Ann', 'left']", label: "['B-PER', 'O']" }];
    expect((await read("list-words.jsonl", words)).train).toEqual({
      inputs: ["Ann left"],
      words: [["Ann", "left"]],
      labels: [[1, 0]],
      places: [expect.stringMatching(/list-words\.jsonl:1$/)],
    });
  });

  test("dots reach into objects, for the text and for the label", async () => {
    const rows = ["a", "b"].map((name) => ({ doc: { text: `text ${name}` }, meta: { labels: [{ name }] } }));
    const { train, problem } = await read("dots.jsonl", rows, { text: "doc.text", label: "meta.labels.0.name" });
    expect(train.inputs).toEqual(["text a", "text b"]);
    expect(problem.labels).toEqual(["a", "b"]);
    await expect(read("dots.jsonl", rows, { text: "doc.body" })).rejects.toThrow(
      "dots.jsonl:1: expected a column doc.body",
    );
  });

  test("several columns of 0 and 1 are labels of their names", async () => {
    const rows = [
      { text: "x", joy: 1, fear: "0" },
      { text: "y", joy: false, fear: "1.0" },
    ];
    const read2 = (records: object[]) => read("columns.jsonl", records, { label: ["joy", "fear"] });
    const { problem, train } = await read2(rows);
    expect(problem).toEqual({ type: "multi", labels: ["joy", "fear"] });
    expect(train.labels).toEqual([[0], [1]]);
    await expect(read2([...rows, { text: "z", joy: 2, fear: 0 }])).rejects.toThrow(
      /columns\.jsonl:3: column joy: expected 0 or 1, got 2/,
    );
  });

  test("several labels may stand in one field, and words and their labels in two texts", async () => {
    const multi = await read(
      "field.jsonl",
      [
        { text: "x", label: "a, b" },
        { text: "y", label: "" },
      ],
      { type: "multi" },
    );
    expect(multi.train.labels).toEqual([[0, 1], []]);
    const tokens = await read("words.jsonl", [{ text: "Ann  left", label: "B-PER O" }], { type: "tokens" });
    expect(tokens.train).toMatchObject({ inputs: ["Ann left"], words: [["Ann", "left"]], labels: [[1, 0]] });
  });

  test("what is missing or does not fit is named with its record", async () => {
    const one = { text: "x", label: "a" };
    await expect(read("e.jsonl", [one, { label: "a" }])).rejects.toThrow(/jsonl:2: expected a column text, got label/);
    await expect(read("e.jsonl", [one])).rejects.toThrow("expected at least 2 labels in column label, got a");
    await expect(read("e.jsonl", [one, { text: 3, label: "b" }])).rejects.toThrow(
      /e.jsonl:2: expected text in column text, got 3/,
    );
    await expect(read("e.jsonl", [one, { text: "y", label: null }])).rejects.toThrow(
      /e.jsonl:2: label: expected a text or a whole number, got null/,
    );
    await expect(read("e.jsonl", [{ text: "x", label: "b" }, one], { type: "regression" })).rejects.toThrow(
      "expected a number in column label",
    );
    const short = { text: ["a", "b"], label: ["O"] };
    await expect(read("e.jsonl", [short, { text: ["a"], label: ["B-X"] }])).rejects.toThrow(
      "expected a label for each of 2 words, got 1",
    );
    const validation = jsonl("v.jsonl", [{ text: "x", label: "c" }]);
    await expect(read("e.jsonl", [one, { text: "y", label: "b" }], { validation })).rejects.toThrow(
      "expected a label of the training data (a, b), got c",
    );
  });

  test("the texts that are held out are the same for the same seed, and none of them is learnt from", async () => {
    const records = Array.from({ length: 50 }, (_, i) => ({ text: `text ${i}`, label: i % 2 }));
    const [a, b] = [
      await read("h.jsonl", records, { validationFraction: 0.2 }),
      await read("h.jsonl", records, { validationFraction: 0.2 }),
    ];
    expect(a.validation!.inputs).toEqual(b.validation!.inputs);
    expect(a.validation!.inputs).toHaveLength(10);
    expect(new Set([...a.train.inputs, ...a.validation!.inputs]).size).toBe(50);
  });
});
