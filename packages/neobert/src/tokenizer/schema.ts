// tokenizer.json (the serialization of Hugging Face tokenizers) as a schema: what of it is understood here, and the
// errors for the rest. Fields are published names, so a parsed object is what `toJSON` writes. The parts that one
// model type goes with (normalizer, pre-tokenizer, decoder) are checked with it.

import { z } from "zod";

const id = z.int().nonnegative();

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

const postProcessor = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("TemplateProcessing"),
    single: z.array(templatePiece),
    pair: z.array(templatePiece),
    special_tokens: z.record(z.string(), z.object({ id: z.string(), ids: z.array(id), tokens: z.array(z.string()) })),
  }),
  z.object({ type: z.literal("BertProcessing"), sep: tokenAndId, cls: tokenAndId }),
]);

const bertNormalizer = z.object({
  type: z.literal("BertNormalizer"),
  clean_text: z.boolean(),
  handle_chinese_chars: z.boolean(),
  strip_accents: z.boolean().nullable().default(null),
  lowercase: z.boolean(),
});

const wordPieceTokenizer = z.object({
  version: z.string().default("1.0"),
  truncation: truncation.nullable().default(null),
  padding: padding.nullable().default(null),
  added_tokens: z.array(addedToken).default([]),
  normalizer: bertNormalizer,
  pre_tokenizer: z.object({ type: z.literal("BertPreTokenizer") }),
  post_processor: postProcessor.nullable().default(null),
  decoder: z
    .object({ type: z.literal("WordPiece"), prefix: z.string(), cleanup: z.boolean() })
    .nullable()
    .default(null),
  model: z.object({
    type: z.literal("WordPiece"),
    unk_token: z.string().default("[UNK]"),
    continuing_subword_prefix: z.string().default("##"),
    max_input_chars_per_word: z.int().positive().default(100),
    vocab: z.record(z.string(), id),
  }),
});

export type TokenizerJSON = z.output<typeof wordPieceTokenizer>;
export type AddedToken = z.output<typeof addedToken>;
export type PostProcessorJSON = z.output<typeof postProcessor>;

/** The schema of each model type that is understood. */
const schemas: Record<string, typeof wordPieceTokenizer> = { WordPiece: wordPieceTokenizer };

const wayOut =
  "Load a WordPiece (BERT) tokenizer, or one that `tokenizer.save(...)` of Hugging Face tokenizers wrote whole.";

/** The checked object with defaults filled in and one-element Sequences unwrapped.
 * Throws on anything that is not understood, naming the place in the file. */
export function parseTokenizerJSON(json: unknown): TokenizerJSON {
  const where = "tokenizer.json";
  if (!isObject(json) || !isObject(json.model)) {
    throw new Error(`${where}: expected an object with a model, got ${describe(json)}\n${wayOut}`);
  }
  // Files from before tokenizers 0.9 do not name the model's type; only BPE has merges, only Unigram a list.
  const { model } = json;
  const type = model.type ?? ("merges" in model ? "BPE" : Array.isArray(model.vocab) ? "Unigram" : "WordPiece");
  const schema = schemas[String(type)];
  if (!schema) {
    throw new Error(
      `${where}: expected a model of type ${Object.keys(schemas).join(" or ")}, got ${describe(type)}\n${wayOut}`,
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
      const path = issue.path.join(".");
      return `${path}: ${issue.message}, got ${describe(issue.path.reduce<unknown>(member, json))}`;
    });
    throw new Error(`${where}: expected a ${type} tokenizer, got ${problems.join("; ")}\n${wayOut}`);
  }
  return parsed.data;
}

/** A Sequence of one part is that part. */
function unwrap(part: unknown, field: string): unknown {
  if (!isObject(part) || part.type !== "Sequence") return part;
  const parts = part[field];
  return Array.isArray(parts) && parts.length === 1 ? parts[0] : part;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
}

function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
