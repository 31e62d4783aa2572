// What the worker is asked to do with a packed batch, and how: each task is an engine's result brought to the size that
// is worth sending back. A task and its result hold typed arrays and plain values only.

import type { NumberArray } from "../vectors/rows.js";
import type { VectorHead, VectorSettings } from "../vectors/vector-head.js";
import type { Engine, PackedBatch } from "./engine.js";

export type EngineTask =
  | { kind: "vectors"; settings: VectorSettings }
  | { kind: "hidden" | "sequenceLogits" | "tokenLogits" }
  | { kind: "fill"; rows: Int32Array; topK: number }
  | { kind: "logProbabilities"; rows: Int32Array; ids: Int32Array };

export interface EngineResult {
  data: NumberArray;
  /** The token ids that `data` has the probabilities of: [M, topK], best first. */
  ids?: Int32Array;
}

export async function runTask(
  engine: Engine,
  head: VectorHead,
  batch: PackedBatch,
  task: EngineTask,
): Promise<EngineResult> {
  switch (task.kind) {
    case "vectors":
      if (engine.sentences) {
        return { data: head.applyPooled(await engine.sentences(batch), batch.cuSeqlens.length - 1, task.settings) };
      }
      return { data: head.apply(await engine.hidden(batch), batch.cuSeqlens, task.settings) };
    case "hidden":
      return { data: await engine.hidden(batch) };
    case "sequenceLogits":
      return { data: await engine.sequenceLogits(batch) };
    case "tokenLogits":
      return { data: await engine.tokenLogits(batch) };
    case "fill":
      return likeliest(await engine.maskedLogits(batch, task.rows), task.rows.length, task.topK);
    case "logProbabilities":
      return { data: logProbabilities(await engine.maskedLogits(batch, task.rows), task.ids) };
  }
}

/** The `topK` largest softmax probabilities of each of M rows of logits, best first, and where they stand. */
export function likeliest(logits: Float32Array, M: number, topK: number): EngineResult {
  const V = M > 0 ? logits.length / M : 0;
  const k = Math.min(topK, V);
  const data = new Float32Array(M * k);
  const ids = new Int32Array(M * k);
  for (let m = 0; m < M; m++) {
    const row = logits.subarray(m * V, (m + 1) * V);
    const best = ids.subarray(m * k, (m + 1) * k);
    for (let v = 0, held = 0; v < V; v++) {
      if (held === k && !(row[v]! > row[best[k - 1]!]!)) continue;
      // Insertion: the place behind all that are at least as likely.
      let at = held < k ? held++ : k - 1;
      for (; at > 0 && row[best[at - 1]!]! < row[v]!; at--) best[at] = best[at - 1]!;
      best[at] = v;
    }
    const top = row[best[0]!]!;
    let sum = 0;
    for (let v = 0; v < V; v++) sum += Math.exp(row[v]! - top);
    for (let i = 0; i < k; i++) data[m * k + i] = Math.exp(row[best[i]!]! - top) / sum;
  }
  return { data, ids };
}

/** Of each of M rows of logits, the log softmax at the id that belongs to it. */
export function logProbabilities(logits: Float32Array, ids: Int32Array): Float32Array {
  const V = logits.length / ids.length;
  return Float32Array.from(ids, (id, m) => {
    const row = logits.subarray(m * V, (m + 1) * V);
    const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (let v = 0; v < V; v++) sum += Math.exp(row[v]! - top);
    return row[id]! - top - Math.log(sum);
  });
}
