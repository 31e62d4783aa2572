// Training a WordPiece vocabulary as Hugging Face's WordPieceTrainer does: merges of the most frequent pair (byte-pair
// encoding with ##), not the pair with the best likelihood of the original WordPiece. Theirs numbers the ##letters in
// hash order and lets that break ties; here letters go by code point, so the same text gives the same vocabulary.

import { bertTokenizerJSON } from "../json/bert-json.js";
import { Tokenizer, usualSpecialTokens } from "../tokenizer.js";
import { WordCounter } from "./count-words.js";
import { learnMerges, type TrainingProgress } from "./learn-merges.js";

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
    tokens,
    lowercase,
    handleChineseChars,
    continuingSubwordPrefix,
    specialTokens,
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
  const words = [...counts.keys()].sort();
  const frequencies = words.map((word) => counts.get(word)!);
  const letters = alphabet(counts, options);
  const tokens = firstTokens(words, letters, specialTokens, prefix);
  if (tokens.length > vocabSize) {
    throw new RangeError(
      `trainWordPiece: expected vocabSize of at least ${tokens.length} (special tokens and letters), got ${vocabSize}\n` +
        "Raise vocabSize, or lower limitAlphabet so that rare letters become unknown.",
    );
  }
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const symbols = wordSymbols(words, new Set(letters), ids, prefix);

  learnMerges({
    symbols,
    frequencies,
    tokens,
    ids,
    vocabSize,
    minFrequency,
    onProgress,
    join: (left, right) => left + (right.startsWith(prefix) ? right.slice(prefix.length) : right),
  });
  return tokens;
}

/** Special tokens, letters, and those letters again with the prefix that some word has after its first. */
function firstTokens(words: string[], letters: string[], specialTokens: string[], prefix: string): string[] {
  const inside = new Set<string>();
  for (const word of words) for (const char of Array.from(word).slice(1)) inside.add(char);
  const continuing = letters.filter((letter) => inside.has(letter)).map((letter) => prefix + letter);
  return [...new Set([...specialTokens, ...letters, ...continuing])];
}

/** Each word as the ids of its letters; letters that are not kept are skipped. */
function wordSymbols(
  words: string[],
  kept: ReadonlySet<string>,
  ids: ReadonlyMap<string, number>,
  prefix: string,
): number[][] {
  return words.map((word) => {
    const symbols: number[] = [];
    for (const [i, char] of Array.from(word).entries()) {
      if (kept.has(char)) symbols.push(ids.get(i === 0 ? char : prefix + char)!);
    }
    return symbols;
  });
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
