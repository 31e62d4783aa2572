// A tokenizer.json for a byte-level BPE vocabulary as RoBERTa and GPT-2 use it: what transformers makes of vocab.json and
// merges.txt, and what training here ends in. With <s> and </s> in the vocabulary they stand around a text (RoBERTa);
// without them nothing does (GPT-2).

import type { SpecialTokens } from "../tokenizer.js";
import type { BpeJSON } from "./schema.js";

export interface ByteLevelSettings {
  vocab: Readonly<Record<string, number>>;
  merges: readonly (readonly [string, string])[];
  /** Those that the vocabulary lacks are left out. */
  specialTokens: SpecialTokens;
  /** Whether a text is read as if a space stood before it. Default false. */
  addPrefixSpace?: boolean;
}

export function robertaTokenizerJSON(settings: ByteLevelSettings): BpeJSON {
  const { vocab, merges, specialTokens, addPrefixSpace = false } = settings;
  const { cls, sep, mask } = specialTokens;
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const idOf = (token: string | undefined) =>
    token !== undefined && Object.hasOwn(vocab, token) ? vocab[token] : undefined;
  const [clsId, sepId] = [idOf(cls), idOf(sep)];
  const isRoberta = clsId !== undefined && sepId !== undefined;
  const added = new Set([...Object.values(specialTokens), ...(isRoberta ? [] : ["<|endoftext|>"])]);
  const byteLevel = {
    type: "ByteLevel" as const,
    add_prefix_space: addPrefixSpace,
    trim_offsets: true,
    use_regex: true,
  };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...added]
      .filter((content) => Object.hasOwn(vocab, content))
      // The mask takes the space before it, so that what it stands for is a whole word.
      .map((content) => ({ id: vocab[content]!, content, ...plain, lstrip: content === mask }))
      .sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: isRoberta
      ? {
          type: "RobertaProcessing",
          sep: [sep!, sepId],
          cls: [cls!, clsId],
          trim_offsets: true,
          add_prefix_space: addPrefixSpace,
        }
      : { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: { ...vocab },
      merges: merges.map(([left, right]) => [left, right]),
    },
  };
}
