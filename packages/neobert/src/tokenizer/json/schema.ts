// tokenizer.json (the serialization of Hugging Face tokenizers) as a schema: what of it is understood here, and the
// errors for the rest. Fields are published names, so a parsed object is what `toJSON` writes. The parts that one
// model type goes with (normalizer, pre-tokenizer, decoder) are checked with it.

import { z } from "zod";
import { isObject, namesTo, shown } from "../../files/checked.js";

/** Ids are 32-bit numbers, here and in the models. */
const id = z
  .int()
  .nonnegative()
  .max(2 ** 31 - 1);

const addedToken = z.object({
  id,
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
  special: z.boolean().default(false),
});

const direction = z.enum(["Left", "Right"]).default("Right");

const truncation = z.object({
  direction,
  max_length: id,
  strategy: z.enum(["LongestFirst", "OnlyFirst", "OnlySecond"]),
  stride: id.default(0),
});

const padding = z.object({
  strategy: z.union([z.literal("BatchLongest"), z.object({ Fixed: id })]),
  direction,
  pad_to_multiple_of: id.nullable().default(null),
  pad_id: id,
  pad_type_id: id,
  pad_token: z.string(),
});

const templatePiece = z.union([
  z.object({ SpecialToken: z.object({ id: z.string(), type_id: id }) }),
  z.object({ Sequence: z.object({ id: z.enum(["A", "B"]), type_id: id }) }),
]);

const tokenAndId = z.tuple([z.string(), id]);

const byteLevel = z.object({
  type: z.literal("ByteLevel"),
  add_prefix_space: z.boolean().default(true),
  trim_offsets: z.boolean().default(true),
  use_regex: z.boolean().default(true),
});

const postProcessorStep = z.discriminatedUnion("type", [
  byteLevel,
  z.object({
    type: z.literal("RobertaProcessing"),
    sep: tokenAndId,
    cls: tokenAndId,
    trim_offsets: z.boolean().default(true),
    add_prefix_space: z.boolean().default(true),
  }),
  z.object({
    type: z.literal("TemplateProcessing"),
    single: z.array(templatePiece),
    pair: z.array(templatePiece),
    special_tokens: namesTo(
      z.object({ id: z.string(), ids: z.array(id), tokens: z.array(z.string()) }),
      "an object of special tokens",
    ),
  }),
  z.object({ type: z.literal("BertProcessing"), sep: tokenAndId, cls: tokenAndId }),
]);

const postProcessor = z.union([
  postProcessorStep,
  z.object({ type: z.literal("Sequence"), processors: z.array(postProcessorStep) }),
]);

const bertNormalizer = z.object({
  type: z.literal("BertNormalizer"),
  clean_text: z.boolean(),
  handle_chinese_chars: z.boolean(),
  strip_accents: z.boolean().nullable().default(null),
  lowercase: z.boolean(),
});

/** What every tokenizer.json has. */
const common = {
  version: z.string().default("1.0"),
  truncation: truncation.nullable().default(null),
  padding: padding.nullable().default(null),
  added_tokens: z.array(addedToken).default([]),
  post_processor: postProcessor.nullable().default(null),
};

/** A token to its id. */
export const vocabSchema = namesTo(id, "an object of tokens and ids");

const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);

const normalizerStep = z.discriminatedUnion("type", [
  bertNormalizer,
  z.object({ type: z.enum(["NFC", "NFD", "NFKC", "NFKD"]) }),
  z.object({ type: z.enum(["Lowercase", "StripAccents", "Nmt", "ByteLevel"]) }),
  z.object({ type: z.literal("Strip"), strip_left: z.boolean(), strip_right: z.boolean() }),
  z.object({ type: z.literal("Replace"), pattern, content: z.string() }),
  z.object({ type: z.literal("Prepend"), prepend: z.string() }),
]);

const normalizer = z.union([
  normalizerStep,
  z.object({ type: z.literal("Sequence"), normalizers: z.array(normalizerStep) }),
]);

const behavior = z.enum(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]);

const preTokenizerStep = z.discriminatedUnion("type", [
  byteLevel,
  z.object({ type: z.literal("Split"), pattern, behavior, invert: z.boolean().default(false) }),
  z.object({ type: z.literal("Digits"), individual_digits: z.boolean().default(false) }),
  z.object({ type: z.literal("Punctuation"), behavior: behavior.default("Isolated") }),
  z.object({ type: z.literal("CharDelimiterSplit"), delimiter: z.string().min(1).max(2) }),
  z.object({ type: z.literal("FixedLength"), length: z.int().positive().default(5) }),
  z.object({ type: z.enum(["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]) }),
]);

const preTokenizer = z.union([
  preTokenizerStep,
  z.object({
    type: z.literal("Sequence"),
    pretokenizers: z.array(preTokenizerStep),
  }),
]);

const wordPieceTokenizer = z.object({
  ...common,
  normalizer: normalizer.nullable().default(null),
  pre_tokenizer: preTokenizer.nullable().default(null),
  decoder: z
    .object({ type: z.literal("WordPiece"), prefix: z.string(), cleanup: z.boolean() })
    .nullable()
    .default(null),
  model: z.object({
    type: z.literal("WordPiece"),
    unk_token: z.string().default("[UNK]"),
    continuing_subword_prefix: z.string().default("##"),
    max_input_chars_per_word: z.int().positive().default(100),
    vocab: vocabSchema,
  }),
});

const decoderStep = z.discriminatedUnion("type", [
  byteLevel,
  z.object({ type: z.enum(["ByteFallback", "Fuse"]) }),
  z.object({ type: z.literal("Replace"), pattern, content: z.string() }),
  z.object({ type: z.literal("Strip"), content: z.string().length(1), start: id, stop: id }),
]);

const decoder = z.union([decoderStep, z.object({ type: z.literal("Sequence"), decoders: z.array(decoderStep) })]);

/** "a b" of older files, or a pair. Tokens that hold a space need a pair. */
const merge = z.union([
  z.tuple([z.string(), z.string()]),
  z
    .string()
    .regex(/^[^ ]+ [^ ]+$/, 'expected two tokens with a space between, as in "a b"')
    .transform((line) => line.split(" ") as [string, string]),
]);

const nothing = z.union([z.null(), z.literal("")]).default(null);

const bpeTokenizer = z.object({
  ...common,
  normalizer: normalizer.nullable().default(null),
  pre_tokenizer: preTokenizer.nullable().default(null),
  decoder: decoder.nullable().default(null),
  model: z.object({
    type: z.literal("BPE"),
    dropout: z
      .union([z.null(), z.literal(0)], "expected no dropout: it gives a text other ids each time")
      .default(null),
    unk_token: z.string().nullable().default(null),
    continuing_subword_prefix: nothing,
    end_of_word_suffix: nothing,
    fuse_unk: z.boolean().default(false),
    byte_fallback: z.boolean().default(false),
    ignore_merges: z.boolean().default(false),
    vocab: vocabSchema,
    merges: z.array(merge),
  }),
});

export type WordPieceJSON = z.output<typeof wordPieceTokenizer>;
export type BpeJSON = z.output<typeof bpeTokenizer>;
export type TokenizerJSON = WordPieceJSON | BpeJSON;
export type AddedToken = z.output<typeof addedToken>;
export type PostProcessorJSON = z.output<typeof postProcessor>;
export type BertNormalizerJSON = z.output<typeof bertNormalizer>;
export type PatternJSON = z.output<typeof pattern>;
export type NormalizerJSON = z.output<typeof normalizer>;
export type PreTokenizerJSON = z.output<typeof preTokenizer>;
export type DecoderJSON = z.output<typeof decoder>;

/** The schema of each model type that is understood. */
const schemas: Record<string, typeof wordPieceTokenizer | typeof bpeTokenizer> = {
  WordPiece: wordPieceTokenizer,
  BPE: bpeTokenizer,
};

const wayOut =
  "Load a WordPiece (BERT) or byte-level BPE (RoBERTa, GPT-2, ModernBERT) tokenizer, or one that " +
  "`tokenizer.save(...)` of Hugging Face tokenizers wrote whole.";

/** The checked object with defaults filled in and one-element Sequences unwrapped.
 * Throws on anything that is not understood, naming the place in the file. */
export function parseTokenizerJSON(json: unknown): TokenizerJSON {
  const where = "tokenizer.json";
  if (!isObject(json) || !isObject(json.model)) {
    throw new Error(`${where}: expected an object with a model, got ${shown(json)}\n${wayOut}`);
  }
  // Files from before tokenizers 0.9 do not name the model's type; only BPE has merges, only Unigram a list.
  const { model } = json;
  const type = model.type ?? ("merges" in model ? "BPE" : Array.isArray(model.vocab) ? "Unigram" : "WordPiece");
  const schema = typeof type === "string" && Object.hasOwn(schemas, type) ? schemas[type] : undefined;
  if (!schema) {
    throw new Error(
      `${where}: expected a model of type ${Object.keys(schemas).join(" or ")}, got ${shown(type)}\n${wayOut}`,
    );
  }
  const parsed = schema.safeParse({
    ...json,
    model: { ...model, type },
    normalizer: unwrap(json.normalizer, "normalizers"),
    pre_tokenizer: unwrap(json.pre_tokenizer, "pretokenizers"),
    post_processor: unwrap(json.post_processor, "processors"),
    decoder: unwrap(json.decoder, "decoders"),
  });
  if (!parsed.success) {
    const problems = parsed.error.issues.slice(0, 5).map((issue) => {
      const path = shown(issue.path.join("."), 200).slice(1, -1);
      return `${path}: ${issue.message.slice(0, 300)}, got ${shown(issue.path.reduce<unknown>(member, json))}`;
    });
    throw new Error(`${where}: expected a ${type} tokenizer, got ${problems.join("; ")}\n${wayOut}`);
  }
  return parsed.data;
}

export function isWordPiece(json: TokenizerJSON): json is WordPieceJSON {
  return json.model.type === "WordPiece";
}

/** A Sequence of one part is that part, one inside another the parts of both. */
function unwrap(part: unknown, field: string): unknown {
  if (!isObject(part) || part.type !== "Sequence" || !Array.isArray(part[field])) return part;
  const parts = part[field].flatMap((inner) => {
    const whole = unwrap(inner, field);
    return isObject(whole) && whole.type === "Sequence" && Array.isArray(whole[field]) ? whole[field] : [whole];
  });
  return parts.length === 1 ? parts[0] : { ...part, [field]: parts };
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
}
