// The merges that byte-pair encoding learns from words and their counts: again and again the most frequent pair of
// neighbouring symbols becomes one; of equals that with the smaller ids (as in Hugging Face's trainers). Only words that
// hold the pair are touched, and the counts of the pairs beside it change with them. WordPiece and BPE differ in `join`.

import { PairQueue } from "./pair-queue.js";

export interface TrainingProgress {
  stage: "reading" | "merging";
  /** Characters read, or tokens in the vocabulary. */
  done: number;
  /** The vocabulary size aimed at; undefined while reading. */
  total?: number;
}

export interface MergeOptions {
  /** Each word as ids of its symbols; changed in place. */
  symbols: number[][];
  /** How often each word occurs. */
  frequencies: readonly number[];
  /** The vocabulary in the order of its ids, which grows, and the id of each. */
  tokens: string[];
  ids: Map<string, number>;
  vocabSize: number;
  /** A pair seen less often is not merged. */
  minFrequency: number;
  /** How two tokens are spelt as one. */
  join: (left: string, right: string) => string;
  /** Longer tokens, in characters, are not made. */
  maxTokenLength?: number | undefined;
  onProgress?: ((progress: TrainingProgress) => void) | undefined;
}

/** The merged pairs of ids, in order. */
export function learnMerges(options: MergeOptions): [left: number, right: number][] {
  const { symbols, frequencies, tokens, ids, vocabSize, minFrequency, join, onProgress } = options;
  const { maxTokenLength = Number.POSITIVE_INFINITY } = options;
  const queue = new PairQueue();
  for (const [index, word] of symbols.entries()) {
    for (let i = 1; i < word.length; i++) queue.add(word[i - 1]!, word[i]!, frequencies[index]!, index);
  }
  queue.enqueue();
  const merges: [number, number][] = [];
  while (tokens.length < vocabSize) {
    const pair = queue.pop();
    if (!pair || pair.count < minFrequency) break;
    const token = join(tokens[pair.left]!, tokens[pair.right]!);
    if (token.length > maxTokenLength && Array.from(token).length > maxTokenLength) continue;
    // Two pairs can spell the same token.
    const merged = ids.get(token) ?? tokens.push(token) - 1;
    ids.set(token, merged);
    merges.push([pair.left, pair.right]);
    for (const index of pair.words) {
      mergePair(symbols[index]!, pair.left, pair.right, merged, (left, second, change) =>
        queue.add(left, second, change * frequencies[index]!, index),
      );
    }
    queue.enqueue();
    if (tokens.length % 1024 === 0) onProgress?.({ stage: "merging", done: tokens.length, total: vocabSize });
  }
  return merges;
}

/** Replaces every `left`, `right` in `word` by `merged`, in place from the left, and tells of the pairs around it that
 * went and came. */
function mergePair(
  word: number[],
  left: number,
  right: number,
  merged: number,
  changed: (left: number, right: number, change: 1 | -1) => void,
): void {
  let kept = 0;
  for (let i = 0; i < word.length; kept++) {
    if (word[i] !== left || word[i + 1] !== right) {
      word[kept] = word[i++]!;
      continue;
    }
    if (kept > 0) {
      changed(word[kept - 1]!, left, -1);
      changed(word[kept - 1]!, merged, 1);
    }
    word[kept] = merged;
    i += 2;
    if (i < word.length) {
      changed(right, word[i]!, -1);
      changed(merged, word[i]!, 1);
    }
  }
  word.length = kept;
}
