// NeoBERT (Le Breton et al. 2025, arXiv 2502.19587): a deep, narrow encoder with rotary positions, pre-RMSNorm, SwiGLU
// and no biases. The config's ablation fields give the paper's other models: learned positions, LayerNorm, GELU (M0)
// and the normalised transformer (nGPT, Loshchilov et al. 2024, arXiv 2410.01131) in two forms: `ngpt-neobert`, the
// published class's, whose weights are never normalised, and `ngpt`, that of nGPT's own paper. Names, shapes and layouts
// are those of the published checkpoints. C hidden size, H heads, D = C / H, I inner size, V vocabulary, N tokens of the
// batch.

import { z } from "zod";
import type { Architecture, GgufForm, Head, Initializer, ParameterSpec } from "./architecture.js";
import {
  commonFields,
  described,
  headWidth,
  labelCount,
  probability,
  range,
  readConfig,
  size,
} from "./config-fields.js";
import type { Batch, Norm, Ops, RotaryAngles, RowChoice, Weights } from "./ops.js";
import { classNamesOf, dense, layerNorm, matrix, table, vector } from "./parameters.js";
import { tokenHeadLogits, tokenHeadParameters } from "./token-heads.js";

// NOTE: the defaults are the published class's, for files that leave a field out. The released model differs in
// norm_eps (1e-5) and max_length (4096), so a checkpoint's own file has to be read.
const schema = z.looseObject({
  model_type: z.literal("neobert").default("neobert"),
  ...commonFields({ width: 768, layers: 28, heads: 12, tokens: 30522, pad: 0 }),
  dim_head: size.optional().meta(described.headWidth),
  // 3072 means 2048 gated units.
  intermediate_size: size.default(3072).describe("Feed-forward width before SwiGLU's reduction to two thirds"),
  embedding_init_range: range.default(0.02).describe("Initial range of the embedding"),
  decoder_init_range: range.default(0.02).describe("Initial range of the linear layers"),
  classifier_init_range: range.default(0.02).describe("Initial range of a classification head"),
  norm_eps: range.default(1e-6).describe(described.normEps),
  // A limit only with learned positions, whose table has max_length + 1 rows.
  max_length: size.default(1024).meta(described.length),
  dropout: probability.default(0).describe("Dropout in the encoder; the paper has none"),
  classifier_dropout: probability.default(0.1).describe(described.classifierDropout),
  rope: z.boolean().default(true).describe("Rotary positions (true) or learned ones"),
  rms_norm: z.boolean().default(true).describe("RMSNorm (true) or LayerNorm"),
  hidden_act: z
    .preprocess(
      (value) => (typeof value === "string" ? value.toLowerCase() : value),
      z.enum(["swiglu", "gelu"]).default("swiglu"),
    )
    .describe(described.activation),
  ngpt: z
    .literal([false, true, "ngpt-neobert", "ngpt"])
    .default(false)
    .describe("Normalised: as the paper's code has it (`true` or `ngpt-neobert`), or as nGPT's own (`ngpt`)"),
  base_scale: z.number().positive().optional().meta({
    description: "Deviation that nGPT's scaling parameters are expressed in",
    fallback: "1 / sqrt(960); of `ngpt` 1 / sqrt(width)",
  }),
});

/** The published config.json field for field, and the ablations' fields. Fields not known here are kept. */
export type NeoBERTConfig = z.output<typeof schema> & { base_scale: number };

const ROTARY_THETA = 10000;

/**
 * Reads a NeoBERT config.json (the parsed object), filling in the published class's defaults.
 * Throws naming every wrong field at once.
 */
export function parseNeoBERTConfig(raw: unknown): NeoBERTConfig {
  const config = readConfig("NeoBERTConfig", schema, raw);
  const options = { field: "dim_head", given: config.dim_head, isRotary: config.rope };
  const base_scale = config.base_scale ?? 1 / Math.sqrt(config.ngpt === "ngpt" ? config.hidden_size : 960);
  return { ...config, dim_head: headWidth("NeoBERTConfig", config, options), base_scale };
}

const layerPrefix = (layer: number) => `model.transformer_encoder.${layer}`;

/** SwiGLU's gated units are two thirds of what the config says, rounded up to a multiple of 8. */
function innerSize({ ngpt, hidden_act, intermediate_size: I }: NeoBERTConfig): number {
  return !ngpt && hidden_act === "swiglu" ? 8 * Math.ceil(Math.floor((2 * I) / 3) / 8) : I;
}

function parameters(config: NeoBERTConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, vocab_size: V, base_scale: scale, ngpt, pad_token_id } = config;
  const I = innerSize(config);
  const isUnit = ngpt === "ngpt";
  const linear: Initializer = isUnit
    ? { kind: "normal", std: scale }
    : { kind: "uniform", range: config.decoder_init_range };
  const embedding: Initializer = isUnit ? linear : { kind: "uniform", range: config.embedding_init_range };
  const output: Initializer = { kind: "normal", std: scale / Math.sqrt(2 * config.num_hidden_layers) };
  const classifier: Initializer = { kind: "normal", std: config.classifier_init_range };
  const norm = (name: string) => layerNorm(name, C, !config.rms_norm);
  /** Kept at unit norm along its dimension of width C where weights are normalised. */
  const unit = (spec: ParameterSpec, unitNormDim: 0 | 1): ParameterSpec => (isUnit ? { ...spec, unitNormDim } : spec);

  const specs = [unit(table("model.encoder.weight", V, C, { ...embedding, zeroRow: pad_token_id }), 1)];
  if (!config.rope) {
    specs.push(table("model.positional_embedding.weight", config.max_length + 1, C, { ...embedding, zeroRow: 0 }));
  }
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    specs.push(
      unit(matrix(name("qkv.weight"), 3 * C, C, linear), 1),
      unit(matrix(name("wo.weight"), C, C, isUnit ? output : linear), 0),
    );
    if (ngpt) {
      specs.push(unit(matrix(name("c_fc.weight"), 2 * I, C, linear), 1));
      specs.push(unit(matrix(name("mlp_c_proj.weight"), C, I, output), 0));
      specs.push(vector(name("attn_alpha"), C, scale), vector(name("mlp_alpha"), C, scale));
      specs.push(vector(name("sqk"), C, scale), vector(name("suv"), 2 * I, 1));
      continue;
    }
    specs.push(...norm(name("attention_norm")), ...norm(name("ffn_norm")));
    if (config.hidden_act === "swiglu") {
      specs.push(matrix(name("ffn.w12.weight"), 2 * I, C, linear), matrix(name("ffn.w3.weight"), C, I, linear));
    } else specs.push(matrix(name("ffn.0.weight"), I, C, linear), matrix(name("ffn.2.weight"), C, I, linear));
  }
  // The published nGPT class has this norm and the logits' scales, but its forward pass uses neither.
  if (!isUnit) specs.push(...norm("model.layer_norm"));
  if (ngpt) specs.push(vector("model.sz", V, scale));

  if (head === "maskedLM") {
    specs.push(unit(matrix("decoder.weight", V, C, linear), 1));
    if (!isUnit) specs.push(vector("decoder.bias", V));
  }
  if (head === "sequenceClassification") {
    specs.push(...dense("dense", C, C, classifier), ...dense("classifier", labelCount(config), C, classifier));
  }
  specs.push(...tokenHeadParameters(head, config, classifier));
  return specs;
}

interface Layer<T> {
  ops: Ops<T>;
  config: NeoBERTConfig;
  batch: Batch<T>;
  rotary?: RotaryAngles<T>;
  /** Set in the last layer where only some rows are asked for: what follows attention sees those alone. */
  rows?: RowChoice<T>;
  weight: (name: string) => T;
}

/**
 * Last hidden state [N, C], after the final norm, or of the rows asked for [M, C]. Asking for rows saves the output
 * projection and feed-forward of the other rows in the last layer, and changes nothing else.
 */
export function forward<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  config: NeoBERTConfig,
  batch: Batch<T>,
  { rows }: { rows?: RowChoice<T> } = {},
): T {
  let x = ops.embedding(weights("model.encoder.weight"), batch.ids); // [N] -> [N, C]
  let rotary: RotaryAngles<T> | undefined;
  if (config.rope) rotary = ops.rotaryAngles(ops.positions(batch, 0), config.dim_head!, ROTARY_THETA);
  // Row 0 of the table is the padding's, so the first token has position 1.
  else x = ops.add(x, ops.embedding(weights("model.positional_embedding.weight"), ops.positions(batch, 1)));

  const last = config.num_hidden_layers - 1;
  const layerAt = (layer: number): Layer<T> => {
    const weight = (name: string) => weights(`${layerPrefix(layer)}.${name}`);
    return { ops, config, batch, weight, ...(rotary && { rotary }), ...(layer === last && rows && { rows }) };
  };
  if (config.ngpt) {
    for (let layer = 0; layer <= last; layer++) {
      [x] = ops.block((x) => [normalisedBlock(layerAt(layer), x!)], x) as [T];
    }
    return x;
  }

  const norm = (name: string): Norm<T> => {
    const weight = weights(`${name}.weight`);
    const eps = config.norm_eps;
    return config.rms_norm
      ? { kind: "rms", weight, eps }
      : { kind: "layer", weight, bias: weights(`${name}.bias`), eps };
  };
  // Between blocks goes the residual stream with the norm that its reader wants, which is one fused addNorm.
  let h = ops.norm(x, norm(`${layerPrefix(0)}.attention_norm`));
  for (let layer = 0; layer <= last; layer++) {
    const here = layerPrefix(layer);
    const next = layer < last ? `${layerPrefix(layer + 1)}.attention_norm` : "model.layer_norm";
    [x, h] = ops.block(
      (x, h) => {
        const [residual, attended] = attentionBlock(layerAt(layer), x!, h!);
        const [x1, h1] = ops.addNorm(residual, attended, norm(`${here}.ffn_norm`));
        return ops.addNorm(x1, feedForward(layerAt(layer), h1), norm(next));
      },
      x,
      h,
    ) as [T, T];
  }
  return h;
}

/** The residual and what attention adds to it, both [N, C], or [M, C] in the last layer with rows. */
function attentionBlock<T>({ ops, config, batch, rotary, rows, weight }: Layer<T>, x: T, h: T): [T, T] {
  const { num_attention_heads: heads, dim_head: D, ngpt } = config;
  const qkv = ops.splitQkv(
    { layout: "perHead", qkv: ops.linear(h, weight("qkv.weight")) }, // [N, C] -> [N, 3C] -> 3 of [N, H, D]
    { heads, ...(rotary && { rotary: { ...rotary, pairing: "adjacent" } }) },
  );
  if (ngpt) {
    const sqk = ops.splitHeads(ops.multiply(weight("sqk"), 1 / config.base_scale), heads); // [C] -> [H, D]
    qkv.q = ops.multiply(ops.l2Normalize(qkv.q), sqk);
    qkv.k = ops.multiply(ops.l2Normalize(qkv.k), sqk);
  }
  // Unit vectors have products of deviation 1 / sqrt(D), so nGPT scales up where others scale down.
  let attended = ops.attention(qkv, batch, ngpt ? Math.sqrt(D!) : 1 / Math.sqrt(D!)); // [N, H, D] -> [N, C]
  if (rows) {
    attended = ops.gatherRows(attended, rows, batch); // [N, C] -> [M, C]
    x = ops.gatherRows(x, rows, batch);
  }
  return [x, ops.dropout(ops.linear(attended, weight("wo.weight")), config.dropout)];
}

function feedForward<T>({ ops, config, weight }: Layer<T>, h: T): T {
  let inner: T;
  if (config.ngpt) {
    const suv = ops.multiply(weight("suv"), Math.sqrt(config.hidden_size));
    inner = ops.gatedUnit(ops.multiply(ops.linear(h, weight("c_fc.weight")), suv), "last"); // [N, C] -> [N, 2I] -> [N, I]
    return ops.dropout(ops.linear(inner, weight("mlp_c_proj.weight")), config.dropout);
  }
  if (config.hidden_act === "swiglu") {
    inner = ops.gatedUnit(ops.linear(h, weight("ffn.w12.weight")), "first"); // [N, C] -> [N, 2I] -> [N, I]
    return ops.dropout(ops.linear(inner, weight("ffn.w3.weight")), config.dropout);
  }
  inner = ops.gelu(ops.linear(h, weight("ffn.0.weight")));
  return ops.dropout(ops.linear(inner, weight("ffn.2.weight")), config.dropout);
}

/** nGPT's block: each half moves the unit vector x along the sphere, by a learned rate a component. */
function normalisedBlock<T>(layer: Layer<T>, x: T): T {
  const { ops, config, weight } = layer;
  const step = (from: T, to: T, alpha: T): T => {
    const a = ops.l2Normalize(from);
    const b = ops.l2Normalize(to);
    const rate = ops.abs(ops.multiply(alpha, 0.05 / config.base_scale)); // 0.05 at the start
    return ops.l2Normalize(ops.add(a, ops.multiply(ops.add(b, ops.multiply(a, -1)), rate)));
  };
  const [residual, attended] = attentionBlock(layer, x, x);
  const middle = step(residual, attended, weight("attn_alpha"));
  return step(middle, feedForward(layer, middle), weight("mlp_alpha"));
}

const ggufNames: GgufForm["renames"] = [
  [/^encoder\./, "token_embd."],
  [/^layer_norm/, "enc.output_norm"],
  [/^transformer_encoder\.(\d+)\./, "blk.$1."],
  [/attention_norm/, "attn_norm"],
  [/qkv/, "attn_qkv"],
  [/wo/, "attn_output"],
  [/ffn\.w12/, "ffn_up"],
  [/ffn\.w3/, "ffn_down"],
];

/** NOTE: llama.cpp reads q | k | v; its own converter leaves the rows head by head, and gives other vectors. */
function gguf(config: NeoBERTConfig): GgufForm | { refused: string } {
  const isReleased = !config.ngpt && config.rope && config.rms_norm && config.hidden_act === "swiglu";
  if (!isReleased) return { refused: "an ablation of NeoBERT" };
  return {
    architecture: "neo-bert",
    renames: ggufNames,
    metadata: {
      "rope.scaling.type": "none",
      "attention.layer_norm_rms_epsilon": { float: config.norm_eps },
      "rope.freq_base": { float: ROTARY_THETA },
    },
    words: "gpt-2",
    perHead: /attn_qkv\.weight$/,
    hasGelu: false,
  };
}

export const neobert: Architecture<NeoBERTConfig> = {
  modelType: "neobert",
  title: "NeoBERT",
  paper: "arXiv 2502.19587",
  classNames: { ...classNamesOf("NeoBERT"), none: "NeoBERT", maskedLM: "NeoBERTLMHead" },
  prefix: "model.",
  python: {
    remoteCode: "the published NeoBERT repository",
    variants: "its ablation variants only load in the npm package `neobert`",
  },
  fields: schema.shape,
  lengthField: "max_length",
  dropoutFields: ["dropout"],
  freshFields: ({ maxLength }) => ({ max_length: maxLength, norm_eps: 1e-5 }),
  parseConfig: parseNeoBERTConfig,
  parameters,
  maxPositions: (config) => (config.rope ? Number.POSITIVE_INFINITY : config.max_length),
  innerSize,
  attentionDropout: () => 0,
  gguf,
  forward,
  // NOTE: the decoder is never tied to the embedding, whatever a config's tie_word_embeddings says.
  decoder(ops, weights, config, hidden) {
    const weight = weights("decoder.weight");
    if (config.ngpt !== "ngpt") return [hidden, weight, weights("decoder.bias")];
    const scale = ops.multiply(weights("model.sz"), 1 / config.base_scale); // of each token's logit
    return [hidden, ops.multiply(weight, ops.splitHeads(scale, config.vocab_size)), undefined]; // [V, C] x [V, 1]
  },
  sequenceLogits(ops, weights, config, batch) {
    const first = forward(ops, weights, config, batch, { rows: "first" }); // [B, C]
    const inner = ops.linear(
      ops.dropout(first, config.classifier_dropout),
      weights("dense.weight"),
      weights("dense.bias"),
    );
    const pooled = ops.dropout(ops.tanh(inner), config.classifier_dropout);
    return ops.linear(pooled, weights("classifier.weight"), weights("classifier.bias"));
  },
  tokenLogits: (ops, weights, config, hidden, head) =>
    tokenHeadLogits(ops, weights, head, hidden, config.classifier_dropout),
};
