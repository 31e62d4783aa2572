// The two layouts of a batch in an ONNX graph. Tokens are rows [N, C] in both, so that every product is one of matrices
// and only these few functions know where sequences begin and end.
//
// padded: what consumers feed, input_ids and attention_mask [B, S]; N = B * S, padding included. Standard operators.
// packed: what our own session feeds, no padding: ids [N] of texts in groups of one length each. Attention runs group by
// group, where it is a mere change of shape and needs no mask: much faster, and a text's vector has the same bits in any
// company.

import type { Batch } from "../model/ops.js";
import { type Dim, type Graph, MICROSOFT, type Value } from "./graph.js";

export interface PaddedBatch extends Batch<Value> {
  form: "padded";
  tokenTypes?: Value; // [N]
  mask: Value; // [B, S]
  shape: Value; // B and S
}

export interface PackedGraphBatch extends Batch<Value> {
  form: "packed";
  tokenTypes?: Value; // [N]
  /** Places of the tokens in their sequences, from 0. */
  positions: Value; // [N]
  /** Tokens of the sequence that each row belongs to. */
  lengths: Value; // [N]
  /** Row of each sequence's first token. */
  first: Value; // [B]
  /** Row where each group of sequences of one length begins, and where it ends. */
  starts: Value; // [G, 1]
  ends: Value; // [G, 1]
  /** Number of sequences, their length, and -1: the group's shape. */
  shapes: Value; // [G, 3]
}

export type OnnxBatch = PaddedBatch | PackedGraphBatch;

/** The inputs of a graph of the exported form. */
export function paddedInputs(graph: Graph, { segments }: { segments: boolean }): PaddedBatch {
  const input = (name: string) => graph.input(name, "int64", ["batch_size", "sequence_length"]);
  const ids = input("input_ids");
  const mask = input("attention_mask");
  const flat = (x: Value) => graph.node("Reshape", [x, graph.ints([-1])], ["N"]);
  return {
    form: "padded",
    ids: flat(ids),
    mask,
    shape: graph.node("Shape", [ids], [2], { dtype: "int64" }),
    ...(segments && { tokenTypes: flat(input("token_type_ids")) }),
  };
}

/** The inputs of a graph for our own session. */
export function packedInputs(graph: Graph, { segments }: { segments: boolean }): PackedGraphBatch {
  const input = (name: string, ...dims: Dim[]) => graph.input(name, "int32", dims);
  return {
    form: "packed",
    ids: input("ids", "N"),
    // A single 0 where the batch has none.
    ...(segments && { tokenTypes: input("token_types", "T") }),
    positions: input("positions", "N"),
    lengths: input("lengths", "N"),
    first: input("first", "B"),
    starts: input("starts", "G", 1),
    ends: input("ends", "G", 1),
    shapes: graph.input("shapes", "int64", ["G", 3]),
  };
}

/** Whole numbers [N], from `first` anew in each sequence. */
export function positions(graph: Graph, batch: OnnxBatch, first: number): Value {
  if (batch.form === "packed") {
    if (first === 0) return batch.positions;
    const by = graph.constant(`int32_${first}`, "int32", [], () => Int32Array.of(first));
    return graph.node("Add", [batch.positions, by], ["N"]);
  }
  const length = graph.node("Gather", [batch.shape, graph.int(1)], []);
  const end = graph.node("Add", [length, graph.int(first)], []);
  const one = graph.node("Range", [graph.int(first), end, graph.int(1)], ["S"]);
  const all = graph.node("Expand", [one, batch.shape], ["B", "S"]);
  return graph.node("Reshape", [all, graph.ints([-1])], ["N"]);
}

/** Tokens [N] of the sequence that each row belongs to, padding not counted. */
export function lengths(graph: Graph, batch: OnnxBatch): Value {
  if (batch.form === "packed") return batch.lengths;
  const { mask, shape } = batch;
  const counts = graph.node("ReduceSum", [mask, graph.ints([1])], ["B", 1], { attributes: { keepdims: 1 } });
  return graph.node("Reshape", [graph.node("Expand", [counts, shape], ["B", "S"]), graph.ints([-1])], ["N"]);
}

interface AttentionOptions {
  heads: number;
  /** Heads of keys and values; `heads` is a multiple of it. */
  kvHeads: number;
  scale: number;
  window?: number;
}

/** softmax(q k^T * scale) v with q [N, C], k and v [N, K * D]: [N, C]. */
export function attention(
  graph: Graph,
  batch: OnnxBatch,
  { q, k, v }: { q: Value; k: Value; v: Value },
  options: AttentionOptions,
): Value {
  const C = q.dims.at(-1)! as number;
  if (batch.form === "padded") return paddedAttention(graph, batch, { q, k, v }, options);

  const { heads, kvHeads, scale, window } = options;
  const attributes = { num_heads: kvHeads, scale: { float: scale } };
  const D = C / heads;
  const G = heads / kvHeads;
  const ofGroup = (values: Value, index: Value) => graph.node("Gather", [values, index], values.dims.slice(1));
  /** Whole numbers as one list, to reshape by. */
  const listed = (numbers: (Value | number)[]) =>
    graph.node(
      "Concat",
      numbers.map((x) => (typeof x === "number" ? graph.ints([x]) : x)),
      [numbers.length],
      { attributes: { axis: 0 } },
    );
  const mix = ([q, k, v]: Value[], shape: Value): Value => {
    const size = (axis: number) => graph.node("Gather", [shape, graph.ints([axis])], [1]);
    const byText = (x: Value) => graph.node("Reshape", [x, shape], ["B", "S", x.dims.at(-1)!]);
    // Of a group of heads that read the same keys, each has its queries behind those of the one before: more queries, not
    // more keys. [n, C] -> [B, S, K, G, D] -> [B, G, S, K, D] -> [B, G * S, K * D]
    const grouped = (x: Value) => {
      const view = graph.node("Reshape", [x, listed([size(0), size(1), kvHeads, G, D])], ["B", "S", kvHeads, G, D]);
      const turned = graph.node("Transpose", [view], ["B", G, "S", kvHeads, D], {
        attributes: { perm: [0, 3, 1, 2, 4] },
      });
      return graph.node("Reshape", [turned, listed([size(0), -1, kvHeads * D])], ["B", "G*S", kvHeads * D]);
    };
    const ungrouped = (x: Value) => {
      const view = graph.node("Reshape", [x, listed([size(0), G, size(1), kvHeads, D])], ["B", G, "S", kvHeads, D]);
      return graph.node("Transpose", [view], ["B", "S", kvHeads, G, D], { attributes: { perm: [0, 2, 3, 1, 4] } });
    };
    const queries = G === 1 ? byText(q!) : grouped(q!);
    const inputs = [queries, byText(k!), byText(v!)];
    const attend = (bias?: Value) =>
      graph.node("MultiHeadAttention", [...inputs, undefined, undefined, bias], queries.dims, {
        domain: MICROSOFT,
        attributes,
      });
    const flat = (x: Value) => graph.node("Reshape", [G === 1 ? x : ungrouped(x), graph.ints([-1, C])], ["n", C]);
    const biasOf = (length: Value, window: number) => {
      const bias = windowBias(graph, length, window);
      return G === 1 ? bias : graph.node("Tile", [bias, graph.ints([1, 1, G, 1])], [1, 1, "G*S", "S"]);
    };
    if (window === undefined) return flat(attend());
    const length = graph.node("Gather", [shape, graph.int(1)], []);
    const isNear = graph.node("LessOrEqual", [length, graph.int(window + 1)], [], { dtype: "bool" });
    return graph.either(
      isNear,
      () => flat(attend()),
      () => flat(attend(biasOf(length, window))),
    );
  };
  const count = graph.node("Gather", [graph.node("Shape", [batch.shapes], [2], { dtype: "int64" }), graph.int(0)], []);
  return graph.either(
    graph.node("Equal", [count, graph.int(1)], [], { dtype: "bool" }),
    () => mix([q, k, v], ofGroup(batch.shapes, graph.int(0))),
    () =>
      graph.concatenated(count, "N", (index) => {
        const [start, end] = [ofGroup(batch.starts, index), ofGroup(batch.ends, index)];
        const rows = (x: Value) => graph.node("Slice", [x, start, end], ["n", x.dims.at(-1)!]);
        return mix([rows(q), rows(k), rows(v)], ofGroup(batch.shapes, index));
      }),
  );
}

const LOWEST = -1e30;

/** What is added to scores [S, S]: 0 up to `window` places away on either side, very little beyond. */
function windowBias(graph: Graph, length: Value, window: number): Value {
  const range = graph.node("Range", [graph.int(0), length, graph.int(1)], ["S"]);
  const row = graph.node("Unsqueeze", [range, graph.ints([0])], [1, "S"]);
  const column = graph.node("Unsqueeze", [range, graph.ints([1])], ["S", 1]);
  const distance = graph.node("Abs", [graph.node("Sub", [row, column], ["S", "S"])], ["S", "S"]);
  const far = graph.node("Greater", [distance, graph.int(window)], ["S", "S"], { dtype: "bool" });
  const bias = graph.node("Mul", [graph.cast(far, "float32"), graph.float(LOWEST)], ["S", "S"]);
  return graph.node("Unsqueeze", [bias, graph.ints([0, 1])], [1, 1, "S", "S"]);
}

function paddedAttention(
  graph: Graph,
  { mask, shape }: PaddedBatch,
  { q, k, v }: { q: Value; k: Value; v: Value },
  { heads, kvHeads, scale, window }: AttentionOptions,
): Value {
  const C = q.dims.at(-1)! as number;
  const D = C / heads;
  // Where several heads read the same keys there is one more axis, on which the products broadcast the keys and values.
  const isGrouped = heads !== kvHeads;
  const ofQueries = isGrouped ? [kvHeads, heads / kvHeads] : [heads];
  const ofKeys = isGrouped ? [kvHeads, 1] : [heads];
  /** [N, ..] -> [B, S, .., D] -> [B, .., S, D] or, where `across`, [B, .., D, S] */
  const turned = (x: Value, sizes: number[], across = false) => {
    const axes = sizes.map((_, i) => 2 + i);
    const last = 2 + sizes.length;
    const viewed = graph.node("Concat", [shape, graph.ints([...sizes, D])], [last + 1], { attributes: { axis: 0 } });
    const view = graph.node("Reshape", [x, viewed], ["B", "S", ...sizes, D]);
    return graph.node("Transpose", [view], across ? ["B", ...sizes, D, "S"] : ["B", ...sizes, "S", D], {
      attributes: { perm: across ? [0, ...axes, last, 1] : [0, ...axes, 1, last] },
    });
  };
  // [B, S] of 1 and 0 -> [B, 1, 1, S] of 0 and very little
  const isPadding = graph.node("Sub", [graph.float(1), graph.cast(mask, "float32")], ["B", "S"]);
  const keys = graph.node("Unsqueeze", [isPadding, graph.ints([1, 2])], ["B", 1, 1, "S"]);
  let bias = graph.node("Mul", [keys, graph.float(LOWEST)], ["B", 1, 1, "S"]);
  if (window !== undefined) {
    const length = graph.node("Gather", [shape, graph.int(1)], []);
    bias = graph.node("Add", [bias, windowBias(graph, length, window)], ["B", 1, "S", "S"]);
  }
  if (isGrouped) bias = graph.node("Unsqueeze", [bias, graph.ints([1])], ["B", 1, ...bias.dims.slice(1)]);
  const scores = graph.node("MatMul", [turned(q, ofQueries), turned(k, ofKeys, true)], ["B", ...ofQueries, "S", "S"]);
  const scaled = graph.node("Mul", [graph.cast(scores, "float32"), graph.float(scale)], scores.dims);
  const biased = graph.node("Add", [scaled, bias], scores.dims);
  const weights = graph.cast(graph.node("Softmax", [biased], scores.dims, { attributes: { axis: -1 } }), v.dtype);
  const mixed = graph.node("MatMul", [weights, turned(v, ofKeys)], ["B", ...ofQueries, "S", D]);
  const perm = isGrouped ? [0, 3, 1, 2, 4] : [0, 2, 1, 3];
  const back = graph.node("Transpose", [mixed], ["B", "S", ...ofQueries, D], { attributes: { perm } });
  return graph.node("Reshape", [back, graph.ints([-1, C])], ["N", C]);
}

/** The rows of x [N, C] of the sequences' first tokens: [B, C]. */
export function firstRows(graph: Graph, batch: OnnxBatch, x: Value): Value {
  const C = x.dims.at(-1)! as number;
  if (batch.form === "packed") return graph.node("Gather", [x, batch.first], ["B", C]);
  return graph.node("Gather", [byText(graph, batch, x), graph.int(0)], ["B", C], { attributes: { axis: 1 } });
}

/** [N, C] -> [B, S, C] */
export function byText(graph: Graph, { shape }: PaddedBatch, x: Value): Value {
  const C = x.dims.at(-1)! as number;
  const whole = graph.node("Concat", [shape, graph.ints([C])], [3], { attributes: { axis: 0 } });
  return graph.node("Reshape", [x, whole], ["batch_size", "sequence_length", C]);
}

/** Mean of x [N, C] over the tokens of each sequence: [B, C]. */
export function meanRows(graph: Graph, batch: OnnxBatch, x: Value): Value {
  const C = x.dims.at(-1)! as number;
  if (batch.form === "padded") {
    const weights = graph.node("Unsqueeze", [graph.cast(batch.mask, "float32"), graph.ints([2])], ["B", "S", 1]);
    const weighted = graph.node("Mul", [byText(graph, batch, graph.cast(x, "float32")), weights], ["B", "S", C]);
    const axis = graph.ints([1]);
    const [sum, count] = [weighted, weights].map((value) =>
      graph.node("ReduceSum", [value, axis], ["B", value.dims.at(-1)!], { attributes: { keepdims: 0 } }),
    );
    return graph.node("Div", [sum, count], ["B", C]);
  }
  // The number of the sequence that each row belongs to: so many have begun before it.
  const zero = graph.constant("int32_0", "int32", [], () => Int32Array.of(0));
  const begins = graph.cast(graph.node("Equal", [batch.positions, zero], ["N"], { dtype: "bool" }), "int64");
  const begun = graph.node("CumSum", [begins, graph.int(0)], ["N"]);
  const rows = graph.node("Unsqueeze", [graph.node("Sub", [begun, graph.int(1)], ["N"]), graph.ints([1])], ["N", 1]);
  const zeros = (x: Value) => graph.node("Mul", [firstRows(graph, batch, x), graph.float(0)], ["B", x.dims[1]!]);
  const sum = (x: Value) =>
    graph.node("ScatterND", [zeros(x), rows, x], ["B", x.dims[1]!], { attributes: { reduction: "add" } });
  const ones = graph.node(
    "Add",
    [graph.node("Mul", [graph.cast(rows, "float32"), graph.float(0)], ["N", 1]), graph.float(1)],
    ["N", 1],
  );
  return graph.node("Div", [sum(x), sum(ones)], ["B", C]);
}
