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

/**
 * What the task asks of all texts of `batch`. An engine never sees a text without tokens (an empty one, where the tokenizer
 * adds none): its pooled states are zeros, it has no rows, and a class it cannot have.
 */
export async function runTask(
  engine: Engine,
  head: VectorHead,
  batch: PackedBatch,
  task: EngineTask,
): Promise<EngineResult> {
  const B = batch.cuSeqlens.length - 1;
  const present = textsWithTokens(batch);
  const whole = { ...batch, cuSeqlens: Int32Array.of(0, ...present.map((text) => batch.cuSeqlens[text + 1]!)) };
  /** Values of tokens, or of rows among them. */
  const ofTokens = (compute: (batch: PackedBatch) => Promise<Float32Array>) =>
    present.length > 0 ? compute(whole) : Promise.resolve(new Float32Array(0));
  switch (task.kind) {
    case "vectors": {
      const C = engine.config.hidden_size;
      const { sentences } = engine;
      if (sentences) {
        const pooled = await ofTokens((batch) => sentences(batch));
        const width = pooled.length / present.length || head.widthOf(task.settings, C);
        return { data: head.applyPooled(inPlaces(pooled, present, B, width), B, task.settings) };
      }
      const hidden = await ofTokens((batch) => engine.hidden(batch));
      return { data: head.apply(hidden, batch.cuSeqlens, C, task.settings) };
    }
    case "hidden":
      return { data: await ofTokens((batch) => engine.hidden(batch)) };
    case "sequenceLogits":
      if (present.length < B) {
        throw new Error("expected a text that has tokens, got one without\nLeave it out, or put words in it.");
      }
      return { data: await engine.sequenceLogits(batch) };
    case "tokenLogits":
      return { data: await ofTokens((batch) => engine.tokenLogits(batch)) };
    case "fill": {
      const logits = await ofTokens((batch) => engine.maskedLogits(batch, task.rows));
      return likeliest(logits, task.rows.length, task.topK);
    }
    case "logProbabilities":
      return { data: logProbabilities(await ofTokens((batch) => engine.maskedLogits(batch, task.rows)), task.ids) };
  }
}

function textsWithTokens({ cuSeqlens }: PackedBatch): number[] {
  const texts = Array.from({ length: cuSeqlens.length - 1 }, (_, text) => text);
  return texts.filter((text) => cuSeqlens[text + 1]! > cuSeqlens[text]!);
}

/** Rows of `width` at the places of their texts among B, zeros elsewhere. */
function inPlaces(rows: Float32Array, texts: readonly number[], B: number, width: number): Float32Array {
  if (texts.length === B) return rows;
  const all = new Float32Array(B * width);
  for (const [i, text] of texts.entries()) all.set(rows.subarray(i * width, (i + 1) * width), text * width);
  return all;
}

/** Tasks with the same key can be one task over the packed texts of several calls. */
export function keyOf(task: EngineTask): string {
  const { rows: _, ids: __, ...rest } = task as EngineTask & { rows?: Int32Array; ids?: Int32Array };
  return JSON.stringify(rest, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value));
}

/** One of several calls in a batch: the borders of its texts, counted from 0, and its task on them. */
export interface BatchPart {
  cuSeqlens: Int32Array;
  task: EngineTask;
}

/** The batches of parts one after another, and the task of them all. */
export function combineParts(batches: PackedBatch[], parts: BatchPart[]): { batch: PackedBatch; task: EngineTask } {
  if (batches.length === 1) return { batch: batches[0]!, task: parts[0]!.task };
  const starts = [0];
  for (const { ids } of batches) starts.push(starts.at(-1)! + ids.length);
  const ids = new Int32Array(starts.at(-1)!);
  const hasTypes = batches.some(({ tokenTypes }) => tokenTypes);
  const tokenTypes = hasTypes ? new Int32Array(ids.length) : undefined;
  const borders = [0];
  for (const [i, batch] of batches.entries()) {
    ids.set(batch.ids, starts[i]!);
    if (batch.tokenTypes) tokenTypes!.set(batch.tokenTypes, starts[i]!);
    for (const end of batch.cuSeqlens.subarray(1)) borders.push(starts[i]! + end);
  }
  const task = { ...parts[0]!.task };
  if ("rows" in task) {
    const rows = parts.flatMap(({ task }, i) =>
      [...(task as typeof task & { rows: Int32Array }).rows].map((row) => row + starts[i]!),
    );
    task.rows = Int32Array.from(rows);
  }
  if ("ids" in task) task.ids = Int32Array.from(parts.flatMap(({ task }) => [...(task as { ids: Int32Array }).ids]));
  return { batch: { ids, cuSeqlens: Int32Array.from(borders), ...(tokenTypes && { tokenTypes }) }, task };
}

/** Each part's own share of the result of them all: by texts, tokens or rows, as its task counts. */
export function splitResult(result: EngineResult, parts: BatchPart[]): EngineResult[] {
  if (parts.length === 1) return [result];
  const counts = parts.map(({ cuSeqlens, task }) => {
    if ("rows" in task) return task.rows.length;
    return task.kind === "hidden" || task.kind === "tokenLogits" ? cuSeqlens.at(-1)! : cuSeqlens.length - 1;
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  let at = 0;
  return counts.map((count) => {
    const cut = <A extends NumberArray | Int32Array>(array: A) => {
      const width = total > 0 ? array.length / total : 0;
      return array.subarray(at * width, (at + count) * width) as A;
    };
    const own = { data: cut(result.data), ...(result.ids && { ids: cut(result.ids) }) };
    at += count;
    return own;
  });
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
