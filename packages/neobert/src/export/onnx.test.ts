// The exported graphs, fed as any consumer feeds them (padded batches, int64), against what PyTorch computes.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../files/safetensors.js";
import { goldenClassifiers, goldenConfig, goldenModels, goldenRoot, goldenTaggers } from "../model/golden.js";
import type { Head } from "../model/index.js";
import { openModel, saveModel } from "../model/model-folder.js";
import { Graph } from "../onnx/graph.js";
import { writeOnnx } from "../onnx/onnx-file.js";
import { tracePadded } from "../onnx/trace.js";
import { exportOnnx } from "./onnx.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-export-onnx-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A golden file's inputs and values as they are, padded. */
function readGolden(path: string) {
  const file = openSafetensors(join(goldenRoot, path, "expected.safetensors"));
  const floats = (name: string) => file.read(name).data as Float32Array;
  const feeds: Record<string, Tensor> = {};
  for (const name of ["input_ids", "attention_mask", "token_type_ids"]) {
    const { data, shape } = file.read(file.names().includes(name) ? name : "input_ids");
    feeds[name] = new Tensor("int64", name === "token_type_ids" ? new BigInt64Array(data.length) : data, shape);
  }
  return { feeds, floats };
}

async function run(session: InferenceSession, feeds: Record<string, Tensor>) {
  const results = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!])));
  return results[session.outputNames[0]!]! as Tensor & { data: Float32Array };
}

/** The largest difference over the rows that are not padding. */
function difference(got: Tensor, expected: Float32Array, mask: Tensor): number {
  const [values, isToken] = [got.data as Float32Array, mask.data as BigInt64Array];
  expect(values.length).toBe(expected.length);
  const width = got.dims.at(-1)!;
  return values.reduce((most, value, i) => {
    return isToken[Math.floor(i / width)] === 0n ? most : Math.max(most, Math.abs(value - expected[i]!));
  }, 0);
}

describe.each(goldenModels)("%s, exported", (path) => {
  const { feeds, floats } = readGolden(path);
  const open = async (dtype: "fp32" | "fp16" | "int8", head: Head) => {
    const model = openModel(join(goldenRoot, path), { head });
    const file = join(folder, `${path.replace("/", "-")}-${head}-${dtype}.onnx`);
    writeOnnx(file, tracePadded(model, { dtype }), { producerVersion: "test" });
    model.close();
    return InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  };

  test("has the inputs and the output that consumers know, with any number of texts and tokens", async () => {
    const session = await open("fp32", "none");
    const names = [
      "input_ids",
      "attention_mask",
      ...(path === "bert" || path === "nomicbert" ? ["token_type_ids"] : []),
    ];
    expect(session.inputNames.toSorted()).toEqual(names.toSorted());
    expect(session.outputNames).toEqual(["last_hidden_state"]);
    const one = Object.fromEntries(names.map((name) => [name, new Tensor("int64", BigInt64Array.of(1n), [1, 1])]));
    const { dims } = await run(session, one);
    expect(dims).toEqual([1, 1, goldenConfig(path).hidden_size ?? goldenConfig(path).n_embd]);
  });

  test("has the reference's hidden states and logits", async () => {
    const hidden = await run(await open("fp32", "none"), feeds);
    expect(difference(hidden, floats("last_hidden_state"), feeds.attention_mask!)).toBeLessThan(5e-5);
    const session = await open("fp32", "maskedLM");
    expect(session.outputNames).toEqual(["logits"]);
    expect(difference(await run(session, feeds), floats("logits"), feeds.attention_mask!)).toBeLessThan(5e-5);
  });

  test("in fp16 is close to float32, and takes half the space", async () => {
    const expected = floats("last_hidden_state");
    const hidden = await run(await open("fp16", "none"), feeds);
    expect(hidden.type).toBe("float32");
    expect(difference(hidden, expected, feeds.attention_mask!)).toBeLessThan(1e-2);
  });

  test("in int8 points where float32 does", async () => {
    const expected = floats("last_hidden_state");
    const hidden = await run(await open("int8", "none"), feeds);
    const width = hidden.dims.at(-1)!;
    const isToken = feeds.attention_mask!.data as BigInt64Array;
    for (let row = 0; row < isToken.length; row++) {
      if (isToken[row] === 0n) continue;
      const [a, b] = [hidden.data, expected].map((values) => values.subarray(row * width, (row + 1) * width));
      const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
      expect(dot(a!, b!) / Math.sqrt(dot(a!, a!) * dot(b!, b!)), `row ${row}`).toBeGreaterThan(0.99);
    }
  });
});

test.each([...goldenClassifiers, ...goldenTaggers])("%s has the reference's class logits, exported", async (path) => {
  const out = join(folder, path.replace("/", "-"));
  const { className, files } = await exportOnnx(join(goldenRoot, path), out);
  expect(className).toBe(goldenConfig(path).architectures[0]);
  expect(files).toContain("onnx/model.onnx");
  const { feeds, floats } = readGolden(path);
  const logits = await run(await InferenceSession.create(join(out, "onnx/model.onnx")), feeds);
  if (goldenTaggers.includes(path)) {
    expect(difference(logits, floats("logits"), feeds.attention_mask!)).toBeLessThan(5e-5);
    return;
  }
  expect(logits.dims).toEqual([feeds.input_ids!.dims[0], 3]);
  for (const [i, value] of floats("logits").entries()) expect(Math.abs(logits.data[i]! - value)).toBeLessThan(5e-5);
});

test("the three types stand side by side in the layout of transformers.js, beside config and tokenizer", async () => {
  const source = join(folder, "source");
  cpSync(join(goldenRoot, "bert"), source, { recursive: true });
  const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...Array.from({ length: 126 }, (_, i) => `w${i}`)];
  writeFileSync(join(source, "vocab.txt"), words.join("\n"));
  const out = join(folder, "three");
  const sizes: number[] = [];
  for (const dtype of ["fp32", "fp16", "int8"] as const) sizes.push((await exportOnnx(source, out, { dtype })).bytes);
  expect(readdirSync(join(out, "onnx")).sort()).toEqual(["model.onnx", "model_fp16.onnx", "model_quantized.onnx"]);
  expect(existsSync(join(out, "tokenizer.json"))).toBe(true);
  expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8"))).toEqual(goldenConfig("bert"));
  expect(sizes[1]! / sizes[0]!).toBeLessThan(0.65);
  expect(sizes[2]! / sizes[1]!).toBeLessThan(0.9);
});

test("weights past the limit of a protobuf file stand in a second file, and the graph finds them", async () => {
  const model = openModel(join(goldenRoot, "bert"), { head: "none" });
  const [one, two] = [join(folder, "one.onnx"), join(folder, "two.onnx")];
  expect(writeOnnx(one, tracePadded(model, { dtype: "fp32" }), { producerVersion: "" }).external).toBe(false);
  const external = { producerVersion: "", externalData: true };
  expect(writeOnnx(two, tracePadded(model, { dtype: "fp32" }), external).external).toBe(true);
  model.close();
  expect(existsSync(`${two}_data`)).toBe(true);
  const { feeds } = readGolden("bert");
  const [a, b] = await Promise.all([one, two].map(async (path) => run(await InferenceSession.create(path), feeds)));
  expect(a!.data).toEqual(b!.data);
});

test("layers that int8 would change too much stay float32, and are named", async () => {
  const original = openModel(join(goldenRoot, "neobert/base"), { head: "none" });
  const C = original.architecture.config.hidden_size;
  const layer = "model.transformer_encoder.1";
  // The same function with one massive channel in front of qkv, as the released model has.
  const values = (name: string) => {
    const weight = original.values(name);
    if (name === `${layer}.attention_norm.weight`) return weight.map((value, i) => (i === 7 ? value * 1000 : value));
    return name === `${layer}.qkv.weight` ? weight.map((value, i) => (i % C === 7 ? value / 1000 : value)) : weight;
  };
  const source = join(folder, "massive");
  saveModel(source, { ...original, values });
  original.close();
  const { kept } = await exportOnnx(source, join(folder, "massive-onnx"), { dtype: "int8" });
  expect(kept.map(({ weight }) => weight)).toEqual(["model.transformer_encoder.1.qkv.weight"]);
  expect(kept[0]!.error).toBeGreaterThan(0.05);
  const plain = await exportOnnx(join(goldenRoot, "neobert/base"), join(folder, "plain-onnx"), { dtype: "int8" });
  expect(plain.kept).toEqual([]);
});

test("a graph makes the same node once and leaves out what no output needs", () => {
  const graph = new Graph("small");
  const x = graph.input("x", "float32", ["N"]);
  const twice = [graph.node("Abs", [x], ["N"]), graph.node("Abs", [x], ["N"])];
  expect(twice[0]!.name).toBe(twice[1]!.name);
  graph.node("Add", [x, graph.float(3)], ["N"]);
  graph.output("y", twice[1]!);
  graph.prune();
  expect(graph.nodes.map(({ op }) => op)).toEqual(["Abs", "Identity"]);
  expect(graph.initializers.size).toBe(0);
});
