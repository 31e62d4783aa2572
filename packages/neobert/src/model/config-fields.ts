// What the encoders' config schemas have in common: the types of their fields, reading with every wrong field named at
// once, and what fields must agree on. Each architecture's own file declares its fields and the published defaults.

import { z } from "zod";
import { shortened, shown } from "../files/checked.js";

export const size = z.int().positive();
/** Layers and labels: no encoder has thousands of the one or millions of the other, and each takes memory before a weight is read. */
const MAX_LAYERS = 4096;
const MAX_LABELS = 1_000_000;
export const layerCount = size.max(MAX_LAYERS);
export const range = z.number().nonnegative();
export const probability = z.number().min(0).lt(1);

/** The fields of every config.json, with the defaults of the published class; Hugging Face's number of labels is two. */
export function commonFields(published: { width: number; layers: number; heads: number; tokens: number; pad: number }) {
  return {
    architectures: z.array(z.string()).nullish(),
    // Names may be numbers there, or a list; null stands for none.
    id2label: z.preprocess(asLabelNames, z.record(z.string(), z.string()).optional()),
    num_labels: absentIfNull(size.max(MAX_LABELS).optional()),
    hidden_size: size.default(published.width).describe("Model width"),
    num_hidden_layers: layerCount.default(published.layers).describe("Encoder blocks"),
    num_attention_heads: size.default(published.heads).describe("Attention heads"),
    vocab_size: size
      .default(published.tokens)
      .meta({ description: "Rows of the token embedding", fallback: "the tokenizer's" }),
    pad_token_id: absentIfNull(z.int().nonnegative().default(published.pad)).meta({
      description: "Id of [PAD]",
      fallback: "the tokenizer's",
    }),
  };
}

/** Some files say null where they mean nothing. */
export function absentIfNull<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((value) => value ?? undefined, schema);
}

function asLabelNames(value: unknown): unknown {
  if (value === null) return undefined;
  if (typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, name]) => [key, typeof name === "number" ? `${name}` : name]),
  );
}

/** Descriptions of fields that several encoders have. */
export const described = {
  headWidth: { description: "Head width", fallback: "width / heads" },
  innerSize: "Feed-forward width",
  normEps: "Epsilon of the norms",
  segments: "Segments",
  length: { description: "Longest text of training", fallback: "`maxLength`" },
  positions: { description: "Rows of the position table", fallback: "`maxLength`" },
  deviation: "Initial deviation",
  dropout: "Dropout in the encoder",
  attentionDropout: "Dropout of attention's probabilities",
  classifierDropout: "Dropout before a classification head",
  theta: "Base of the rotary angles",
  rope: "Rotary positions",
  activation: "Feed-forward unit",
  tied: "Decoder and token embedding are one",
  pooling: "What a classifier of sequences reads",
  attentionBias: "Biases of attention's projections",
  feedForwardBias: "Biases of the feed-forward unit",
};

/** What every encoder's config has once it is read. */
export interface CommonModelConfig {
  hidden_size: number;
  num_attention_heads: number;
  vocab_size: number;
  pad_token_id: number;
  id2label?: Record<string, string> | undefined;
  num_labels?: number | undefined;
}

/** `raw`, a parsed config.json, by `schema`. Throws naming every wrong field of the class `name` at once. */
export function readFields<Schema extends z.ZodType>(name: string, schema: Schema, raw: unknown): z.output<Schema> {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => {
    const got = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], raw);
    return `${path.join(".") || "config"}: ${message}, got ${shown(got, 200)}`;
  });
  throw new Error(
    `${name}: expected a config.json of a model that can be computed here, got\n  ${shortened(issues.join("\n  "), 4000)}`,
  );
}

/** `readFields` with the checks that every encoder needs: widths, padding id and labels that go together. */
export function readConfig<Schema extends z.ZodType<CommonModelConfig>>(
  name: string,
  schema: Schema,
  raw: unknown,
): z.output<Schema> {
  const config = readFields(name, schema, raw);
  const { hidden_size: C, num_attention_heads: H } = config;
  if (C % H !== 0) throw wrongConfig(name, "hidden_size to be a multiple of num_attention_heads", `${C} and ${H}`);
  if (config.pad_token_id >= config.vocab_size) {
    throw wrongConfig(name, `pad_token_id below vocab_size ${config.vocab_size}`, `${config.pad_token_id}`);
  }
  // id2label goes before num_labels, as in transformers.
  if (config.id2label && config.num_labels !== undefined) config.num_labels = labelCount(config);
  return config;
}

export function wrongConfig(name: string, expected: string, got: string): Error {
  return new Error(`${name}: expected ${expected}, got ${got}`);
}

/** The width of a head, which `field` may give too. Throws where that is another, or odd where positions are rotary. */
export function headWidth(
  name: string,
  { hidden_size, num_attention_heads }: CommonModelConfig,
  {
    field = "head_dim",
    given,
    isRotary = true,
  }: { field?: string; given?: number | null | undefined; isRotary?: boolean },
): number {
  const D = hidden_size / num_attention_heads;
  if (given != null && given !== D) {
    throw wrongConfig(name, `${field} to be hidden_size / num_attention_heads = ${D}`, `${given}`);
  }
  if (isRotary && D % 2 !== 0) throw wrongConfig(name, "an even head width, which rotary positions need", `${D}`);
  return D;
}

export function labelCount({ id2label, num_labels = 2 }: Pick<CommonModelConfig, "id2label" | "num_labels">): number {
  return id2label ? Object.keys(id2label).length : num_labels;
}
