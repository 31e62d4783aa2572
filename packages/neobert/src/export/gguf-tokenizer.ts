// A tokenizer as the tables that llama.cpp reads from a GGUF file: WordPiece as its `bert` kind, byte-level BPE as `gpt2`.
// Tokens stand in the order of their ids; ids of the model that the tokenizer does not use are unused tokens.

import { join } from "node:path";
import { loadTokenizer, type TokenizerJSON } from "../tokenizer/index.js";
import { bool, type GgufValue, string, uint32 } from "./gguf-file.js";

const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

export interface GgufTokenizer {
  metadata: Record<string, GgufValue>;
  /** What llama.cpp does otherwise than the tokenizer. */
  notes: string[];
}

/** The tables for the tokenizer of a folder, for a model of `vocabSize` tokens, with what llama.cpp calls the words of its BPE. Throws for other kinds of tokenizer. */
export function ggufTokenizer(folder: string, vocabSize: number, words: string): GgufTokenizer {
  const file = join(folder, "tokenizer.json");
  const tokenizer = loadTokenizer(folder);
  const { specialIds } = tokenizer;
  const json = tokenizer.toJSON();
  const { model, normalizer, added_tokens: added } = json;
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const kinds = new Array<number>(vocabSize).fill(UNUSED);
  const set = (id: number, token: string, kind: number) => {
    if (id >= vocabSize) {
      throw new Error(`${file}: expected ids below the model's vocab_size ${vocabSize}, got ${id} for ${token}`);
    }
    tokens[id] = token;
    kinds[id] = kind;
  };
  const isWordPiece = model.type === "WordPiece";
  const split = wordsOf(json, words);
  // Its WordPiece marks the beginning of a word where BERT's marks the continuation.
  const phantom = (token: string) => (token.startsWith("##") ? token.slice(2) : `\u2581${token}`);
  for (const [token, id] of Object.entries(model.vocab)) set(id, isWordPiece ? phantom(token) : token, NORMAL);
  for (const { id, content, special } of added) {
    set(id, isWordPiece && !special ? phantom(content) : content, special ? CONTROL : USER_DEFINED);
  }

  const special = (name: keyof typeof specialIds, key: string): Record<string, GgufValue> => {
    const id = specialIds[name];
    return id === undefined ? {} : { [`tokenizer.ggml.${key}_token_id`]: uint32(id) };
  };
  const metadata: Record<string, GgufValue> = {
    "tokenizer.ggml.model": string(isWordPiece ? "bert" : "gpt2"),
    "tokenizer.ggml.pre": string(isWordPiece ? "default" : split.words),
    "tokenizer.ggml.tokens": { type: "string", value: tokens },
    "tokenizer.ggml.token_type": { type: "int32", value: kinds },
    ...special("cls", "bos"),
    ...special("sep", "eos"),
    ...special("sep", "seperator"), // as llama.cpp spells it
    ...special("pad", "padding"),
    ...special("unk", "unknown"),
    ...special("mask", "mask"),
  };
  if (model.type === "BPE") {
    metadata["tokenizer.ggml.merges"] = { type: "string", value: model.merges.map((pair) => pair.join(" ")) };
    // What the tokenizer puts around a text, and between the texts of a pair.
    const { ids } = tokenizer.encode("");
    const isAround = (id: number | undefined, name: "cls" | "sep") => id !== undefined && id === specialIds[name];
    metadata["tokenizer.ggml.add_bos_token"] = bool(isAround(ids[0], "cls"));
    metadata["tokenizer.ggml.add_eos_token"] = bool(isAround(ids.at(-1), "sep"));
    metadata["tokenizer.ggml.add_sep_token"] = bool(isAround(ids.at(-1), "sep"));
    const form = normalizer?.type;
    const forms = form ? [`llama.cpp does not normalise texts to ${form} as this tokenizer does`] : [];
    return { metadata, notes: [...forms, ...split.notes] };
  }
  const bert = normalizer?.type === "BertNormalizer" ? normalizer : undefined;
  const lowercase = bert?.lowercase ?? true;
  metadata["tokenizer.ggml.normalizer.lowercase"] = bool(lowercase);
  metadata["tokenizer.ggml.normalizer.strip_accents"] = bool(bert?.strip_accents ?? lowercase);
  return {
    metadata,
    notes: lowercase ? [] : ["older versions of llama.cpp lower-case texts, which this tokenizer does not"],
  };
}

const llamaPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** What llama.cpp calls the cut into words: that of Llama 3 by its pattern, else the encoder's own name for GPT-2's. */
function wordsOf({ model, pre_tokenizer }: TokenizerJSON, own: string): { words: string; notes: string[] } {
  const steps = pre_tokenizer?.type === "Sequence" ? pre_tokenizer.pretokenizers : pre_tokenizer ? [pre_tokenizer] : [];
  const [first] = steps;
  const isLlama = first?.type === "Split" && "Regex" in first.pattern && first.pattern.Regex === llamaPattern;
  const isGpt = steps.length === 1 && first?.type === "ByteLevel" && first.use_regex;
  const takesWhole = model.type === "BPE" && model.ignore_merges;
  const notes: string[] = [];
  if (!isLlama && !isGpt) notes.push("llama.cpp cuts words by GPT-2's pattern, not this tokenizer's");
  if (isLlama && !takesWhole)
    notes.push("llama.cpp takes a word of the vocabulary whole, which this tokenizer may not");
  if (!isLlama && takesWhole)
    notes.push("llama.cpp merges a word of the vocabulary too, which this tokenizer takes whole");
  return { words: isLlama ? "llama-bpe" : own, notes };
}
