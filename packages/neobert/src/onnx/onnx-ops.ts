// The encoders' vocabulary as nodes of an ONNX graph: a model's forward pass over these ops is its export. Values are
// rows [N, C] in both layouts of a batch. Standard operators, and in our own session's form those of ONNX Runtime
// where they were measured faster. In fp16 linear layers take and give float16; all else is float32.

import type {
  Norm,
  Ops,
  Qkv,
  QkvProjection,
  RotaryAngles,
  RotaryScaling,
  RowChoice,
  SplitOptions,
} from "../model/ops.js";
import { foldedProduct, foldedReshape, isWeight } from "./folded.js";
import { type Dim, type Graph, MICROSOFT, type Value } from "./graph.js";
import { toFloat16 } from "./half.js";
import { quantizedEmbedding, quantizedLinear, type WeightBits } from "./int8.js";
import { attention, firstRows, lengths, meanRows, type OnnxBatch, positions } from "./onnx-batch.js";

export interface OnnxOpsOptions {
  dtype: "fp32" | "fp16" | "int8";
  /** ONNX Runtime's own operators, for our session. */
  contrib: boolean;
  /** In int8: bits of the weights, 8 unless said. */
  bits?: WeightBits;
  /** In int8: weights whose linear layers compute in float32 all the same. */
  keepFloat?: readonly string[];
  /** Called for each linear layer with how far int8 would be from its result. */
  measure?: (weight: string, error: Value) => void;
}

/** Layers with fewer results, classifiers, have nothing to gain from int8. */
const FEWEST_COLUMNS = 32;
/** What `#partOf` appends to a weight's name. */
const PART = /#\w$/;

export class OnnxOps implements Ops<Value> {
  readonly #graph: Graph;
  readonly #options: OnnxOpsOptions;

  constructor(graph: Graph, options: OnnxOpsOptions) {
    this.#graph = graph;
    this.#options = options;
  }

  embedding(weight: Value, indices: Value): Value {
    const dims = [...indices.dims, weight.dims[1]!];
    if (this.#options.dtype === "int8") return quantizedEmbedding(this.#graph, weight, indices);
    return this.#float(this.#graph.node("Gather", [this.#stored(weight), indices], dims));
  }

  positions(batch: OnnxBatch, first: number): Value {
    return positions(this.#graph, batch, first);
  }

  tokenTypes(batch: OnnxBatch): Value {
    // One zero stands for a zero for each token: its row of the table is added to all.
    return batch.tokenTypes ?? this.#graph.ints([0]);
  }

  rotaryAngles(positions: Value, headWidth: number, theta: number): RotaryAngles<Value> {
    const D = headWidth / 2;
    // The float32 steps of the published code: exponent, power, reciprocal.
    const frequency = (j: number) => Math.fround(1 / Math.fround(theta ** Math.fround((2 * j) / headWidth)));
    const frequencies = this.#graph.constant(`rotary_${theta}_${headWidth}`, "float32", [D], () =>
      Float32Array.from({ length: D }, (_, j) => frequency(j)),
    );
    const column = this.#node("Unsqueeze", [this.#float(positions), this.#graph.ints([-1])], ["N", 1]);
    return this.#turns(this.#node("Mul", [column, frequencies], ["N", D]));
  }

  scaledRotaryAngles(batch: OnnxBatch, headWidth: number, theta: number, scaling: RotaryScaling): RotaryAngles<Value> {
    const { factor, trainedTokens } = scaling;
    const graph = this.#graph;
    const D = headWidth / 2;
    const constant = (name: string, of: (j: number) => number) =>
      graph.constant(`${name}_${theta}_${headWidth}`, "float32", [D], () =>
        Float32Array.from({ length: D }, (_, j) => of(j)),
      );
    // Angles theta^(-2j/D) * s^(-2j/(D - 2)), the second part in each row as its sequence is long.
    const frequencies = constant("rotary", (j) => 1 / Math.fround(theta ** Math.fround((2 * j) / headWidth)));
    const exponents = constant("growth", (j) => (j === 0 ? 0 : (-2 * j) / (headWidth - 2)));
    const column = (x: Value) => this.#node("Unsqueeze", [this.#float(x), graph.ints([-1])], ["N", 1]);
    const ratio = this.multiply(column(lengths(graph, batch)), factor / trainedTokens);
    const grown = this.#node("Sub", [ratio, graph.float(factor - 1)], ["N", 1]);
    const growth = this.#node("Max", [grown, graph.float(1)], ["N", 1]);
    const powers = this.#node("Pow", [growth, exponents], ["N", D]);
    const position = column(this.positions(batch, 0));
    return this.#turns(this.#node("Mul", [position, this.#node("Mul", [powers, frequencies], ["N", D])], ["N", D]));
  }

  #turns(angles: Value): RotaryAngles<Value> {
    return { cos: this.#node("Cos", [angles], angles.dims), sin: this.#node("Sin", [angles], angles.dims) };
  }

  linear(x: Value, weight: Value, bias?: Value): Value {
    const { dtype, measure } = this.#options;
    const dims = [...x.dims.slice(0, -1), weight.dims[0]!];
    const float = () =>
      this.#node("Gemm", [this.#half(x), this.#stored(weight), bias && this.#stored(bias)], dims, { transB: 1 });
    const made = dtype === "int8" && this.#isQuantized(weight) ? this.#quantized(x, weight, bias) : float();
    if (measure && this.#isQuantized(weight))
      measure(weight.name, this.#errorOf(this.#quantized(x, weight, bias), made));
    return { ...made, linear: { x, weight, bias } };
  }

  norm(x: Value, { kind, weight, bias, eps }: Norm<Value>): Value {
    const wide = this.#float(x);
    const attributes = { axis: -1, epsilon: { float: eps } };
    if (kind === "layer") return this.#node("LayerNormalization", [wide, weight, bias], x.dims, attributes);
    if (this.#options.contrib) {
      return this.#node("SimplifiedLayerNormalization", [wide, weight], x.dims, { ...attributes, stash_type: 1 });
    }
    const square = this.#node("Mul", [wide, wide], x.dims);
    const mean = this.#node("ReduceMean", [square], [...x.dims.slice(0, -1), 1], { axes: [-1] });
    const root = this.#node("Sqrt", [this.#node("Add", [mean, this.#graph.float(eps)], mean.dims)], mean.dims);
    return this.#node("Mul", [this.#node("Div", [wide, root], x.dims), weight], x.dims);
  }

  // NOTE: SkipLayerNormalization does both at once, and is slower than the two.
  addNorm(x: Value, y: Value, norm: Norm<Value>): [Value, Value] {
    const sum = this.add(x, y);
    return [sum, this.norm(sum, norm)];
  }

  gatedUnit(x: Value, gate: "first" | "last", activation: "silu" | "gelu" = "silu"): Value {
    const halves = this.#halves(x);
    const [gated, other] = gate === "first" ? halves : [halves[1], halves[0]];
    const { dims } = gated;
    const active = activation === "gelu" ? this.gelu(gated) : this.silu(gated);
    return this.#node("Mul", [active, this.#float(other)], dims);
  }

  silu(x: Value): Value {
    const wide = this.#float(x);
    if (!this.#options.contrib) return this.#node("Mul", [wide, this.#node("Sigmoid", [wide], x.dims)], x.dims);
    return this.#graph.node("QuickGelu", [wide], x.dims, { domain: MICROSOFT, attributes: { alpha: { float: 1 } } });
  }

  gelu(x: Value): Value {
    const wide = this.#float(x);
    if (this.#options.contrib) return this.#graph.node("Gelu", [wide], x.dims, { domain: MICROSOFT });
    const part = this.#node("Erf", [this.multiply(wide, Math.SQRT1_2)], x.dims);
    return this.multiply(
      this.#node("Mul", [wide, this.#node("Add", [part, this.#graph.float(1)], x.dims)], x.dims),
      0.5,
    );
  }

  tanh(x: Value): Value {
    return this.#node("Tanh", [this.#float(x)], x.dims);
  }

  abs(x: Value): Value {
    return this.#node("Abs", [this.#float(x)], x.dims);
  }

  add(x: Value, y: Value): Value {
    return this.#node("Add", [this.#float(x), this.#float(y)], broadcast(x, y));
  }

  multiply(x: Value, factor: Value | number): Value {
    if (isWeight(x) && (typeof factor === "number" || isWeight(factor))) return foldedProduct(x, factor);
    if (typeof factor === "number") return this.#node("Mul", [this.#float(x), this.#graph.float(factor)], x.dims);
    return this.#node("Mul", [this.#float(x), this.#float(factor)], broadcast(x, factor));
  }

  l2Normalize(x: Value): Value {
    const wide = this.#float(x);
    const norm = this.#node("ReduceL2", [wide], [...x.dims.slice(0, -1), 1], { axes: [-1] });
    return this.#node("Div", [wide, this.#node("Max", [norm, this.#graph.float(1e-12)], norm.dims)], x.dims);
  }

  dropout(x: Value): Value {
    return x;
  }

  splitHeads(x: Value, heads: number): Value {
    const D = (x.dims.at(-1) as number) / heads;
    const leading = x.dims.slice(0, -1);
    if (isWeight(x)) return foldedReshape(x, [...(leading as number[]), heads, D]);
    // A size of 0 keeps the one that is there.
    return this.#node("Reshape", [x, this.#graph.ints([...leading.map(() => 0), heads, D])], [...leading, heads, D]);
  }

  splitQkv(projection: QkvProjection<Value>, options: SplitOptions<Value>): Qkv<Value> {
    const { heads, kvHeads = heads, rotary } = options;
    const { q, k, v } = this.#separate(projection, heads, kvHeads);
    const turn = (x: Value, heads: number) => (rotary ? this.#rotate(x, heads, rotary) : this.splitHeads(x, heads));
    return { q: turn(q, heads), k: turn(k, kvHeads), v: this.splitHeads(v, kvHeads) };
  }

  attention({ q, k, v }: Qkv<Value>, batch: OnnxBatch, scale: number, window?: number): Value {
    const { dtype } = v;
    const [heads, kvHeads] = [q.dims.at(-2) as number, k.dims.at(-2) as number];
    const rows = (x: Value) => this.#flat(this.#graph.cast(x, dtype));
    const options = { heads, kvHeads, scale, ...(window !== undefined && { window }) };
    return attention(this.#graph, batch, { q: rows(q), k: rows(k), v: rows(v) }, options);
  }

  gatherRows(x: Value, rows: RowChoice<Value>, batch: OnnxBatch): Value {
    if (rows === "first") return firstRows(this.#graph, batch, x);
    return this.#node("Gather", [x, rows], [...rows.dims, x.dims.at(-1)!]);
  }

  pool(x: Value, batch: OnnxBatch, how: "cls" | "mean"): Value {
    return how === "cls" ? this.gatherRows(x, "first", batch) : meanRows(this.#graph, batch, this.#float(x));
  }

  linearCrossEntropy(x: Value, weight: Value, bias: Value | undefined, labels: Value): Value {
    const logits = this.#float(this.linear(x, weight, bias));
    return this.#node("SoftmaxCrossEntropyLoss", [logits, labels], [], { reduction: "sum" });
  }

  block(fn: (...state: Value[]) => Value[], ...state: Value[]): Value[] {
    return fn(...state);
  }

  #node(op: string, inputs: (Value | undefined)[], dims: readonly Dim[], attributes = {}): Value {
    return this.#graph.node(op, inputs, dims, { attributes });
  }

  #float(x: Value): Value {
    return this.#graph.cast(x, "float32");
  }

  #half(x: Value): Value {
    return this.#options.dtype === "fp16" ? this.#graph.cast(x, "float16") : this.#float(x);
  }

  #quantized(x: Value, weight: Value, bias: Value | undefined): Value {
    const { contrib, bits = 8 } = this.#options;
    return quantizedLinear(this.#graph, this.#float(x), weight, bias, { contrib, bits });
  }

  #isQuantized({ name, dims }: Value): boolean {
    const whole = name.replace(PART, "");
    return (dims[0] as number) >= FEWEST_COLUMNS && !this.#options.keepFloat?.includes(whole);
  }

  #errorOf(got: Value, expected: Value): Value {
    const square = (x: Value) => this.#node("ReduceSumSquare", [x], [], { keepdims: 0 });
    const difference = square(this.#node("Sub", [got, expected], expected.dims));
    return this.#node("Sqrt", [this.#node("Div", [difference, square(expected)], [])], []);
  }

  /** A weight in the type in which it is stored. */
  #stored(weight: Value): Value {
    const { name, dims, weight: values } = weight;
    if (this.#options.dtype !== "fp16" || !values) return weight;
    return this.#graph.constant(`${name}.fp16`, "float16", dims as number[], () => toFloat16(values()));
  }

  #flat(x: Value): Value {
    const C = (x.dims.at(-1) as number) * (x.dims.at(-2) as number);
    return this.#node("Reshape", [x, this.#graph.ints([0, C])], [x.dims[0]!, C]);
  }

  /** q [N, H * D], k and v [N, K * D] each. */
  #separate(projection: QkvProjection<Value>, heads: number, kvHeads: number): Qkv<Value> {
    if (projection.layout === "separate") return projection;
    const { layout, qkv } = projection;
    const [N, width] = qkv.dims as [Dim, number];
    const D = width / (heads + 2 * kvHeads);
    const widths = [heads * D, kvHeads * D, kvHeads * D];
    if (this.#options.contrib && qkv.linear) {
      // Row of the weight that makes column `column` of the part.
      const row = (part: number) => (column: number) =>
        layout === "blocks"
          ? sum(widths.slice(0, part)) + column
          : Math.floor(column / D) * 3 * D + part * D + (column % D);
      const [q, k, v] = ["q", "k", "v"].map((name, part) => this.#partOf(qkv, name, widths[part]!, row(part)));
      return { q: q!, k: k!, v: v! };
    }
    const wide = layout === "blocks" ? qkv : this.splitHeads(qkv, heads);
    const sizes = layout === "blocks" ? widths : [D, D, D];
    const parts = this.#graph.nodeOf(
      "Split",
      [wide, this.#graph.ints(sizes)],
      sizes.map((size) => (layout === "blocks" ? [N, size] : [N, heads, size])),
      { attributes: { axis: -1 } },
    );
    const [q, k, v] = layout === "blocks" ? parts : parts.map((x) => this.#flat(x));
    return { q: q!, k: k!, v: v! };
  }

  #halves(x: Value): [Value, Value] {
    const I = (x.dims.at(-1) as number) / 2;
    if (this.#options.contrib && x.linear) {
      return [this.#partOf(x, "0", I, (column) => column), this.#partOf(x, "1", I, (column) => I + column)];
    }
    const dims = [...x.dims.slice(0, -1), I];
    return this.#graph.nodeOf("Split", [x, this.#graph.ints([I, I])], [dims, dims], {
      attributes: { axis: -1 },
    }) as [Value, Value];
  }

  /** Some columns of what a linear layer made, by a layer with those rows of its weight: a product needs no splitting. */
  #partOf({ linear }: Value, part: string, columns: number, row: (column: number) => number): Value {
    const { x, weight, bias } = linear!;
    const rows = (of: Value): Value => {
      const [, ...rest] = of.dims as number[];
      const width = rest[0] ?? 1;
      const values = () => {
        const all = of.weight!();
        const some = new Float32Array(columns * width);
        for (let i = 0; i < columns; i++) some.set(all.subarray(row(i) * width, (row(i) + 1) * width), i * width);
        return some;
      };
      return { name: `${of.name}#${part}`, dtype: "float32", dims: [columns, ...rest], weight: values };
    };
    return this.linear(x, rows(weight), bias && rows(bias));
  }

  /** x [N, C] rotated by its positions' angles: [N, H, D]. */
  #rotate(x: Value, heads: number, { cos, sin, pairing }: NonNullable<SplitOptions<Value>["rotary"]>): Value {
    const [N, C] = x.dims as [Dim, number];
    const D = C / heads;
    const graph = this.#graph;
    if (this.#options.contrib) {
      const one = this.#node("Unsqueeze", [this.#float(x), graph.ints([0])], [1, N, C]);
      const start = graph.ints([0]);
      const attributes = { interleaved: pairing === "adjacent" ? 1 : 0, num_heads: heads };
      const turned = graph.node("RotaryEmbedding", [one, start, cos, sin], one.dims, { domain: MICROSOFT, attributes });
      return this.#node("Reshape", [turned, graph.ints([-1, heads, D])], [N, heads, D]);
    }
    // [N, H, D/2, 2] or [N, H, 2, D/2]: the pairs' components along one axis.
    const axis = pairing === "adjacent" ? -1 : -2;
    const sizes = pairing === "adjacent" ? [D / 2, 2] : [2, D / 2];
    const component = pairing === "adjacent" ? [D / 2, 1] : [1, D / 2];
    const view = this.#node("Reshape", [this.#float(x), graph.ints([0, heads, ...sizes])], [N, heads, ...sizes]);
    const dims = [N, heads, ...component];
    const [a, b] = graph.nodeOf("Split", [view, graph.ints([1, 1])], [dims, dims], { attributes: { axis } });
    const angle = (value: Value) =>
      this.#node("Unsqueeze", [value, graph.ints(pairing === "adjacent" ? [1, 3] : [1, 2])], [N, 1, ...component]);
    const times = (value: Value | undefined, by: Value) => this.#node("Mul", [value, angle(by)], dims);
    const first = this.#node("Sub", [times(a, cos), times(b, sin)], dims);
    const second = this.#node("Add", [times(a, sin), times(b, cos)], dims);
    const pairs = this.#node("Concat", [first, second], [N, heads, ...sizes], { axis });
    return this.#node("Reshape", [pairs, graph.ints([0, heads, D])], [N, heads, D]);
  }
}

const sum = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0);

function broadcast(x: Value, y: Value): readonly Dim[] {
  return x.dims.length >= y.dims.length ? x.dims : y.dims;
}
