// Each op of the vocabulary as a graph in both forms, run by ONNX Runtime, against the same op on libtorch.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromTypedArray, type Tensor as TorchTensor, tidy } from "@neobert/torch";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Batch, Ops } from "../model/ops.js";
import { TorchOps } from "../model/torch/torch-ops.js";
import { Graph, type Value } from "./graph.js";
import { packedInputs, paddedInputs } from "./onnx-batch.js";
import { writeOnnx } from "./onnx-file.js";
import { OnnxOps } from "./onnx-ops.js";
import { packedFeeds, runInputs } from "./packed-feeds.js";

const [C, I, H, V] = [24, 40, 3, 30];
const D = C / H;
const lengths = [3, 5, 5, 9];
const longest = 9;
const ids = Int32Array.from({ length: 22 }, (_, i) => (i * 7) % V);
const tokenTypes = ids.map((id) => id % 2);
const cuSeqlens = Int32Array.of(0, 3, 8, 13, 22);
/** Places of the tokens in the padded batch [4, 9]. */
const places = lengths.flatMap((length, text) => Array.from({ length }, (_, i) => text * longest + i));

const shapes: Record<string, number[]> = {
  table: [V, C],
  types: [2, C],
  places: [longest + 2, C],
  q: [C, C],
  k: [C, C],
  v: [C, C],
  qkv: [3 * C, C],
  "qkv.bias": [3 * C],
  "k.grouped": [C / 3, C],
  "v.grouped": [C / 3, C],
  "qkv.grouped": [C + (2 * C) / 3, C],
  "qkv.grouped.bias": [C + (2 * C) / 3],
  inner: [2 * I, C],
  "inner.bias": [2 * I],
  norm: [C],
  "norm.bias": [C],
  decoder: [V, C],
  "decoder.bias": [V],
};
const numel = (shape: number[]) => shape.reduce((product, size) => product * size, 1);
const valuesOf = (name: string) => {
  const seed = [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 1000;
  return Float32Array.from({ length: numel(shapes[name]!) }, (_, i) => Math.sin(seed * 1000 + 12.9898 * i));
};

interface Given<T> {
  ops: Ops<T>;
  batch: Batch<T>;
  weight: (name: string) => T;
  whole: (values: number[]) => T;
  /** The embedded tokens [N, C]. */
  x: T;
}
type Program = <T>(given: Given<T>) => T;

const attend = (layout: "separate" | "blocks" | "perHead", pairing?: "adjacent" | "half", window?: number): Program =>
  function program<T>({ ops, batch, weight, x }: Given<T>): T {
    const linear = (name: string) => ops.linear(x, weight(name));
    const qkv = () => ops.linear(x, weight("qkv"), weight("qkv.bias"));
    const projection =
      layout === "separate" ? { layout, q: linear("q"), k: linear("k"), v: linear("v") } : { layout, qkv: qkv() };
    const angles = pairing && { ...ops.rotaryAngles(ops.positions(batch, 0), D, 100), pairing };
    const split = ops.splitQkv(projection, { heads: H, ...(angles && { rotary: angles }) });
    return ops.attention(split, batch, 1 / Math.sqrt(D), window);
  };

/** Six heads of queries over two of keys and values, made of one layer or of three. */
const attendGrouped = (layout: "separate" | "blocks", pairing?: "half", window?: number): Program =>
  function program<T>({ ops, batch, weight, x }: Given<T>): T {
    const [heads, kvHeads] = [6, 2];
    const width = C / heads;
    const half = ops.multiply(x, 0.5); // scores of whole ones reach 30, where float32 rounds by more than is allowed
    const linear = (name: string) => ops.linear(half, weight(name));
    const projection =
      layout === "separate"
        ? { layout, q: linear("q"), k: linear("k.grouped"), v: linear("v.grouped") }
        : { layout, qkv: ops.linear(half, weight("qkv.grouped"), weight("qkv.grouped.bias")) };
    const angles = pairing && { ...ops.rotaryAngles(ops.positions(batch, 0), width, 100), pairing };
    const split = ops.splitQkv(projection, { heads, kvHeads, ...(angles && { rotary: angles }) });
    return ops.attention(split, batch, 1 / Math.sqrt(width), window);
  };

const programs: Record<string, Program> = {
  "embedding and positions from 2": ({ ops, batch, weight, x }) =>
    ops.add(x, ops.embedding(weight("places"), ops.positions(batch, 2))),
  "token types": ({ ops, batch, weight, x }) => ops.add(x, ops.embedding(weight("types"), ops.tokenTypes(batch))),
  "no token types": ({ ops, batch, weight, x }) =>
    ops.add(x, ops.embedding(weight("types"), ops.tokenTypes({ ...batch, tokenTypes: undefined } as typeof batch))),
  "linear with bias": ({ ops, weight, x }) => ops.linear(x, weight("inner"), weight("inner.bias")),
  "rms norm": ({ ops, weight, x }) => ops.norm(x, { kind: "rms", weight: weight("norm"), eps: 1e-3 }),
  "layer norm without bias": ({ ops, weight, x }) => ops.norm(x, { kind: "layer", weight: weight("norm"), eps: 1e-3 }),
  "the sum of addNorm": ({ ops, weight, x }) =>
    ops.addNorm(x, ops.tanh(x), { kind: "rms", weight: weight("norm"), eps: 1e-3 })[0],
  "the norm of addNorm": ({ ops, weight, x }) =>
    ops.addNorm(x, ops.tanh(x), { kind: "layer", weight: weight("norm"), bias: weight("norm.bias"), eps: 1e-3 })[1],
  "gatedUnit first": ({ ops, weight, x }) =>
    ops.gatedUnit(ops.linear(x, weight("inner"), weight("inner.bias")), "first"),
  "gatedUnit last": ({ ops, weight, x }) => ops.gatedUnit(ops.linear(x, weight("inner")), "last"),
  "gatedUnit of what no linear layer made": ({ ops, x }) => ops.gatedUnit(ops.abs(x), "last"),
  "gatedUnit with gelu": ({ ops, weight, x }) => ops.gatedUnit(ops.linear(x, weight("inner")), "first", "gelu"),
  silu: ({ ops, x }) => ops.silu(x),
  gelu: ({ ops, x }) => ops.gelu(ops.multiply(x, 3)),
  l2Normalize: ({ ops, x }) => ops.l2Normalize(x),
  "l2Normalize of zeros": ({ ops, x }) => ops.l2Normalize(ops.multiply(x, 0)),
  "multiply by a vector": ({ ops, weight, x }) => ops.multiply(x, weight("norm")),
  "linear with rows of its weight scaled": ({ ops, weight, x }) =>
    ops.linear(x, ops.multiply(weight("decoder"), ops.splitHeads(ops.multiply(weight("decoder.bias"), 3), V))),
  "linear with columns of its weight scaled": ({ ops, weight, x }) =>
    ops.linear(x, ops.multiply(ops.multiply(weight("qkv"), weight("norm")), 0.5)),
  "attention, separate": attend("separate"),
  "attention, blocks": attend("blocks"),
  "attention, perHead": attend("perHead"),
  "attention, rotary adjacent": attend("perHead", "adjacent"),
  "attention, rotary half": attend("blocks", "half"),
  "attention in a window": attend("separate", "half", 2),
  "attention of grouped heads, separate": attendGrouped("separate"),
  "attention of grouped heads, blocks": attendGrouped("blocks"),
  "attention of grouped heads, rotary": attendGrouped("separate", "half"),
  "attention of grouped heads in a window": attendGrouped("blocks", "half", 2),
  dropout: ({ ops, x }) => ops.dropout(x, 0.5),
  "a block": ({ ops, x }) => ops.block((y) => [ops.abs(y)], x)[0]!,
};
/** One row a text, or a number. */
const reductions: Record<string, Program> = {
  "first tokens": ({ ops, batch, x }) => ops.gatherRows(x, "first", batch),
  "cls pooling": ({ ops, batch, x }) => ops.pool(x, batch, "cls"),
  "mean pooling": ({ ops, batch, x }) => ops.pool(x, batch, "mean"),
  "cross entropy of the first tokens": ({ ops, batch, weight, whole, x }) =>
    ops.linearCrossEntropy(
      ops.gatherRows(x, "first", batch),
      weight("decoder"),
      weight("decoder.bias"),
      whole([3, 0, V - 1, 7]),
    ),
};

function onTorch(program: Program): Float32Array {
  return tidy(() => {
    const ops = new TorchOps();
    const batch = { ids: fromTypedArray(ids), cuSeqlens: [...cuSeqlens], tokenTypes: fromTypedArray(tokenTypes) };
    const weight = (name: string) => fromTypedArray(valuesOf(name), { shape: shapes[name]! });
    const x = ops.embedding(weight("table"), batch.ids);
    const whole = (values: number[]) => fromTypedArray(Int32Array.from(values)).to("int64");
    return program<TorchTensor>({ ops, batch, weight, whole, x }).toTypedArray() as Float32Array;
  });
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-onnx-ops-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function onOnnx(program: Program, form: "padded" | "packed", contrib: boolean): Promise<Float32Array> {
  const graph = new Graph("op");
  const ops = new OnnxOps(graph, { dtype: "fp32", contrib });
  const batch = (form === "padded" ? paddedInputs : packedInputs)(graph, { segments: true });
  const weight = (name: string): Value => {
    return { name, dtype: "float32", dims: shapes[name]!, weight: () => valuesOf(name) };
  };
  const x = ops.embedding(weight("table"), batch.ids);
  graph.output("result", program<Value>({ ops, batch, weight, whole: (values) => graph.ints(values), x }));
  graph.prune();
  const path = join(folder, "op.onnx");
  writeOnnx(path, graph, { producerVersion: "test" });
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  let feeds: Record<string, Tensor>;
  if (form === "packed") {
    const { inputs } = runInputs({ ids, cuSeqlens, tokenTypes });
    feeds = packedFeeds(Tensor, session.inputNames, inputs);
  } else {
    const padded = (values: (row: number) => number) => {
      const all = new BigInt64Array(lengths.length * longest);
      for (const [row, place] of places.entries()) all[place] = BigInt(values(row));
      return new Tensor("int64", all, [lengths.length, longest]);
    };
    feeds = { input_ids: padded((row) => ids[row]!), attention_mask: padded(() => 1) };
    feeds.token_type_ids = padded((row) => tokenTypes[row]!);
  }
  const { result } = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!])));
  await session.release();
  return result!.data as Float32Array;
}

function expectClose(got: Float32Array, expected: Float32Array): void {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) {
    expect(Math.abs(got[i]! - value), `place ${i}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
  }
}

describe.each([
  ["padded", false, "the exported form"],
  ["packed", true, "the session's form"],
  ["packed", false, "the session's form without ONNX Runtime's operators"],
] as const)("%s, contrib %s: in %s", (form, contrib, _) => {
  test.each(Object.keys(programs))("%s is libtorch's", async (name) => {
    const expected = onTorch(programs[name]!);
    const got = await onOnnx(programs[name]!, form, contrib);
    const width = expected.length / ids.length;
    const rows = form === "packed" ? [...ids.keys()] : places;
    expectClose(Float32Array.from(rows.flatMap((row) => [...got.subarray(row * width, (row + 1) * width)])), expected);
  });

  test.each(Object.keys(reductions))("%s is libtorch's", async (name) => {
    expectClose(await onOnnx(reductions[name]!, form, contrib), onTorch(reductions[name]!));
  });
});
