// The encoders' vocabulary on libtorch with packed weights, for inference. A linear layer with a packed weight is not computed where it
// stands but by what reads it, so that a feed-forward with the addition and the norm after it is one kernel, and query, key and value
// are of one reading. Whatever has no such kernel is computed by `TorchOps`.

import {
  canPack,
  type LayerInput,
  type PrepackedLayer,
  PrepackedWeight,
  prepackedChain,
  prepackedChainAddNorm,
  prepackedLinears,
  type Tensor,
} from "@neobert/torch";
import type { Norm, Ops, Qkv, QkvProjection, RotaryAngles, RotaryScaling, RowChoice, SplitOptions } from "../ops.js";
import { type TorchBatch, TorchOps } from "./torch-ops.js";

const PLAIN: LayerInput = { activation: "none", gate: "none" };

/** Linear layers that wait for their reader, and the activation between the last of them and the next, if any. */
class Pending {
  readonly x: Tensor;
  readonly layers: readonly PrepackedLayer[];
  readonly next: LayerInput;
  #result: Tensor | undefined;

  constructor(x: Tensor, layers: readonly PrepackedLayer[], next: LayerInput = PLAIN) {
    this.x = x;
    this.layers = layers;
    this.next = next;
  }

  /** Before an activation. */
  get isLinear(): boolean {
    return this.next === PLAIN;
  }

  compute(ops: TorchOps): Tensor {
    this.#result ??= this.#compute(ops);
    return this.#result;
  }

  #compute(ops: TorchOps): Tensor {
    const { x, layers, next } = this;
    const y =
      layers.length > 1 ? prepackedChain(x, layers) : prepackedLinears(x, layers, layers[0]!.input, "float32")[0]!;
    const { activation, gate } = next;
    if (activation === "none") return y;
    return gate === "none" ? ops[activation](y) : ops.gatedUnit(y, gate, activation);
  }
}

/** A tensor, a packed weight, or what will be a tensor. */
export type InferenceValue = Tensor | PrepackedWeight | Pending;
type Value = InferenceValue;

/** One forward pass, without gradients. */
export class InferenceOps implements Ops<Value> {
  readonly #ops = new TorchOps();

  /** The value as a tensor. */
  tensor(value: Value): Tensor {
    if (value instanceof Pending) return value.compute(this.#ops);
    if (value instanceof PrepackedWeight) throw new Error("internal: expected a tensor, got a packed weight");
    return value;
  }

  linear(x: Value, weight: Value, bias?: Value): Value {
    const shift = bias && this.tensor(bias);
    if (!(weight instanceof PrepackedWeight)) return this.#ops.linear(this.tensor(x), this.tensor(weight), shift);
    if (x instanceof Pending && !x.isLinear) {
      return new Pending(x.x, [...x.layers, { weight, bias: shift, input: x.next }]);
    }
    return new Pending(this.tensor(x), [{ weight, bias: shift, input: PLAIN }]);
  }

  gelu(x: Value): Value {
    return this.#activation(x, "gelu", "none") ?? this.#ops.gelu(this.tensor(x));
  }

  silu(x: Value): Value {
    return this.#activation(x, "silu", "none") ?? this.#ops.silu(this.tensor(x));
  }

  gatedUnit(x: Value, gate: "first" | "last", activation: "silu" | "gelu" = "silu"): Value {
    return this.#activation(x, activation, gate) ?? this.#ops.gatedUnit(this.tensor(x), gate, activation);
  }

  #activation(x: Value, activation: "gelu" | "silu", gate: LayerInput["gate"]): Pending | undefined {
    return x instanceof Pending && x.isLinear ? new Pending(x.x, x.layers, { activation, gate }) : undefined;
  }

  addNorm(x: Value, y: Value, norm: Norm<Value>): [Value, Value] {
    const own = this.#norm(norm);
    if (y instanceof Pending && y.isLinear) return prepackedChainAddNorm(this.tensor(x), y.x, y.layers, own);
    return this.#ops.addNorm(this.tensor(x), this.tensor(y), own);
  }

  norm(x: Value, norm: Norm<Value>): Value {
    return this.#ops.norm(this.tensor(x), this.#norm(norm));
  }

  #norm({ weight, bias, ...rest }: Norm<Value>): Norm<Tensor> {
    return { ...rest, weight: this.tensor(weight), ...(bias && { bias: this.tensor(bias) }) };
  }

  splitQkv(projection: QkvProjection<Value>, { rotary, ...options }: SplitOptions<Value>): Qkv<Value> {
    const angles = rotary && { rotary: { ...rotary, ...this.#angles(rotary) } };
    return this.#ops.splitQkv(this.#projected(projection), { ...options, ...angles });
  }

  /** The projection in attention's type; separate layers on one input at once. */
  #projected(projection: QkvProjection<Value>): QkvProjection<Tensor> {
    const compute = (...values: Value[]): Tensor[] => {
      const [first, ...others] = values;
      const isSingle = (value: Value): value is Pending =>
        value instanceof Pending && value.isLinear && value.layers.length === 1;
      if (!values.every(isSingle)) return values.map((value) => this.tensor(value));
      const { x, layers } = first as Pending;
      const { type, parts } = layers[0]!.weight;
      const together = others.every((value) => {
        const { x: ownX, layers } = value as Pending;
        const { weight } = layers[0]!;
        return ownX === x && weight.type === type && weight.parts.smoothing === parts.smoothing;
      });
      if (!together) return values.flatMap((value) => compute(value));
      const all = values.map((value) => (value as Pending).layers[0]!);
      // Attention in bfloat16 where the processor has it, but not in a float32 model.
      const dtype = type !== "float32" && canPack("bfloat16") ? "bfloat16" : "float32";
      return prepackedLinears(x, all, layers[0]!.input, dtype);
    };
    if (projection.layout !== "separate") {
      return { layout: projection.layout, qkv: compute(projection.qkv)[0]! };
    }
    const [q, k, v] = compute(projection.q, projection.k, projection.v) as [Tensor, Tensor, Tensor];
    return { layout: "separate", q, k, v };
  }

  attention({ q, k, v }: Qkv<Value>, batch: TorchBatch, scale: number, window?: number): Value {
    const qkv = { q: this.tensor(q), k: this.tensor(k), v: this.tensor(v) };
    return this.#ops.attention(qkv, batch, scale, window);
  }

  /** No dropout: this is inference. */
  dropout(x: Value): Value {
    return x;
  }

  block(fn: (...state: Value[]) => Value[], ...state: Value[]): Value[] {
    const compute = (values: Value[]) => values.map((value) => this.tensor(value));
    return this.#ops.block((...inner) => compute(fn(...inner)), ...compute(state));
  }

  embedding(weight: Value, indices: Value): Value {
    return this.#ops.embedding(this.tensor(weight), this.tensor(indices));
  }

  positions(batch: TorchBatch, first: number): Value {
    return this.#ops.positions(batch, first);
  }

  tokenTypes(batch: TorchBatch): Value {
    return this.#ops.tokenTypes(batch);
  }

  rotaryAngles(positions: Value, headWidth: number, theta: number): RotaryAngles<Value> {
    return this.#ops.rotaryAngles(this.tensor(positions), headWidth, theta);
  }

  scaledRotaryAngles(batch: TorchBatch, headWidth: number, theta: number, scaling: RotaryScaling): RotaryAngles<Value> {
    return this.#ops.scaledRotaryAngles(batch, headWidth, theta, scaling);
  }

  #angles({ cos, sin }: RotaryAngles<Value>): RotaryAngles<Tensor> {
    return { cos: this.tensor(cos), sin: this.tensor(sin) };
  }

  tanh(x: Value): Value {
    return this.#ops.tanh(this.tensor(x));
  }

  abs(x: Value): Value {
    return this.#ops.abs(this.tensor(x));
  }

  add(x: Value, y: Value): Value {
    return this.#ops.add(this.tensor(x), this.tensor(y));
  }

  multiply(x: Value, factor: Value | number): Value {
    return this.#ops.multiply(this.tensor(x), typeof factor === "number" ? factor : this.tensor(factor));
  }

  l2Normalize(x: Value): Value {
    return this.#ops.l2Normalize(this.tensor(x));
  }

  splitHeads(x: Value, heads: number): Value {
    return this.#ops.splitHeads(this.tensor(x), heads);
  }

  gatherRows(x: Value, rows: RowChoice<Value>, batch: TorchBatch): Value {
    return this.#ops.gatherRows(this.tensor(x), rows === "first" ? rows : this.tensor(rows), batch);
  }

  pool(x: Value, batch: TorchBatch, how: "cls" | "mean"): Value {
    return this.#ops.pool(this.tensor(x), batch, how);
  }

  linearCrossEntropy(x: Value, weight: Value, bias: Value | undefined, labels: Value): Value {
    const shift = bias && this.tensor(bias);
    return this.#ops.linearCrossEntropy(this.tensor(x), this.tensor(weight), shift, this.tensor(labels));
  }
}
