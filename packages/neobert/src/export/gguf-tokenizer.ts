// A tokenizer as the tables that llama.cpp reads from a GGUF file: WordPiece as its `bert` kind, byte-level BPE as `gpt2`.
// Tokens stand in the order of their ids; ids of the model that the tokenizer does not use are unused tokens.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../files/input-file.js";
import { loadTokenizer } from "../tokenizer/index.js";
import { bool, type GgufValue, string, uint32 } from "./gguf-file.js";

const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

const schema = z.looseObject({
  model: z.looseObject({
    type: z.enum(["WordPiece", "BPE"]),
    vocab: z.record(z.string(), z.int().nonnegative()),
    unk_token: z.string().nullish(),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).default([]),
  }),
  normalizer: z
    .looseObject({
      type: z.string().optional(),
      lowercase: z.boolean().optional(),
      strip_accents: z.boolean().nullish(),
    })
    .nullish(),
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean() })).default([]),
});

export interface GgufTokenizer {
  metadata: Record<string, GgufValue>;
  /** What llama.cpp does otherwise than the tokenizer. */
  notes: string[];
}

/** The tables for the tokenizer of a folder, for a model of `vocabSize` tokens, with what llama.cpp calls the words of its BPE. Throws for other kinds of tokenizer. */
export function ggufTokenizer(folder: string, vocabSize: number, words: string): GgufTokenizer {
  const file = join(folder, "tokenizer.json");
  const parsed = schema.safeParse(existsSync(file) ? readJsonFile(file) : loadTokenizer(folder).toJSON());
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new Error(
      `${file}: expected a WordPiece or byte-level BPE tokenizer, got ${path.join(".")}: ${message}\nllama.cpp reads these two of our models.`,
    );
  }
  const { model, normalizer, added_tokens: added } = parsed.data;
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
  // Its WordPiece marks the beginning of a word where BERT's marks the continuation.
  const phantom = (token: string) => (token.startsWith("##") ? token.slice(2) : `\u2581${token}`);
  for (const [token, id] of Object.entries(model.vocab)) set(id, isWordPiece ? phantom(token) : token, NORMAL);
  for (const { id, content, special } of added) {
    set(id, isWordPiece && !special ? phantom(content) : content, special ? CONTROL : USER_DEFINED);
  }

  const idOf = new Map([...Object.entries(model.vocab), ...added.map(({ content, id }) => [content, id] as const)]);
  const specialTokens = namedTokens(folder, model.unk_token);
  const special = (name: string, key: string): Record<string, GgufValue> => {
    const id = specialTokens[name]?.map((token) => idOf.get(token)).find((id) => id !== undefined);
    return id === undefined ? {} : { [`tokenizer.ggml.${key}_token_id`]: uint32(id) };
  };
  const metadata: Record<string, GgufValue> = {
    "tokenizer.ggml.model": string(isWordPiece ? "bert" : "gpt2"),
    "tokenizer.ggml.pre": string(isWordPiece ? "default" : words),
    "tokenizer.ggml.tokens": { type: "string", value: tokens },
    "tokenizer.ggml.token_type": { type: "int32", value: kinds },
    ...special("cls", "bos"),
    ...special("sep", "eos"),
    ...special("sep", "seperator"), // as llama.cpp spells it
    ...special("pad", "padding"),
    ...special("unk", "unknown"),
    ...special("mask", "mask"),
  };
  if (!isWordPiece) {
    metadata["tokenizer.ggml.merges"] = {
      type: "string",
      value: model.merges.map((pair) => (typeof pair === "string" ? pair : pair.join(" "))),
    };
    metadata["tokenizer.ggml.add_bos_token"] = bool(true);
    metadata["tokenizer.ggml.add_eos_token"] = bool(true);
    metadata["tokenizer.ggml.add_sep_token"] = bool(true); // between the texts of a pair
  }
  if (!isWordPiece) {
    const form = normalizer?.type;
    return { metadata, notes: form ? [`llama.cpp does not normalise texts to ${form} as this tokenizer does`] : [] };
  }
  const lowercase = normalizer?.lowercase ?? true;
  metadata["tokenizer.ggml.normalizer.lowercase"] = bool(lowercase);
  metadata["tokenizer.ggml.normalizer.strip_accents"] = bool(normalizer?.strip_accents ?? lowercase);
  return {
    metadata,
    notes: lowercase ? [] : ["older versions of llama.cpp lower-case texts, which this tokenizer does not"],
  };
}

const namedToken = z.union([z.string(), z.looseObject({ content: z.string() })]);

/** What cls, sep, pad, unk and mask may be called: as the folder's configs say, or as BERT or RoBERTa do. */
function namedTokens(folder: string, unk: string | null | undefined): Record<string, string[]> {
  const usual = {
    cls: ["[CLS]", "<s>"],
    sep: ["[SEP]", "</s>"],
    pad: ["[PAD]", "<pad>"],
    mask: ["[MASK]", "<mask>"],
    unk: [...(unk ? [unk] : []), "[UNK]", "<unk>"],
  };
  const configs = ["tokenizer_config.json", "special_tokens_map.json"]
    .map((name) => join(folder, name))
    .filter((file) => existsSync(file))
    .map((file) => readJsonFile(file) as Record<string, unknown>);
  return Object.fromEntries(
    Object.entries(usual).map(([name, fallbacks]) => {
      const given = configs.flatMap((config) => {
        const token = namedToken.safeParse(config[`${name}_token`]);
        return token.success ? [typeof token.data === "string" ? token.data : token.data.content] : [];
      });
      return [name, [...given, ...fallbacks]];
    }),
  );
}
