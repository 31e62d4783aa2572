// Training a WordPiece vocabulary as Hugging Face's WordPieceTrainer does: merges of the most frequent pair (byte-pair
// encoding with ##), not the pair with the best likelihood of the original WordPiece. Theirs numbers the ##letters in
// hash order and lets that break ties; here letters go by code point, so the same text gives the same vocabulary.

import { bertTokenizerJSON } from "./bert-json.js";
import { WordCounter } from "./count-words.js";
import { PairQueue } from "./pair-queue.js";
import { Tokenizer, usualSpecialTokens } from "./tokenizer.js";

export interface TrainingProgress {
  stage: "reading" | "merging";
  /** Characters read, or tokens in the vocabulary. */
  done: number;
  /** The vocabulary size aimed at; undefined while reading. */
  total?: number;
}

export interface WordPieceTrainerOptions {
  /** Tokens in the vocabulary, special ones included; fewer where the text gives out. */
  vocabSize: number;
  /** A pair seen less often is not merged. Default 2. */
  minFrequency?: number;
  /** How many different characters are kept, most frequent first. Default 1000. */
  limitAlphabet?: number;
  /** Characters kept whether the text has them or not. */
  initialAlphabet?: Iterable<string>;
  /** Names of the special tokens, which get the first ids. */
  specialTokens?: typeof usualSpecialTokens;
  /** Default "##". */
  continuingSubwordPrefix?: string;
  /** Whether text is lower-cased and loses its accents. Default true. */
  lowercase?: boolean;
  /** Default: as `lowercase`. */
  stripAccents?: boolean;
  /** Default true. */
  handleChineseChars?: boolean;
  modelMaxLength?: number;
  onProgress?: (progress: TrainingProgress) => void;
}

/** A BERT tokenizer with a vocabulary learnt from `texts`.
 * Throws where `vocabSize` does not hold the special tokens and the letters. */
export async function trainWordPiece(
  texts: Iterable<string> | AsyncIterable<string>,
  options: WordPieceTrainerOptions,
): Promise<Tokenizer> {
  const { lowercase = true, handleChineseChars = true, specialTokens = usualSpecialTokens, onProgress } = options;
  const { stripAccents = lowercase, continuingSubwordPrefix = "##", modelMaxLength } = options;
  const counter = new WordCounter({ cleanText: true, handleChineseChars, stripAccents, lowercase });
  const reportEvery = 1 << 20;
  let characters = 0;
  for await (const text of texts) {
    counter.add(text);
    if (Math.floor(characters / reportEvery) < Math.floor((characters += text.length) / reportEvery)) {
      onProgress?.({ stage: "reading", done: characters });
    }
  }
  counter.flush();
  const tokens = learnTokens(counter.counts, Object.values(specialTokens), continuingSubwordPrefix, options);
  const json = bertTokenizerJSON({
    ...{ tokens, lowercase, handleChineseChars, continuingSubwordPrefix, specialTokens },
    stripAccents: options.stripAccents ?? null,
  });
  return Tokenizer.fromJSON(json, { specialTokens, modelMaxLength });
}

/** The vocabulary in the order of its ids: special tokens, letters, ##letters, merges. */
function learnTokens(
  counts: ReadonlyMap<string, number>,
  specialTokens: string[],
  prefix: string,
  options: WordPieceTrainerOptions,
): string[] {
  const { vocabSize, minFrequency = 2, onProgress } = options;
  const letters = alphabet(counts, options);
  const words = [...counts.keys()].sort();
  const ids = new Map<string, number>();
  const idOf = (token: string) => {
    if (!ids.has(token)) ids.set(token, ids.size);
    return ids.get(token)!;
  };
  for (const token of [...specialTokens, ...letters]) idOf(token);
  const inside = new Set(words.flatMap((word) => Array.from(word).slice(1)));
  for (const letter of letters) if (inside.has(letter)) idOf(prefix + letter);
  if (ids.size > vocabSize) {
    throw new RangeError(
      `trainWordPiece: expected vocabSize of at least ${ids.size} (special tokens and letters), got ${vocabSize}\n` +
        "Raise vocabSize, or lower limitAlphabet so that rare letters become unknown.",
    );
  }

  const kept = new Set(letters);
  const symbols = words.map((word) => {
    const chars = Array.from(word);
    return chars.flatMap((char, i) => (kept.has(char) ? [idOf(i === 0 ? char : prefix + char)] : []));
  });
  const queue = new PairQueue();
  for (const [index, word] of symbols.entries()) {
    const count = counts.get(words[index]!)!;
    for (let i = 1; i < word.length; i++) queue.add(word[i - 1]!, word[i]!, count, index);
  }
  queue.enqueue();

  const tokens = [...ids.keys()];
  while (tokens.length < vocabSize) {
    const pair = queue.pop();
    if (!pair || pair.count < minFrequency) break;
    const right = tokens[pair.right]!;
    const token = tokens[pair.left]! + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const merged = idOf(token);
    if (merged === tokens.length) tokens.push(token);
    for (const index of pair.words) {
      mergePair(symbols[index]!, pair.left, pair.right, merged, (left, second, change) =>
        queue.add(left, second, change * counts.get(words[index]!)!, index),
      );
    }
    queue.enqueue();
    if (tokens.length % 1024 === 0) onProgress?.({ stage: "merging", done: tokens.length, total: vocabSize });
  }
  return tokens;
}

/** The characters to keep, by code point. */
function alphabet(counts: ReadonlyMap<string, number>, options: WordPieceTrainerOptions): string[] {
  const { limitAlphabet = 1000, initialAlphabet = [] } = options;
  const frequency = new Map<string, number>();
  for (const [word, count] of counts) {
    for (const char of word) frequency.set(char, (frequency.get(char) ?? 0) + count);
  }
  for (const char of initialAlphabet) frequency.set(char, Number.POSITIVE_INFINITY);
  const byCode = [...frequency].sort(([a], [b]) => a.codePointAt(0)! - b.codePointAt(0)!);
  // Sorting is stable: equally frequent letters stay in the order of their codes.
  const frequent = byCode.toSorted(([, a], [, b]) => (a === b ? 0 : b - a)).slice(0, limitAlphabet);
  const kept = new Set(frequent.map(([char]) => char));
  return byCode.map(([char]) => char).filter((char) => kept.has(char));
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
  for (let i = 0; i + 1 < word.length; i++) {
    if (word[i] !== left || word[i + 1] !== right) continue;
    if (i > 0) {
      changed(word[i - 1]!, left, -1);
      changed(word[i - 1]!, merged, 1);
    }
    word.splice(i, 2, merged);
    if (i + 1 < word.length) {
      changed(right, word[i + 1]!, -1);
      changed(merged, word[i + 1]!, 1);
    }
  }
}
