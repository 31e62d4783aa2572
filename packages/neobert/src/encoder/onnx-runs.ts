// How a packed batch becomes runs of ONNX Runtime. Texts of one length run together without a mask, which is fastest;
// what would be runs of few tokens, slow ones, is put together with its neighbours in length, under a mask. Only the
// attention of such a run has padding, and little of it.

import type { PackedBatch } from "../model/torch-model.js";

/** Texts that are computed together. */
export interface Run {
  /** Indices into the batch's texts. */
  texts: number[];
  longest: number;
  tokens: number;
  /** Whether all of them have the same length. */
  equal: boolean;
}

/** Most tokens of a run (a longer text has one of its own): bounds memory, and what is computed stays in the caches. */
export const MOST_TOKENS = 2048;
/** Texts of one length run by themselves if they have so many tokens. */
export const FEWEST_TOKENS = 256;
/** Most places of the padded view, tokens and padding, for each token. */
const MOST_PLACES = 1.5;

/** Splits a batch into runs. Every text is in one of them. */
export function splitRuns(cuSeqlens: Int32Array): Run[] {
  const lengthOf = (text: number) => cuSeqlens[text + 1]! - cuSeqlens[text]!;
  const texts = Array.from({ length: cuSeqlens.length - 1 }, (_, text) => text);
  texts.sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);

  const runs: Run[] = [];
  let mixed: Run | undefined;
  const flush = () => {
    if (mixed) runs.push(mixed);
    mixed = undefined;
  };
  for (let start = 0; start < texts.length; ) {
    const length = lengthOf(texts[start]!);
    let end = start;
    while (end < texts.length && lengthOf(texts[end]!) === length) end++;
    const alike = texts.slice(start, end);
    start = end;
    const tokens = alike.length * length;
    if (tokens >= FEWEST_TOKENS) {
      const most = Math.max(1, Math.floor(MOST_TOKENS / length));
      const parts = Math.ceil(alike.length / most);
      for (let part = 0; part < parts; part++) {
        const some = alike.slice(
          Math.floor((part * alike.length) / parts),
          Math.floor(((part + 1) * alike.length) / parts),
        );
        runs.push({ texts: some, longest: length, tokens: some.length * length, equal: true });
      }
      continue;
    }
    if (mixed) {
      const all = mixed.tokens + tokens;
      const places = (mixed.texts.length + alike.length) * length;
      if (all > MOST_TOKENS || places > MOST_PLACES * all) flush();
    }
    mixed ??= { texts: [], longest: length, tokens: 0, equal: true };
    mixed.equal = mixed.texts.length === 0 || (mixed.equal && mixed.longest === length);
    mixed.texts.push(...alike);
    mixed.longest = length;
    mixed.tokens += tokens;
  }
  flush();
  return runs;
}

/** The arrays that a graph of the packed form takes, and the batch's row of each of the run's rows. */
export function runArrays({ ids, tokenTypes, cuSeqlens }: PackedBatch, { texts, longest: S, tokens: N }: Run) {
  const rows = new Int32Array(N);
  const positions = new Int32Array(N);
  const pad = new Int32Array(texts.length * S);
  const unpad = new Int32Array(N);
  const lengths = new Int32Array(texts.length);
  const first = new Int32Array(texts.length);
  let row = 0;
  for (const [i, text] of texts.entries()) {
    const start = cuSeqlens[text]!;
    const length = cuSeqlens[text + 1]! - start;
    lengths[i] = length;
    first[i] = row;
    for (let position = 0; position < length; position++, row++) {
      rows[row] = start + position;
      positions[row] = position;
      pad[i * S + position] = row;
      unpad[row] = i * S + position;
    }
  }
  const pick = (values: Int32Array) => rows.map((row) => values[row]!);
  return {
    rows,
    inputs: {
      ids: pick(ids),
      token_types: tokenTypes ? pick(tokenTypes) : new Int32Array(1),
      ...{ positions, pad, unpad, lengths, first },
    },
  };
}
