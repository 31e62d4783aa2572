// Free functions over several tensors: joining, layers, losses, attention, gradients (torch.nn.functional and friends).
//   https://pytorch.org/docs/stable/nn.functional.html

import { arange, empty } from "./creation.js";
import { native, type Reduction } from "./native.js";
import type { Generator } from "./random.js";
import { Tensor } from "./tensor.js";

const handles = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.handle);

export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(native.cat(handles(tensors), dim));
}

export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return new Tensor(native.stack(handles(tensors), dim));
}

export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return new Tensor(native.where(condition.handle, a.handle, b.handle));
}

/** The matrix product, batched over leading dimensions; with `out` it is written there, without gradients, and returned. */
export function matmul(a: Tensor, b: Tensor, { out }: { out?: Tensor } = {}): Tensor {
  if (!out) return a.matmul(b);
  native.matmulOut(a.handle, b.handle, out.handle);
  return out;
}

/** x weightT + bias: [..., C] with weight [O, C] and bias [O] gives [..., O]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return new Tensor(native.linear(x.handle, weight.handle, bias?.handle));
}

/** The rows of `weight` [V, C] named by integer `indices` [...]: [..., C]. */
export function embedding(indices: Tensor, weight: Tensor): Tensor {
  return new Tensor(native.embedding(weight.handle, indices.handle));
}

/** (x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, those of `normalizedShape`. */
export function layerNorm(
  x: Tensor,
  normalizedShape: number[],
  weight?: Tensor,
  bias?: Tensor,
  options: { eps?: number } = {},
): Tensor {
  return new Tensor(native.layerNorm(x.handle, normalizedShape, weight?.handle, bias?.handle, options.eps ?? 1e-5));
}

/** x / sqrt(mean(x^2) + eps) * weight over the last dimensions, those of `normalizedShape`. */
export function rmsNorm(x: Tensor, normalizedShape: number[], weight?: Tensor, options: { eps?: number } = {}): Tensor {
  return new Tensor(native.rmsNorm(x.handle, normalizedShape, weight?.handle, options.eps ?? 1e-6));
}

export interface LossOptions {
  /** mean unless said otherwise. */
  reduction?: Reduction;
}

/** Cross entropy of logits [N, V] against int64 classes [N]; targets equal to `ignoreIndex` (-100) do not count. */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  options: LossOptions & { ignoreIndex?: number; labelSmoothing?: number } = {},
): Tensor {
  const { reduction = "mean", ignoreIndex = -100, labelSmoothing = 0 } = options;
  return new Tensor(native.crossEntropy(logits.handle, target.handle, reduction, ignoreIndex, labelSmoothing));
}

export function binaryCrossEntropyWithLogits(logits: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return new Tensor(native.binaryCrossEntropyWithLogits(logits.handle, target.handle, options.reduction ?? "mean"));
}

export function mseLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return new Tensor(native.mseLoss(x.handle, target.handle, options.reduction ?? "mean"));
}

/** softmax(q kT * scale + mask) v over [B, H, T, D]; a bool mask says what may be attended to. `scale` is 1 / sqrt(D). */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { mask?: Tensor; scale?: number } = {},
): Tensor {
  return new Tensor(
    native.scaledDotProductAttention(q.handle, k.handle, v.handle, options.mask?.handle, options.scale),
  );
}

/**
 * Attention within each sequence of a packed batch: q, k, v [N, H, D] and borders `cuSeqlens` [B + 1] from 0 to N give
 * [N, H, D]. Memory grows with N, not with a sequence's length squared. `scale` is 1 / sqrt(D) unless given; with a
 * `window` a query sees the keys at a distance up to it, on both sides. `dropout` of the probabilities takes composed
 * ops, whose memory grows with a sequence's length squared.
 */
export function packedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cuSeqlens: ArrayLike<number>,
  options: { scale?: number; window?: number; dropout?: { p: number; generator: Generator } } = {},
): Tensor {
  const { scale = 1 / Math.sqrt(q.shape.at(-1)!), window, dropout: dropped } = options;
  if (dropped && dropped.p !== 0) return attentionWithDropout(q, k, v, cuSeqlens, scale, window, dropped);
  return new Tensor(native.packedAttention(q.handle, k.handle, v.handle, Array.from(cuSeqlens), scale, window));
}

// Drawing inside the flash kernels would need a generator that forward and backward, and every split of the work, agree on.
function attentionWithDropout(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cuSeqlens: ArrayLike<number>,
  scale: number,
  window: number | undefined,
  { p, generator }: { p: number; generator: Generator },
): Tensor {
  if (p < 0 || p >= 1) throw new RangeError(`packedAttention: expected a dropout in [0, 1), got ${p}`);
  const outputs: Tensor[] = [];
  for (let i = 0; i + 1 < cuSeqlens.length; i++) {
    const [start, length] = [cuSeqlens[i]!, cuSeqlens[i + 1]! - cuSeqlens[i]!];
    const rows = (x: Tensor) => widened(x.narrow(0, start, length)).transpose(0, 1); // [T, H, D] -> [H, T, D]
    let scores = rows(q).mul(scale).matmul(rows(k).transpose(1, 2)); // [H, T, T]
    if (window !== undefined && window < length - 1) {
      const positions = arange(0, length, 1, { device: q.device });
      const distances = positions.unsqueeze(0).sub(positions.unsqueeze(1)).abs();
      scores = scores.maskedFill(distances.gt(window), Number.NEGATIVE_INFINITY);
    }
    // As dropout() does it, but that the small product is scaled, not the probabilities.
    const kept = empty(scores.shape, { dtype: scores.dtype, device: q.device }).bernoulli_(1 - p, generator);
    const output = scores
      .softmax(-1)
      .mul(kept)
      .matmul(rows(v))
      .div(1 - p);
    outputs.push(output.transpose(0, 1)); // [H, T, D] -> [T, H, D]
  }
  return cat(outputs, 0).to(v.dtype);
}

const widened = (x: Tensor) => (x.dtype === "bfloat16" ? x.to("float32") : x);

/** Zeroes each value with probability `p` and scales the rest by 1 / (1 - p). Draws from `generator`. */
export function dropout(x: Tensor, p: number, generator: Generator): Tensor {
  if (p < 0 || p >= 1) throw new RangeError(`dropout: expected a probability in [0, 1), got ${p}`);
  if (p === 0) return x;
  const kept = empty(x.shape, { dtype: x.dtype, device: x.device }).bernoulli_(1 - p, generator);
  return x.mul(kept).div(1 - p);
}

/** d(outputs)/d(inputs), without touching any `grad`; undefined for an input the outputs do not depend on. */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs?: readonly Tensor[],
): (Tensor | undefined)[] {
  return native
    .gradients(handles(outputs), handles(inputs), gradOutputs && handles(gradOutputs))
    .map((handle) => (handle === undefined ? undefined : new Tensor(handle)));
}
