// How texts of a packed batch become the inputs of one run of ONNX Runtime: sorted by length, in groups of one length.
// Linear layers see all tokens of a run at once, attention one group at a time.

import type { Tensor } from "onnxruntime-node";
import type { PackedBatch } from "../model/packed-batch.js";

/** The texts of a batch, shortest first. */
export function shortestFirst(cuSeqlens: Int32Array): number[] {
  const lengthOf = (text: number) => cuSeqlens[text + 1]! - cuSeqlens[text]!;
  const texts = Array.from({ length: cuSeqlens.length - 1 }, (_, text) => text);
  return texts.sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
}

/**
 * The inputs of a graph of the packed form for some texts of a batch, shortest first (default: all), and the batch's row
 * of each of the run's rows.
 */
export function runInputs(
  { ids, tokenTypes, cuSeqlens }: PackedBatch,
  texts: readonly number[] = shortestFirst(cuSeqlens),
) {
  const N = texts.reduce((sum, text) => sum + cuSeqlens[text + 1]! - cuSeqlens[text]!, 0);
  const rows = new Int32Array(N);
  const positions = new Int32Array(N);
  const lengths = new Int32Array(N);
  const first = new Int32Array(texts.length);
  const groups: { start: number; end: number; length: number }[] = [];
  let row = 0;
  for (const [i, text] of texts.entries()) {
    const start = cuSeqlens[text]!;
    const length = cuSeqlens[text + 1]! - start;
    const group = groups.at(-1);
    if (group?.length === length) group.end += length;
    else groups.push({ start: row, end: row + length, length });
    first[i] = row;
    for (let position = 0; position < length; position++, row++) {
      rows[row] = start + position;
      positions[row] = position;
      lengths[row] = length;
    }
  }
  const pick = (values: Int32Array) => rows.map((row) => values[row]!);
  const shapes = groups.flatMap(({ start, end, length }) => [(end - start) / length, length, -1]);
  return {
    rows,
    inputs: {
      ids: pick(ids),
      token_types: tokenTypes ? pick(tokenTypes) : new Int32Array(1),
      positions,
      lengths,
      first,
      starts: Int32Array.from(groups, ({ start }) => start),
      ends: Int32Array.from(groups, ({ end }) => end),
      shapes: BigInt64Array.from(shapes, BigInt),
    },
  };
}

/** The inputs as the tensors that a session of this graph takes. */
export function packedFeeds(
  Tensor: typeof import("onnxruntime-node").Tensor,
  names: readonly string[],
  inputs: Record<string, Int32Array | BigInt64Array>,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const name of names) {
    const values = inputs[name]!;
    const width = { starts: 1, ends: 1, shapes: 3 }[name];
    const dims = width ? [values.length / width, width] : [values.length];
    feeds[name] = new Tensor(values instanceof Int32Array ? "int32" : "int64", values, dims);
  }
  return feeds;
}
