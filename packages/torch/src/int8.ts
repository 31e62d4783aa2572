// Linear layers in int8 for inference (native/int8.cc): each row of the input is stored in bytes with a scale and a minimum of its
// own, each channel of the weight with one scale, so that a row's result does not depend on the rows beside it. Products are
// exact whole numbers; results are float32 or bfloat16, without gradients.

import type { NormOptions } from "./fused-options.js";
import { type DType, type Handle, native } from "./native.js";
import { Tensor } from "./tensor.js";

/** What an int8 weight is stored as. */
export interface Int8Parts {
  /** uint8 [ceil(O / 16), ceil(I / 4), 16, 4]: the bits of signed bytes. */
  packed: Tensor;
  /** float32 [O] */
  scales: Tensor;
  /** float32 [O]: what a row of ones gives. */
  sums: Tensor;
  /** float32 [I]: factors of the input's channels, which the weight was divided by. */
  smoothing?: Tensor;
}

/** A weight [O, I] in int8. */
export class Int8Weight {
  readonly parts: Readonly<Int8Parts>;

  constructor(parts: Int8Parts) {
    this.parts = parts;
  }

  /** Of a float32 weight [O, I]. A channel that holds NaN or infinity gives NaN. */
  static pack(weight: Tensor, smoothing?: Tensor): Int8Weight {
    const [packed, scales, sums] = native
      .int8Pack(weight.handle, smoothing?.handle)
      .map((handle) => new Tensor(handle)) as [Tensor, Tensor, Tensor];
    return new Int8Weight({ packed, scales, sums, ...(smoothing && { smoothing }) });
  }
}

/** What a layer's input goes through before it is multiplied: an activation, gated (of one half, times the other) or not. */
export interface Int8Input {
  activation: "none" | "gelu" | "silu";
  gate: "none" | "first" | "last";
}

export interface Int8Layer {
  weight: Int8Weight;
  /** float32 [O] */
  bias?: Tensor | undefined;
  input: Int8Input;
}

const partsOf = ({ weight, bias }: Pick<Int8Layer, "weight" | "bias">): (Handle | undefined)[] => {
  const { smoothing, packed, scales, sums } = weight.parts;
  return [smoothing, packed, scales, sums, bias].map((tensor) => tensor?.handle);
};

/**
 * Several layers on the same x [.., I] (float32 or bfloat16), which is stored in bytes once, by the first one's smoothing:
 * [.., O] each, of `dtype`.
 */
export function int8Linears(
  x: Tensor,
  layers: readonly Pick<Int8Layer, "weight" | "bias">[],
  { activation, gate }: Int8Input,
  dtype: DType,
): Tensor[] {
  return native.int8Linears(x.handle, layers.map(partsOf), activation, gate, dtype).map((handle) => new Tensor(handle));
}

const chained = (layers: readonly Int8Layer[]) =>
  [layers.map(partsOf), layers.map(({ input }) => input.activation), layers.map(({ input }) => input.gate)] as const;

/** x [.., I] (float32 or bfloat16) through one layer after another: float32 [.., O]. What lies between them is never whole in memory. */
export function int8Chain(x: Tensor, layers: readonly Int8Layer[]): Tensor {
  return new Tensor(native.int8Chain(x.handle, ...chained(layers)));
}

/** The same added to `residual` (float32 [.., O]), and the sum's norm. */
export function int8ChainAddNorm(
  residual: Tensor,
  x: Tensor,
  layers: readonly Int8Layer[],
  { kind, weight, bias, eps }: NormOptions,
): [sum: Tensor, normed: Tensor] {
  const norm = [weight.handle, bias?.handle, kind === "layer", eps] as const;
  const both = native.int8ChainAddNorm(residual.handle, x.handle, ...chained(layers), ...norm);
  return [new Tensor(both[0]), new Tensor(both[1])];
}
