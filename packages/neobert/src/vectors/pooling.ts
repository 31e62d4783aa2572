// One vector a text out of its tokens' hidden states, by the modes of sentence-transformers' Pooling; several modes are
// put side by side in its order. Tokens of a prompt may be left out, as `include_prompt: false` asks. Sums are float64.

import { shown } from "../files/checked.js";

export const poolingModes = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] as const;

/** `weightedmean` weighs the i-th token by i; `mean_sqrt_len_tokens` divides the sum by the root of the count. */
export type PoolingMode = (typeof poolingModes)[number];

/** The modes in the order in which their vectors stand side by side. Throws naming an unknown one. */
export function checkPooling(where: string, modes: PoolingMode | readonly PoolingMode[]): PoolingMode[] {
  const list = [modes].flat() as PoolingMode[];
  const unknown = list.find((mode) => !poolingModes.includes(mode));
  if (unknown !== undefined || list.length === 0) {
    throw new Error(`${where}: expected pooling modes among ${poolingModes.join(", ")}, got ${shown(unknown ?? [])}`);
  }
  return [...new Set(list)];
}

/**
 * Pools hidden states [N, C] of packed texts to [B, C * modes]. `skip` tokens at each text's start count for nothing but
 * `cls`; a text that has no others gives zeros there, and one without tokens everywhere.
 */
export function pool(
  hidden: Float32Array,
  cuSeqlens: Int32Array,
  C: number,
  modes: readonly PoolingMode[],
  skip = 0,
): Float32Array<ArrayBuffer> {
  const B = cuSeqlens.length - 1;
  const width = C * modes.length;
  const pooled = new Float32Array(B * width);
  for (let text = 0; text < B; text++) {
    const [start, end] = [cuSeqlens[text]!, cuSeqlens[text + 1]!];
    if (start === end) continue;
    for (const [part, mode] of modes.entries()) {
      const at = text * width + part * C;
      if (mode === "cls") pooled.set(hidden.subarray(start * C, (start + 1) * C), at);
      else if (mode === "lasttoken" && start + skip < end) pooled.set(hidden.subarray((end - 1) * C, end * C), at);
      else if (mode !== "lasttoken") pooled.set(reduceTokens(hidden, start, end, start + skip, C, mode), at);
    }
  }
  return pooled;
}

function reduceTokens(hidden: Float32Array, start: number, end: number, from: number, C: number, mode: PoolingMode) {
  const result = new Float64Array(C).fill(mode === "max" && from < end ? Number.NEGATIVE_INFINITY : 0);
  let weights = 0;
  for (let token = from; token < end; token++) {
    const at = token * C;
    if (mode === "max") {
      for (let c = 0; c < C; c++) if (hidden[at + c]! > result[c]!) result[c] = hidden[at + c]!;
      continue;
    }
    const weight = mode === "weightedmean" ? token - start + 1 : 1;
    weights += weight;
    for (let c = 0; c < C; c++) result[c]! += weight * hidden[at + c]!;
  }
  if (mode === "max" || weights === 0) return result;
  const divisor = mode === "mean_sqrt_len_tokens" ? Math.sqrt(weights) : weights;
  for (let c = 0; c < C; c++) result[c]! /= divisor;
  return result;
}
