// Linear layers with packed weights, for inference (native/prepacked.cc), without gradients. A weight is packed once, in float32,
// bfloat16 or int8, and multiplied without another pass over memory for the activation before it or the addition and norm after it. A row's
// result does not depend on the rows beside it. In int8 each row of the input has bytes with a scale and a minimum of its own, each channel
// of the weight one scale, and products are exact whole numbers.

import type { NormOptions } from "./fused-options.js";
import { type DType, type Handle, native } from "./native.js";
import { instructionSet } from "./runtime.js";
import { Tensor } from "./tensor.js";

/** The type that a weight is packed in, and its input for the product. */
export type PackedType = "float32" | "bfloat16" | "int8";

/** What a packed weight [O, I] consists of. */
export interface PackedParts {
  /** Channels of the result. */
  channels: number;
  /** [ceil(O / 16), ceil(I / n), 16, n] with n values in four bytes; of int8 the bits in a uint8 tensor. */
  packed: Tensor;
  /** int8: float32 [O]. */
  scales?: Tensor;
  /** int8: float32 [O], what a row of ones gives. */
  sums?: Tensor;
  /** int8: float32 [I], factors of the input's channels, which the weight was divided by. */
  smoothing?: Tensor;
}

/** Whether this processor multiplies in a type without emulating it: bfloat16 needs AVX512_BF16. */
export function canPack(type: PackedType): boolean {
  return type !== "bfloat16" || instructionSet() === "avx512bf16";
}

/** A weight [O, I] that is packed for products. */
export class PrepackedWeight {
  readonly parts: Readonly<PackedParts>;

  constructor(parts: PackedParts) {
    this.parts = parts;
  }

  /** Of a float32 weight [O, I]. In int8 a channel that holds NaN or infinity gives NaN. */
  static pack(weight: Tensor, type: PackedType, smoothing?: Tensor): PrepackedWeight {
    const dtype = type === "int8" ? "uint8" : type;
    const [packed, scales, sums] = native
      .prepack(weight.handle, dtype, smoothing?.handle)
      .map((handle) => new Tensor(handle));
    const channels = weight.shape[0]!;
    return new PrepackedWeight({
      channels,
      packed: packed!,
      ...(scales && sums && { scales, sums }),
      ...(smoothing && { smoothing }),
    });
  }

  get type(): PackedType {
    const { dtype } = this.parts.packed;
    return dtype === "uint8" ? "int8" : (dtype as PackedType);
  }

  /** Its tensors, but for the smoothing, which may be shared. */
  get tensors(): Tensor[] {
    const { packed, scales, sums } = this.parts;
    return [packed, ...(scales && sums ? [scales, sums] : [])];
  }
}

/** What a layer's input goes through before it is multiplied: an activation, gated (of one half, times the other) or not. */
export interface LayerInput {
  activation: "none" | "gelu" | "silu";
  gate: "none" | "first" | "last";
}

export interface PrepackedLayer {
  weight: PrepackedWeight;
  /** float32 [O] */
  bias?: Tensor | undefined;
  input: LayerInput;
}

type Product = Pick<PrepackedLayer, "weight" | "bias">;

const partsOf = ({ weight, bias }: Product): (Handle | undefined)[] => {
  const { packed, scales, sums, smoothing } = weight.parts;
  return [packed.handle, bias?.handle, scales?.handle, sums?.handle, smoothing?.handle];
};
const channelsOf = ({ weight }: Product) => weight.parts.channels;

/**
 * Several layers of one type on the same x [.., I] (float32 or bfloat16), which is stored once, by the first one's smoothing:
 * [.., O] each, of `dtype`.
 */
export function prepackedLinears(
  x: Tensor,
  layers: readonly Product[],
  { activation, gate }: LayerInput,
  dtype: DType,
): Tensor[] {
  return native
    .prepackedLinears(x.handle, layers.map(partsOf), layers.map(channelsOf), activation, gate, dtype)
    .map((handle) => new Tensor(handle));
}

const chained = (layers: readonly PrepackedLayer[]) =>
  [
    layers.map(partsOf),
    layers.map(channelsOf),
    layers.map(({ input }) => input.activation),
    layers.map(({ input }) => input.gate),
  ] as const;

/** x [.., I] (float32 or bfloat16) through one layer after another: float32 [.., O]. What lies between them is never whole in memory. */
export function prepackedChain(x: Tensor, layers: readonly PrepackedLayer[]): Tensor {
  return new Tensor(native.prepackedChain(x.handle, ...chained(layers)));
}

/** The same added to `residual` (float32 [.., O]), and the sum's norm. */
export function prepackedChainAddNorm(
  residual: Tensor,
  x: Tensor,
  layers: readonly PrepackedLayer[],
  { kind, weight, bias, eps }: NormOptions,
): [sum: Tensor, normed: Tensor] {
  const norm = [weight.handle, bias?.handle, kind === "layer", eps] as const;
  const both = native.prepackedChainAddNorm(residual.handle, x.handle, ...chained(layers), ...norm);
  return [new Tensor(both[0]), new Tensor(both[1])];
}
