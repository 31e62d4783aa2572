// Free functions over several tensors: joining, layers, losses, attention, gradients (torch.nn.functional and friends).
//   https://pytorch.org/docs/stable/nn.functional.html

import { empty, fromTypedArray } from "./creation.js";
import { type Device, native, type Reduction } from "./native.js";
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

/** Eigenvalues [.., N] of symmetric matrices [.., N, N], ascending, and their eigenvectors, the columns of [.., N, N]. */
export function linalgEigh(x: Tensor): { eigenvalues: Tensor; eigenvectors: Tensor } {
  const [eigenvalues, eigenvectors] = native.linalgEigh(x.handle);
  return { eigenvalues: new Tensor(eigenvalues), eigenvectors: new Tensor(eigenvectors) };
}

/** Matrices [.., M, N] as products of orthonormal columns q [.., M, K] and a triangle r [.., K, N], K = min(M, N). */
export function linalgQr(x: Tensor): { q: Tensor; r: Tensor } {
  const [q, r] = native.linalgQr(x.handle);
  return { q: new Tensor(q), r: new Tensor(r) };
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
 * Attention within each sequence of a packed batch: q [N, H, D], k and v [N, K, D] and borders `cuSeqlens` [B + 1] from 0
 * to N give [N, H, D]; query head h reads head h / (H / K) of k and v, rounded down. Memory grows with N, not with a sequence's length squared. `scale` is 1 / sqrt(D) unless given; with a
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
  const borders = Array.from(cuSeqlens);
  if (dropped && dropped.p !== 0 && q.numel > 0) {
    native.checkPackedAttention(q.handle, k.handle, v.handle, borders, window);
    return attentionWithDropout(q, k, v, borders, scale, window, dropped);
  }
  return new Tensor(native.packedAttention(q.handle, k.handle, v.handle, borders, scale, window));
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
  const [N, H, D] = q.dims(3);
  const K = k.shape[1]!;
  const { groups, rows, places } = groupByLength(cuSeqlens, N);
  const { device } = q;
  const padded = [q, k, v].map((x) =>
    widened(x)
      .indexSelect(0, fromTypedArray(rows, { device }))
      .split(groups.map(({ lengths, T }) => lengths.length * T)),
  ) as [Tensor[], Tensor[], Tensor[]];
  const outputs = groups.map(({ lengths, T }, group) => {
    const B = lengths.length;
    const heads = (x: Tensor) => x.view(B, T, x.shape[1]!, D).transpose(1, 2); // [B * T, H, D] -> [B, H, T, D]
    const [qs, ks, vs] = padded.map((parts) => heads(parts[group]!)) as [Tensor, Tensor, Tensor];
    // The query heads that read one head of keys stand as its rows: [B, H, T, ..] as [B, K, H / K * T, ..].
    const grouped = (x: Tensor) => x.reshape(B, K, (H / K) * T, x.shape[3]!);
    const scores = grouped(qs.mul(scale))
      .matmul(ks.transpose(2, 3))
      .view(B, H, T, T)
      .add(keyBias(lengths, T, window, device));
    // As dropout() does it, but that the small product is scaled, not the probabilities.
    const kept = empty(scores.shape, { dtype: scores.dtype, device }).bernoulli_(1 - p, generator);
    return grouped(scores.softmax(-1).mul(kept))
      .matmul(vs)
      .div(1 - p)
      .view(B, H, T, D)
      .transpose(1, 2)
      .reshape(B * T, H, D);
  });
  return cat(outputs, 0).indexSelect(0, fromTypedArray(places, { device })).to(v.dtype);
}

const LENGTH_STEP = 8;

/**
 * Sequences of near-equal length side by side: each group's own lengths and the length `T` they are padded to; the packed
 * row at each padded place (padding takes a row of its sequence) and the padded place of each packed row [N].
 */
function groupByLength(cuSeqlens: ArrayLike<number>, N: number) {
  const byLength = new Map<number, { start: number; length: number }[]>();
  for (let i = 0; i + 1 < cuSeqlens.length; i++) {
    const [start, length] = [cuSeqlens[i]!, cuSeqlens[i + 1]! - cuSeqlens[i]!];
    if (length === 0) continue;
    const T = LENGTH_STEP * Math.ceil(length / LENGTH_STEP);
    byLength.set(T, [...(byLength.get(T) ?? []), { start, length }]);
  }
  const rows: number[] = [];
  const places = new Int32Array(N);
  const groups = [...byLength].map(([T, sequences]) => {
    for (const { start, length } of sequences) {
      for (let at = 0; at < length; at++) places[start + at] = rows.length + at;
      for (let at = 0; at < T; at++) rows.push(start + Math.min(at, length - 1));
    }
    return { T, lengths: sequences.map(({ length }) => length) };
  });
  return { groups, rows: Int32Array.from(rows), places };
}

/** [B, 1, T, T] (or [B, 1, 1, T] without a window): 0 where a query may see a key, -Infinity elsewhere. */
function keyBias(lengths: number[], T: number, window: number | undefined, device: Device): Tensor {
  const isWindowed = window !== undefined && window < T - 1;
  const queries = isWindowed ? T : 1;
  const bias = new Float32Array(lengths.length * queries * T);
  for (const [b, length] of lengths.entries()) {
    for (let query = 0; query < queries; query++) {
      const at = (b * queries + query) * T;
      bias.fill(Number.NEGATIVE_INFINITY, at + length, at + T);
      if (!isWindowed || query >= length) continue; // a padded query sees all keys, lest it see none
      bias.fill(Number.NEGATIVE_INFINITY, at, at + Math.max(0, query - window));
      bias.fill(Number.NEGATIVE_INFINITY, at + Math.min(length, query + window + 1), at + length);
    }
  }
  return fromTypedArray(bias, { shape: [lengths.length, 1, queries, T], device });
}

const widened = (x: Tensor) => (x.dtype === "bfloat16" ? x.to("float32") : x);

/** Zeroes each value with probability `p` and scales the rest by 1 / (1 - p). Draws from `generator`. */
export function dropout(x: Tensor, p: number, generator: Generator): Tensor {
  if (p < 0 || p >= 1) throw new RangeError(`dropout: expected a probability in [0, 1), got ${p}`);
  if (p === 0) return x;
  const kept = empty(x.shape, { dtype: x.dtype, device: x.device }).bernoulli_(1 - p, generator);
  return x.mul(kept).div(1 - p);
}

/** Means of each sequence's rows, x [N, C] with borders `cuSeqlens` [B + 1] from 0 to N -> [B, C]; NaN for one of no rows. */
export function segmentMean(x: Tensor, cuSeqlens: ArrayLike<number>): Tensor {
  return new Tensor(native.segmentMean(x.handle, Array.from(cuSeqlens)));
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
