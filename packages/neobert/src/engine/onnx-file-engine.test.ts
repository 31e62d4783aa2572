// Graphs in the layout of transformers.js, against the same model on our own graph.

import { existsSync, mkdirSync, mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Classifier } from "../encoder/classifier.js";
import { Encoder } from "../encoder/encoder.js";
import { FillMask } from "../encoder/fill-mask.js";
import { type SmallModel, wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { TokenClassifier } from "../encoder/token-classifier.js";
import { exportOnnx } from "../export/onnx.js";
import { openModel } from "../model/model-folder.js";
import { Graph, type Value } from "../onnx/graph.js";
import { paddedInputs } from "../onnx/onnx-batch.js";
import { writeOnnx } from "../onnx/onnx-file.js";
import { OnnxOps } from "../onnx/onnx-ops.js";
import { paddedRuns } from "./onnx-file-engine.js";

const onnxFile = "onnx/model.onnx";
const texts = Array.from({ length: 23 }, (_, i) => wordsText(1 + ((i * 11) % 29), i));
const folders: string[] = [];

/** A model's folder, and one with its graph and no weights. */
async function exported(model: SmallModel = {}, dtype: "fp32" | "fp16" = "fp32"): Promise<[string, string]> {
  const source = await writeSmallModel(model);
  const out = mkdtempSync(join(tmpdir(), "neobert-onnx-file-"));
  folders.push(source, out);
  await exportOnnx(source, out, { dtype });
  expect(existsSync(join(out, "model.safetensors"))).toBe(false);
  return [source, out];
}

/** Writes a graph with these outputs, made of the padded hidden states, into `onnx/NAME` of the folder. */
function writeGraph(folder: string, name: string, build: (graph: Graph, hidden: Value, ops: OnnxOps) => void): string {
  const source = openModel(plain, { head: "none" });
  const { architecture, values } = source;
  const graph = new Graph(name);
  const ops = new OnnxOps(graph, { dtype: "fp32", contrib: false });
  const batch = paddedInputs(graph, { segments: true });
  const shapes = new Map(architecture.parameters("none").map((spec) => [spec.name, spec.shape]));
  const weight = (of: string): Value => ({
    name: of,
    dtype: "float32",
    dims: shapes.get(of)!,
    weight: () => values(of),
  });
  const hidden = architecture.forward(ops, weight, batch);
  build(graph, name === "pooled.onnx" ? ops.pool(hidden, batch, "mean") : hidden, ops);
  graph.prune();
  mkdirSync(join(folder, "onnx"), { recursive: true });
  writeOnnx(join(folder, "onnx", name), graph, { producerVersion: "test" });
  source.close();
  return `onnx/${name}`;
}

let [plain, graphs] = ["", ""];
beforeAll(async () => {
  [plain, graphs] = await exported();
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const greatest = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((x, y) => Math.max(x, y), 0);
};

test("a folder with a graph and no weights gives the model's vectors, in any batch, pooled as asked", async () => {
  await using own = await Encoder.load(plain);
  await using encoder = await Encoder.load(graphs, { onnxFile });
  for (const options of [{}, { normalize: true }, { pooling: ["cls", "max"] }] as const) {
    const expected = await own.encode(texts, options);
    const vectors = await encoder.encode(texts, options);
    expect(greatest(vectors.data, expected.data)).toBeLessThan(1e-5);
    expect(greatest(await encoder.encode(texts[5]!, options), expected.row(5))).toBeLessThan(1e-5);
  }
  const tokens = await encoder.tokens(texts.slice(0, 4));
  for (const [i, expected] of (await own.tokens(texts.slice(0, 4))).entries()) {
    expect(greatest(tokens[i]!.data, expected.data)).toBeLessThan(1e-5);
  }
});

test("a graph in float16 gives the vectors to its precision", async () => {
  const [source, out] = await exported({}, "fp16");
  await using own = await Encoder.load(source);
  await using encoder = await Encoder.load(out, { onnxFile: "onnx/model_fp16.onnx" });
  const [a, b] = [await own.encode(texts), await encoder.encode(texts)];
  for (const i of texts.keys()) expect(own.similarity(a.row(i), b.row(i))).toBeGreaterThan(0.999);
});

test("heads give what they give on the model's own weights", async () => {
  const [maskedModel, maskedGraph] = await exported({ head: "maskedLM" });
  await using ownFill = await FillMask.load(maskedModel);
  await using fill = await FillMask.load(maskedGraph, { onnxFile });
  const masked = ["the [MASK] of a [MASK] people", "peace and [MASK]"];
  const fillings = await fill.fill(masked);
  for (const [i, masks] of (await ownFill.fill(masked)).entries()) {
    for (const [j, expected] of masks.entries()) {
      expect(fillings[i]![j]!.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
      const scores = (list: typeof expected) => list.map(({ score }) => score);
      expect(greatest(scores(fillings[i]![j]!), scores(expected))).toBeLessThan(1e-5);
    }
  }
  const [classModel, classGraph] = await exported({ head: "sequenceClassification", config: { num_labels: 3 } });
  await using ownClassifier = await Classifier.load(classModel);
  await using classifier = await Classifier.load(classGraph, { onnxFile });
  const inputs = [...texts, { text: texts[2]!, pair: texts[7]! }]; // a pair has two segments
  const logits = await classifier.logits(inputs);
  for (const [i, row] of (await ownClassifier.logits(inputs)).entries()) {
    expect(greatest(logits[i]!, row)).toBeLessThan(1e-5);
  }
  const [tagModel, tagGraph] = await exported({ head: "tokenClassification" });
  await using ownTagger = await TokenClassifier.load(tagModel);
  await using tagger = await TokenClassifier.load(tagGraph, { onnxFile });
  const plainly = (tags: object) => JSON.parse(JSON.stringify(tags, (key, value) => (key === "score" ? 0 : value)));
  expect(plainly(await tagger.tag(texts, { aggregation: "none" }))).toEqual(
    plainly(await ownTagger.tag(texts, { aggregation: "none" })),
  );
});

test("a graph that pools by itself gives its vectors, and refuses what it cannot give", async () => {
  const pooled = writeGraph(graphs, "pooled.onnx", (graph, value) => graph.output("sentence_embedding", value));
  await using own = await Encoder.load(plain);
  await using encoder = await Encoder.load(graphs, { onnxFile: pooled });
  const options = { dimensions: 7, normalize: true };
  expect(greatest((await encoder.encode(texts)).data, (await own.encode(texts)).data)).toBeLessThan(1e-5);
  const [fewer, expected] = [await encoder.encode(texts, options), await own.encode(texts, options)];
  expect(greatest(fewer.data, expected.data)).toBeLessThan(1e-5);
  await expect(encoder.encode(texts, { pooling: "cls" })).rejects.toThrow(/expected the model's own.*got pooling cls/);
  await expect(encoder.tokens("the house")).rejects.toThrow(/token_embeddings for vectors of tokens, got sentence_emb/);
});

test("files that are absent, unreadable or made for something else are named with what was expected", async () => {
  const load = (name: string, options = {}) => Encoder.load(graphs, { onnxFile: name, ...options });
  await expect(load("onnx/model_q4.onnx")).rejects.toThrow(
    /expected onnx\/model_q4.onnx in .*got no such file\n.onnx files there: onnx\/model.onnx/,
  );
  await expect(load("config.json")).rejects.toThrow(/config.json: expected a graph that ONNX Runtime opens, got /);
  await expect(load(onnxFile, { dtype: "int8" })).rejects.toThrow(/no dtype beside onnxFile.*got dtype "int8"/);
  await expect(load(onnxFile, { engine: "torch" })).rejects.toThrow(/expected engine "onnx".*got engine "torch"/);

  const foreign = writeGraph(graphs, "foreign.onnx", (graph, hidden) => {
    const positions = graph.cast(graph.input("position_ids", "int64", ["N", 1]), "float32");
    graph.output("last_hidden_state", graph.node("Add", [hidden, positions], hidden.dims));
  });
  await expect(load(foreign)).rejects.toThrow(
    /inputs input_ids, attention_mask, token_type_ids, got position_ids \(int64\)/,
  );
  const logits = writeGraph(graphs, "logits.onnx", (graph, hidden) => graph.output("logits", hidden));
  await expect(load(logits)).rejects.toThrow(/expected an output last_hidden_state or .* got logits\n/);
  const flat = writeGraph(graphs, "flat.onnx", (graph, hidden) => graph.output("last_hidden_state", hidden));
  await expect(load(flat)).rejects.toThrow(/expected output last_hidden_state \[texts, tokens, 32\] .*got \[N, 32\]/);
  await expect(Classifier.load(graphs, { onnxFile: "onnx/model.onnx" })).rejects.toThrow(
    /expected an output logits, got last_hidden_state/,
  );
  const [, masked] = await exported({ head: "maskedLM" });
  await expect(Classifier.load(masked, { onnxFile })).rejects.toThrow(
    /expected output logits \[texts, width\] .*got \[/,
  );
});

test("weights beside the graph are found, and their absence is an error", async () => {
  const [source, out] = await exported();
  const model = openModel(source, { head: "none" });
  const { tracePadded } = await import("../onnx/trace.js");
  const file = join(out, "onnx/model_external.onnx");
  writeOnnx(file, tracePadded(model, { dtype: "fp32" }), { externalData: true, producerVersion: "test" });
  model.close();
  await using own = await Encoder.load(source);
  const encoder = await Encoder.load(out, { onnxFile: "onnx/model_external.onnx" });
  expect(greatest(await encoder.encode(texts[0]!), await own.encode(texts[0]!))).toBeLessThan(1e-5);
  await encoder.dispose();
  unlinkSync(`${file}_data`);
  await expect(Encoder.load(out, { onnxFile: "onnx/model_external.onnx" })).rejects.toThrow(/model_external.onnx/);
});

test("padded runs have every text once, few padding tokens, and texts of one length together", () => {
  const lengths = Array.from({ length: 200 }, (_, i) => 1 + ((i * 37) % 61)).concat(Array(40).fill(300));
  const cuSeqlens = new Int32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) cuSeqlens[i + 1] = cuSeqlens[i]! + length;
  const runs = paddedRuns(cuSeqlens, 2048);
  expect(runs.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()]);
  for (const run of runs) {
    const longest = Math.max(...run.map((text) => lengths[text]!));
    const tokens = run.reduce((sum, text) => sum + lengths[text]!, 0);
    expect(run.length * longest).toBeLessThanOrEqual(2048);
    expect(run.length * longest - tokens).toBeLessThanOrEqual((run.length * longest) / 8);
  }
  expect(paddedRuns(Int32Array.of(0, 9, 18, 27), 2048)).toEqual([[0, 1, 2]]);
});
