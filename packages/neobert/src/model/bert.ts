// BERT (Devlin et al. 2018, arXiv 1810.04805): learned positions and segments, post-LayerNorm, GELU, biases everywhere.
// Names, shapes, defaults and dropout are those of Hugging Face's BertModel and its heads; the masked-language-model
// decoder is the word embedding unless the config unties it. C hidden size, I inner size, V vocabulary, N tokens.
// RoBERTa (roberta.ts) has the same encoder under another prefix.

import { z } from "zod";
import type { Architecture, GgufForm, Head, Initializer, ParameterSpec } from "./architecture.js";
import {
  type CommonModelConfig,
  commonFields,
  described,
  labelCount,
  probability,
  range,
  readConfig,
  size,
} from "./config-fields.js";
import type { Batch, Ops, RowChoice, Weights } from "./ops.js";
import { classNamesOf, dense, layerNorm, matrix, normOf, table, vector } from "./parameters.js";
import { tokenHeadLogits, tokenHeadParameters } from "./token-heads.js";

/** The fields, with BERT's defaults; RoBERTa has the same with a few other defaults. */
export const bertFields = {
  ...commonFields({ width: 768, layers: 12, heads: 12, tokens: 30522, pad: 0 }),
  intermediate_size: size.default(3072).describe(described.innerSize),
  hidden_act: z.literal("gelu").default("gelu").describe(described.activation),
  hidden_dropout_prob: probability.default(0.1).describe(described.dropout),
  attention_probs_dropout_prob: probability.default(0.1).describe(described.attentionDropout),
  max_position_embeddings: size.default(512).meta(described.positions),
  initializer_range: range.default(0.02).describe(described.deviation),
  layer_norm_eps: range.default(1e-12).describe(described.normEps),
  position_embedding_type: z.literal("absolute").default("absolute").describe("Positions"),
  classifier_dropout: probability.nullable().default(null).describe(described.classifierDropout),
  tie_word_embeddings: z.boolean().default(true).describe(described.tied),
  is_decoder: z.literal(false).optional(),
  add_cross_attention: z.literal(false).optional(),
  type_vocab_size: size.default(2).describe(described.segments),
};

const schema = z.looseObject({ model_type: z.literal("bert").default("bert"), ...bertFields });

/** The published config.json field for field. Fields not known here are kept. */
export type BertConfig = z.output<typeof schema>;

export const bertDropout = ["hidden_dropout_prob", "attention_probs_dropout_prob"];

/** What the shared encoder reads of a config. */
export type BertEncoderConfig = z.output<z.ZodObject<typeof bertFields>>;

const layerPrefix = (prefix: string, layer: number) => `${prefix}encoder.layer.${layer}`;

/** The parameters of the encoder under its prefix, `bert.` or `roberta.`. */
export function encoderParameters(prefix: string, config: BertEncoderConfig): ParameterSpec[] {
  const { hidden_size: C, intermediate_size: I } = config;
  const init: Initializer = { kind: "normal", std: config.initializer_range };
  const words: Initializer = { ...init, zeroRow: config.pad_token_id };
  const embeddings = `${prefix}embeddings`;
  const specs = [
    table(`${embeddings}.word_embeddings.weight`, config.vocab_size, C, words, { tied: config.tie_word_embeddings }),
    table(`${embeddings}.position_embeddings.weight`, config.max_position_embeddings, C, init),
    table(`${embeddings}.token_type_embeddings.weight`, config.type_vocab_size, C, init),
    ...layerNorm(`${embeddings}.LayerNorm`, C),
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(prefix, layer)}.${rest}`;
    for (const part of ["query", "key", "value"]) specs.push(...dense(name(`attention.self.${part}`), C, C, init));
    specs.push(...dense(name("attention.output.dense"), C, C, init));
    specs.push(...layerNorm(name("attention.output.LayerNorm"), C));
    specs.push(...dense(name("intermediate.dense"), I, C, init), ...dense(name("output.dense"), C, I, init));
    specs.push(...layerNorm(name("output.LayerNorm"), C));
  }
  return specs;
}

export interface EncoderOptions<T> {
  prefix: string;
  /** Row of the position table that a sequence's first token has. */
  firstPosition: number;
  rows?: RowChoice<T>;
}

/** Last hidden state [N, C], or of the rows asked for [M, C]. */
export function encoderForward<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  config: BertEncoderConfig,
  batch: Batch<T>,
  { prefix, firstPosition, rows }: EncoderOptions<T>,
): T {
  const { num_attention_heads: heads, hidden_dropout_prob: p, attention_probs_dropout_prob } = config;
  const scale = 1 / Math.sqrt(config.hidden_size / heads);
  const norm = (name: string) => normOf(weights, name, config.layer_norm_eps);
  const table = (name: string, indices: T) => ops.embedding(weights(`${prefix}embeddings.${name}.weight`), indices);
  const words = table("word_embeddings", batch.ids); // [N] -> [N, C]
  const segments = table("token_type_embeddings", ops.tokenTypes(batch));
  const positions = table("position_embeddings", ops.positions(batch, firstPosition));
  const [, embedded] = ops.addNorm(ops.add(words, segments), positions, norm(`${prefix}embeddings.LayerNorm`));

  let x = ops.dropout(embedded, p);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(prefix, layer)}.${rest}`;
    const dense = (x: T, rest: string) => ops.linear(x, weights(name(`${rest}.weight`)), weights(name(`${rest}.bias`)));
    [x] = ops.block((state) => {
      let residual = state as T;
      const part = (which: string) => dense(residual, `attention.self.${which}`); // [N, C]
      const projection = { layout: "separate", q: part("query"), k: part("key"), v: part("value") } as const;
      const qkv = ops.splitQkv(projection, { heads }); // 3 of [N, H, D]
      let attended = ops.attention(qkv, batch, scale, undefined, attention_probs_dropout_prob); // [N, C]
      if (rows && layer === config.num_hidden_layers - 1) {
        attended = ops.gatherRows(attended, rows, batch); // [N, C] -> [M, C]
        residual = ops.gatherRows(residual, rows, batch);
      }
      const projected = ops.dropout(dense(attended, "attention.output.dense"), p);
      const [, middle] = ops.addNorm(residual, projected, norm(name("attention.output.LayerNorm")));
      const inner = ops.gelu(dense(middle, "intermediate.dense")); // [N, C] -> [N, I]
      const output = ops.dropout(dense(inner, "output.dense"), p);
      return [ops.addNorm(middle, output, norm(name("output.LayerNorm")))[1]];
    }, x) as [T];
  }
  return x;
}

/** Dropout in front of a classifier: the config's own, or the encoder's where it names none. */
export function classifierDropout(config: Pick<BertConfig, "classifier_dropout" | "hidden_dropout_prob">): number {
  return config.classifier_dropout ?? config.hidden_dropout_prob;
}

/** llama.cpp's form of BERT, which RoBERTa has there too. */
export function bertGguf({ layer_norm_eps, type_vocab_size }: BertEncoderConfig, words: string): GgufForm {
  return {
    architecture: "bert",
    renames: [
      [/^embeddings\.word_embeddings/, "token_embd"],
      [/^embeddings\.position_embeddings/, "position_embd"],
      [/^embeddings\.token_type_embeddings/, "token_types"],
      [/^embeddings\.LayerNorm/, "token_embd_norm"],
      [/^encoder\.layer\.(\d+)\./, "blk.$1."],
      [/attention\.self\.query/, "attn_q"],
      [/attention\.self\.key/, "attn_k"],
      [/attention\.self\.value/, "attn_v"],
      [/attention\.output\.dense/, "attn_output"],
      [/attention\.output\.LayerNorm/, "attn_output_norm"],
      [/intermediate\.dense/, "ffn_up"],
      [/output\.dense/, "ffn_down"],
      [/(\d\.)output\.LayerNorm/, "$1layer_output_norm"],
    ],
    metadata: {
      "attention.layer_norm_epsilon": { float: layer_norm_eps },
      "tokenizer.ggml.token_type_count": type_vocab_size,
    },
    words,
    hasGelu: true,
  };
}

/** How the heads of BERT's classes are called, and what NomicBERT's have in another way. */
export interface BertHeads {
  prefix: string;
  /** The norm in front of the decoder, and the activation before it. */
  norm: string;
  activation: "gelu" | "silu";
}

type BertHeadConfig = CommonModelConfig &
  Pick<
    BertEncoderConfig,
    "initializer_range" | "layer_norm_eps" | "tie_word_embeddings" | "classifier_dropout" | "hidden_dropout_prob"
  >;

const PREDICTIONS = "cls.predictions";

const decoderName = ({ prefix }: BertHeads, { tie_word_embeddings }: BertHeadConfig) =>
  tie_word_embeddings ? `${prefix}embeddings.word_embeddings.weight` : `${PREDICTIONS}.decoder.weight`;

export function headParameters(heads: BertHeads, config: BertHeadConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, vocab_size: V } = config;
  const init: Initializer = { kind: "normal", std: config.initializer_range };
  if (head === "maskedLM") {
    return [
      ...dense(`${PREDICTIONS}.transform.dense`, C, C, init),
      ...layerNorm(`${PREDICTIONS}.transform.${heads.norm}`, C),
      vector(`${PREDICTIONS}.bias`, V),
      ...(config.tie_word_embeddings ? [] : [matrix(decoderName(heads, config), V, C, init)]),
    ];
  }
  if (head !== "sequenceClassification") return tokenHeadParameters(head, config, init);
  return [...dense(`${heads.prefix}pooler.dense`, C, C, init), ...dense("classifier", labelCount(config), C, init)];
}

/** The masked-language-model head's last product, of hidden rows [M, C]. */
export function decoder<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  heads: BertHeads,
  config: BertHeadConfig,
  hidden: T,
): [x: T, weight: T, bias: T] {
  const name = (rest: string) => `${PREDICTIONS}.transform.${rest}`;
  const inner = ops[heads.activation](ops.linear(hidden, weights(name("dense.weight")), weights(name("dense.bias"))));
  const x = ops.norm(inner, normOf(weights, name(heads.norm), config.layer_norm_eps));
  return [x, weights(decoderName(heads, config), "product"), weights(`${PREDICTIONS}.bias`)];
}

/** Logits [B, labels] of the first tokens' states [B, C]. */
export function pooledLogits<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  { prefix }: BertHeads,
  config: BertHeadConfig,
  first: T,
): T {
  const pooler = (rest: string) => weights(`${prefix}pooler.dense.${rest}`);
  const pooled = ops.tanh(ops.linear(first, pooler("weight"), pooler("bias")));
  const dropped = ops.dropout(pooled, classifierDropout(config));
  return ops.linear(dropped, weights("classifier.weight"), weights("classifier.bias"));
}

const heads: BertHeads = { prefix: "bert.", norm: "LayerNorm", activation: "gelu" };

export const bert: Architecture<BertConfig> = {
  modelType: "bert",
  title: "BERT",
  paper: "arXiv 1810.04805",
  classNames: classNamesOf("Bert"),
  otherClassNames: { BertForPreTraining: "maskedLM" },
  prefix: "bert.",
  checkpoints: {
    renames: [
      [/\.gamma$/, ".weight"],
      [/\.beta$/, ".bias"],
      [/^cls\.predictions\.decoder\.weight$/, "bert.embeddings.word_embeddings.weight"],
      [/^cls\.predictions\.decoder\.bias$/, "cls.predictions.bias"],
    ],
    // The next-sentence head, which no other use has.
    ignored: /^cls\.seq_relationship\./,
  },
  python: { transformers: 4 },
  fields: schema.shape,
  lengthField: "max_position_embeddings",
  dropoutFields: bertDropout,
  freshFields: ({ maxLength }) => ({ max_position_embeddings: maxLength }),
  parseConfig: (raw) => readConfig("BertConfig", schema, raw),
  parameters: (config, head) => [...encoderParameters("bert.", config), ...headParameters(heads, config, head)],
  maxPositions: (config) => config.max_position_embeddings,
  segments: (config) => config.type_vocab_size,
  innerSize: (config) => config.intermediate_size,
  attentionDropout: (config) => config.attention_probs_dropout_prob,
  gguf: (config) => bertGguf(config, "gpt-2"),
  forward: (ops, weights, config, batch, { rows } = {}) =>
    encoderForward(ops, weights, config, batch, { prefix: "bert.", firstPosition: 0, ...(rows && { rows }) }),
  decoder: (ops, weights, config, hidden) => decoder(ops, weights, heads, config, hidden),
  sequenceLogits(ops, weights, config, batch) {
    const first = bert.forward(ops, weights, config, batch, { rows: "first" }); // [B, C]
    return pooledLogits(ops, weights, heads, config, first);
  },
  tokenLogits: (ops, weights, config, hidden, head) =>
    tokenHeadLogits(ops, weights, head, hidden, classifierDropout(config)),
};
