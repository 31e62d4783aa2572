// The commands that use a model, on small ones, in this process: what they print and write equals what the API gives.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { Classifier } from "../encoder/classifier.js";
import { CrossEncoder } from "../encoder/cross-encoder.js";
import { Encoder } from "../encoder/encoder.js";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { QuestionAnswerer } from "../encoder/question-answerer.js";
import { ZeroShotClassifier } from "../encoder/zero-shot-classifier.js";
import { exportOnnx } from "../export/onnx.js";
import { readNpy } from "../files/npy.js";
import { goldenRoot } from "../model/golden.js";
import { progressText } from "./embed.js";
import { buildProgram } from "./program.js";

const texts = ["the law of the house", "", wordsText(20, 3), "free states in peace, and by law"];
let work: string;
let model: string;
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "neobert-cli-"));
  model = await writeSmallModel({
    files: { "config_sentence_transformers.json": { prompts: { query: "query the " } } },
  });
  writeFileSync(join(work, "texts.txt"), `${texts.join("\n")}\n`);
  writeFileSync(join(work, "texts.jsonl"), texts.map((text) => JSON.stringify({ body: text })).join("\n"));
  writeFileSync(join(work, "texts.csv"), `text\n${texts.map((text) => `"${text}"`).join("\n")}\n`);
});
afterAll(() => {
  for (const folder of [work, model]) rmSync(folder, { recursive: true });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** What a command prints on standard output. */
async function run(...args: string[]): Promise<string> {
  let output = "";
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    output += `${line}\n`;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text, ...rest) => {
    output += text;
    for (const taken of rest) if (typeof taken === "function") taken();
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    const program = await buildProgram(args);
    await program.parseAsync(args, { from: "user" });
  } finally {
    vi.restoreAllMocks();
  }
  return output;
}

test("embed runs a graph of the folder's own with --onnx-file", async () => {
  const out = join(work, "exported");
  await exportOnnx(model, out);
  const file = join(work, "graph.npy");
  await run("embed", out, join(work, "texts.txt"), "--onnx-file", "onnx/model.onnx", "--out", file);
  await using encoder = await Encoder.load(model);
  const expected = await encoder.encode(texts);
  const { data } = readNpy(file);
  for (const [i, value] of expected.data.entries()) expect(data[i]).toBeCloseTo(value, 5);
  await expect(run("embed", out, join(work, "texts.txt"), "--onnx-file", "no.onnx")).rejects.toThrow("onnx/model.onnx");
  for (const made of [out, file]) rmSync(made, { recursive: true });
});

test("embed writes a row for each line, empty ones too, and for each record of other formats", async () => {
  await using encoder = await Encoder.load(model);
  const expected = await encoder.encode(texts);
  for (const input of [["texts.txt"], ["texts.jsonl", "--column", "body"]]) {
    const out = join(work, "vectors.npy");
    const printed = await run("embed", model, join(work, input[0]!), ...input.slice(1), "--out", out);
    expect(printed).toBe(`4 vectors: ${out}\n`);
    const { data, shape } = readNpy(out);
    expect(shape).toEqual([4, 32]);
    expect(Math.max(...data.map((value, i) => Math.abs(value - expected.data[i]!)))).toBeLessThan(1e-5);
    rmSync(out);
  }
});

test("embed in parts, joined, has the rows of all texts in their order", async () => {
  const [whole, parts] = [join(work, "whole.npy"), join(work, "parts.npy")];
  const embed = (...args: string[]) => run("embed", model, join(work, "texts.txt"), "--out", ...args);
  await embed(whole);
  for (const number of [3, 1, 2]) {
    const file = join(work, `parts.part-000${number}-of-0003.npy`);
    expect(await embed(parts, "--part", `${number}/3`)).toBe(`${number === 3 ? 2 : 1} vectors: ${file}\n`);
  }
  expect(await run("data", "merge", parts)).toBe(`joined 3 parts: ${parts}\n`);
  const [one, other] = [readNpy(whole), readNpy(parts)];
  expect(other.shape).toEqual(one.shape);
  for (const [i, value] of other.data.entries()) expect(value).toBeCloseTo(one.data[i]!, 5);
  await expect(embed(parts, "--part", "1/5")).rejects.toThrow("got 4 texts for 5 parts\n");
  await expect(run("embed", model, join(work, "texts.txt"), "--part", "1/2")).rejects.toThrow(
    "expected --out FILE too",
  );
  for (const name of readdirSync(work).filter((name) => name.endsWith(".npy"))) rmSync(join(work, name));
});

test("embed prints JSON lines, and its options are the API's", async () => {
  await using encoder = await Encoder.load(model);
  const args = ["--pooling", "cls", "max", "--role", "query", "--normalize", "--dimensions", "40"];
  const printed = await run("embed", model, join(work, "texts.csv"), ...args, "--output", "ubinary");
  const records = printed
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const options = {
    pooling: ["cls", "max"],
    role: "query",
    normalize: true,
    dimensions: 40,
    output: "ubinary",
  } as const;
  const expected = await encoder.encode(texts, options);
  expect(records.map(({ text }) => text)).toEqual(texts);
  expect(records.map(({ embedding }) => embedding)).toEqual([...expected].map((row) => [...row]));
  const int8 = ["--output", "int8", "--calibration", join(work, "texts.txt")];
  const [first] = (await run("embed", model, join(work, "texts.txt"), ...int8)).split("\n");
  expect(Math.max(...JSON.parse(first!).embedding.map(Math.abs))).toBeLessThanOrEqual(128);
});

test("a failing embed leaves no file behind", async () => {
  const out = join(work, "vectors.parquet");
  await expect(run("embed", model, join(work, "texts.txt"), "--out", out, "--prompt-name", "x")).rejects.toThrow(
    "expected promptName among the model's (query)",
  );
  await expect(run("embed", model, join(work, "texts.txt"), "--out", join(work, "a.csv"))).rejects.toThrow(
    "ends in .npy",
  );
  expect(readdirSync(work).sort()).toEqual(["texts.csv", "texts.jsonl", "texts.txt"]);
});

test("the progress line has a bar, speeds and the time left where the number of texts is known", () => {
  expect(progressText({ done: 1200, total: 5000, tokens: 24_000, seconds: 2 }, 10)).toBe(
    "1,200/5,000 [==        ] 24% 600 texts/s 12,000 tok/s 6s left",
  );
  expect(progressText({ done: 12, total: undefined, tokens: 100, seconds: 4 }, 10)).toBe("12 texts 3 texts/s 25 tok/s");
});

test("similarity prints a number for two texts and a table for more", async () => {
  expect(await run("similarity", model, "the law", "the law")).toBe("1.0000\n");
  const table = (await run("similarity", model, "the law", "a people", "in war")).trimEnd().split("\n");
  expect(table).toHaveLength(3);
  expect(table[1]).toMatch(/^ +-?0\.\d{4} +1\.0000 +-?0\.\d{4} {2}a people$/);
  const { scores } = JSON.parse(await run("similarity", model, "the law", "a people", "--json"));
  expect(scores[0][1]).toBeCloseTo(scores[1][0], 6);
});

test("classify, rerank and fill-mask print what the API gives", async () => {
  const id2label = { 0: "war", 1: "peace" };
  const classifier = await writeSmallModel({ head: "sequenceClassification", config: { id2label } });
  const [labels] = await (await Classifier.load(classifier)).classify(["the law"]);
  const line = JSON.parse(await run("classify", classifier, "the law", "--json"));
  expect(line).toEqual({ text: "the law", labels });
  expect(await run("classify", classifier, "the law", "--top-k", "1")).toMatch(
    new RegExp(`^the law\n +[\\d.]+ % {2}${labels![0]!.label}\n$`),
  );

  const tagger = await writeSmallModel({ head: "tokenClassification", config: { id2label: { 0: "O", 1: "B-LAW" } } });
  const { entities } = JSON.parse(await run("classify", tagger, wordsText(9), "--json", "--aggregation", "none"));
  for (const { start, end, text } of entities) expect(wordsText(9).slice(start, end)).toBe(text);

  const ranker = await writeSmallModel({ head: "sequenceClassification", config: { num_labels: 1 } });
  const ranked = await (await CrossEncoder.load(ranker)).rerank("who", texts, { topK: 3 });
  const printed = await run("rerank", ranker, "who", join(work, "texts.txt"), "--top-k", "3", "--json");
  expect(
    printed
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).index),
  ).toEqual(ranked.map(({ index }) => index));

  const masked = await writeSmallModel({ head: "maskedLM" });
  const fillings = JSON.parse(await run("fill-mask", masked, "the [MASK] of law", "--json", "--top-k", "2"));
  expect(fillings[0]).toHaveLength(2);
  expect(await run("fill-mask", masked, "[MASK] [MASK]", "--top-k", "1")).toMatch(/^\[MASK\] 1\n.+\n\[MASK\] 2\n.+\n$/);
  for (const folder of [classifier, tagger, ranker, masked]) rmSync(folder, { recursive: true });
});

test("answer and zero-shot print what the API gives", async () => {
  const model = join(goldenRoot, "question-answering/bert");
  const [question, context] = ["who shall govern?", "the people govern\nby law, and the house is free"];
  writeFileSync(join(work, "context.txt"), context);
  const answers = await (await QuestionAnswerer.load(model)).answer(question, context, { topK: 2 });
  for (const given of [context, join(work, "context.txt")]) {
    const printed = await run("answer", model, question, "--context", given, "--top-k", "2", "--json");
    expect(JSON.parse(printed)).toEqual(answers);
  }
  const printed = await run("answer", model, question, "--context", "law", "--allow-no-answer", "--top-k", "9");
  expect(printed).toMatch(/^ +[\d.]+ % {2}law {2}\[0, 3\)$/m);
  expect(printed).toMatch(/^ +[\d.]+ % {2}\(no answer\)$/m);

  const nli = join(goldenRoot, "zero-shot/bert");
  const labels = await (await ZeroShotClassifier.load(nli)).classify("the law", ["war", "peace"], { multiLabel: true });
  const line = JSON.parse(await run("zero-shot", nli, "the law", "--labels", "war, peace", "--multi-label", "--json"));
  expect(line).toEqual({ text: "the law", labels });
  const [best] = await (await ZeroShotClassifier.load(nli)).classify("the law", ["war", "peace"], {
    hypothesisTemplate: "so {}",
  });
  expect(await run("zero-shot", nli, "the law", "--labels", "war,peace", "--template", "so {}")).toMatch(
    new RegExp(`^the law\n +[\\d.]+ % {2}${best!.label}\n`),
  );
});

test("info counts the parameters that are stored, and needs no weights", async () => {
  const printed = await run("info", model);
  expect(printed).toMatch(/^architecture +BertModel, 2 layers of 32, head: none$/m);
  expect(printed).toMatch(/^prompts +query: "query the "$/m);
  const info = JSON.parse(await run("info", model, "--json"));
  const bytes = readFileSync(join(model, "model.safetensors"));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
  const sizes = Object.values(header as Record<string, { shape: number[] }>).map(({ shape }) => shape);
  expect(info.parameters).toBe(sizes.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0));
  expect(info).toMatchObject({ maxTokens: 64, dimension: 32, pooling: ["mean"], dtype: "F32", similarity: "cosine" });
  rmSync(join(model, "model.safetensors"));
  expect(await run("info", model)).toContain(", float32");
});
