// A tokenizer.json for a WordPiece vocabulary as BERT uses it: what transformers makes of a vocab.txt, and what
// training here ends in.

import type { WordPieceJSON } from "./schema.js";

export interface BertSettings {
  /** Tokens in the order of their ids. */
  tokens: readonly string[];
  /** Default true. */
  lowercase?: boolean;
  /** Default: as `lowercase`. */
  stripAccents?: boolean | null;
  /** Default true. */
  handleChineseChars?: boolean;
  continuingSubwordPrefix?: string;
  specialTokens: { pad: string; unk: string; cls: string; sep: string; mask: string };
}

/** The tokenizer.json. Throws where the vocabulary lacks the unknown, class or separator token. */
export function bertTokenizerJSON(settings: BertSettings): WordPieceJSON {
  const { lowercase = true, stripAccents = null, handleChineseChars = true, specialTokens } = settings;
  const { continuingSubwordPrefix: prefix = "##", tokens } = settings;
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const { unk, cls, sep } = specialTokens;
  const missing = [unk, cls, sep].filter((token) => !Object.hasOwn(vocab, token));
  if (missing.length > 0) {
    throw new Error(
      `WordPiece vocabulary: expected ${unk}, ${cls} and ${sep}, got ${tokens.length} tokens without ${missing.join(", ").slice(0, 300)}\n` +
        "Add them to the vocabulary, or name those it has in special_tokens_map.json.",
    );
  }
  const added = Object.values(specialTokens).filter((token) => Object.hasOwn(vocab, token));
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const start = { SpecialToken: { id: cls, type_id: 0 } };
  const text = (id: "A" | "B", type_id: number) => ({ Sequence: { id, type_id } });
  const end = (type_id: number) => ({ SpecialToken: { id: sep, type_id } });
  const listed = (token: string) => ({ id: token, ids: [vocab[token]!], tokens: [token] });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...new Set(added)]
      .map((content) => ({ id: vocab[content]!, content, ...plain }))
      .sort((a, b) => a.id - b.id),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: handleChineseChars,
      strip_accents: stripAccents,
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [start, text("A", 0), end(0)],
      pair: [start, text("A", 0), end(0), text("B", 1), end(1)],
      special_tokens: { [cls]: listed(cls), [sep]: listed(sep) },
    },
    decoder: { type: "WordPiece", prefix, cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: unk,
      continuing_subword_prefix: prefix,
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
