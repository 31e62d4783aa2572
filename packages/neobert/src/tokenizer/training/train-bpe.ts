// Training a byte-level BPE vocabulary as Hugging Face's BpeTrainer does with the ByteLevel pre-tokenizer: special
// tokens, the 256 bytes, then merges of the most frequent pair; the same text gives the same vocabulary. The result has
// the form of RoBERTa's tokenizer.

import { robertaTokenizerJSON } from "../json/roberta-json.js";
import { byteCharacters, spellBytes } from "../text/byte-level.js";
import { characterKinds, endOfWord } from "../text/gpt2-words.js";
import { robertaSpecialTokens, Tokenizer } from "../tokenizer.js";
import { learnMerges, type TrainingProgress } from "./learn-merges.js";

export interface BpeTrainerOptions {
  /** Tokens in the vocabulary, special ones included; fewer where the text gives out. */
  vocabSize: number;
  /** A pair seen less often is not merged. Default 2. */
  minFrequency?: number;
  /** Longer tokens, in bytes, are not made. Default: any length. */
  maxTokenLength?: number;
  /** Names of the special tokens, which get the first ids. Default: RoBERTa's, in its order. */
  specialTokens?: typeof robertaSpecialTokens;
  /** Whether every text is read as if a space stood before it. Default false. */
  addPrefixSpace?: boolean;
  modelMaxLength?: number;
  onProgress?: (progress: TrainingProgress) => void;
}

/** A RoBERTa tokenizer with a vocabulary learnt from `texts`.
 * Throws where `vocabSize` does not hold the special tokens and the bytes. */
export async function trainBpe(
  texts: Iterable<string> | AsyncIterable<string>,
  options: BpeTrainerOptions,
): Promise<Tokenizer> {
  const { vocabSize, minFrequency = 2, maxTokenLength, addPrefixSpace = false, modelMaxLength, onProgress } = options;
  const { specialTokens = robertaSpecialTokens } = options;
  const { cls, pad, sep, unk, mask } = specialTokens;
  const tokens = [...new Set([cls, pad, sep, unk, mask, ...byteCharacters.toSorted()])];
  if (tokens.length > vocabSize) {
    throw new RangeError(
      `trainBpe: expected vocabSize of at least ${tokens.length} (special tokens and bytes), got ${vocabSize}\n` +
        "Raise vocabSize: any text can be spelt only with all 256 bytes.",
    );
  }
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const counts = await countWords(texts, addPrefixSpace, onProgress);
  const words = [...counts.keys()].sort();
  const merges = learnMerges({
    symbols: words.map((word) => Array.from(spellBytes(word), (char) => ids.get(char)!)),
    frequencies: words.map((word) => counts.get(word)!),
    tokens,
    ids,
    vocabSize,
    minFrequency,
    maxTokenLength,
    onProgress,
    join: (left, right) => left + right,
  });
  const json = robertaTokenizerJSON({
    vocab: Object.fromEntries(ids),
    merges: merges.map(([left, right]) => [tokens[left]!, tokens[right]!]),
    specialTokens,
    addPrefixSpace,
  });
  return Tokenizer.fromJSON(json, { specialTokens, modelMaxLength });
}

async function countWords(
  texts: Iterable<string> | AsyncIterable<string>,
  addPrefixSpace: boolean,
  onProgress: BpeTrainerOptions["onProgress"],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const kinds = characterKinds();
  const reportEvery = 1 << 20;
  let characters = 0;
  for await (let text of texts) {
    if (addPrefixSpace && text !== "" && !text.startsWith(" ")) text = ` ${text}`;
    for (let at = 0, end = 0; at < text.length; at = end) {
      end = endOfWord(text, at, text.length, kinds);
      const word = text.slice(at, end);
      const count = counts.get(word);
      // NOTE: a part of a string keeps the whole alive, so a new key is copied.
      if (count === undefined) counts.set(Array.from(word).join(""), 1);
      else counts.set(word, count + 1);
    }
    if (Math.floor(characters / reportEvery) < Math.floor((characters += text.length) / reportEvery)) {
      onProgress?.({ stage: "reading", done: characters });
    }
  }
  return counts;
}
