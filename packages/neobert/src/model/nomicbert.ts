// NomicBERT (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotary positions (halves paired), SwiGLU and no biases in
// the blocks. Two published forms of config.json are read: that of transformers 5, which is also what is written, and
// the older one of the Hub's remote code with GPT-2's keys (`n_embd`, `n_inner`). The tensors' names are the same in
// both. Dropout and heads are those of transformers 5. C hidden size, I inner size, V vocabulary, N tokens.

import { z } from "zod";
import type { Architecture, GgufForm, Head, Initializer, ParameterSpec } from "./architecture.js";
import { type BertHeads, bertDropout, classifierDropout, decoder, headParameters, pooledLogits } from "./bert.js";
import {
  commonFields,
  described,
  headWidth,
  layerCount,
  probability,
  range,
  readConfig,
  readFields,
  size,
  wrongConfig,
} from "./config-fields.js";
import type { Batch, Ops, RotaryScaling, RowChoice, Weights } from "./ops.js";
import { classNamesOf, layerNorm, matrix, normOf, table } from "./parameters.js";
import { tokenHeadLogits } from "./token-heads.js";

const NAME = "NomicBertConfig";
const DEFAULT_THETA = 1000;

const wholeHead = z.literal(1).nullish();

const schema = z.looseObject({
  model_type: z.literal("nomic_bert").default("nomic_bert"),
  ...commonFields({ width: 768, layers: 12, heads: 12, tokens: 30528, pad: 0 }),
  intermediate_size: size.default(3072).describe(described.innerSize),
  hidden_act: z.literal("silu").default("silu").describe(described.activation),
  hidden_dropout_prob: probability.default(0).describe(described.dropout),
  attention_probs_dropout_prob: probability.default(0).describe(described.attentionDropout),
  max_position_embeddings: size.default(2048).meta(described.length),
  // The longest text, where it may be longer than those of training: of the Hub's form, and where angles are scaled.
  n_positions: size.optional(),
  type_vocab_size: size.default(2).describe(described.segments),
  initializer_range: range.default(0.02).describe(described.deviation),
  layer_norm_eps: range.default(1e-12).describe(described.normEps),
  classifier_dropout: probability.nullable().default(null).describe(described.classifierDropout),
  tie_word_embeddings: z.boolean().default(true).describe(described.tied),
  head_dim: size.nullish().meta(described.headWidth),
  rope_parameters: z
    .looseObject({
      rope_theta: z.number().positive().default(DEFAULT_THETA).describe(described.theta),
      rope_type: z.enum(["default", "dynamic"]).default("default"),
      factor: z.number().positive().nullish(),
      partial_rotary_factor: wholeHead,
    })
    .nullish()
    .describe(described.rope),
});

/** The config.json of transformers 5 field for field. Fields not known here are kept. */
export type NomicBertConfig = z.output<typeof schema>;

const no = z.literal([false, null]).optional();

// The Hub's form, as far as it says something about the model. What is not one of these values is another model.
const hubSchema = z.looseObject({
  n_embd: size,
  n_layer: layerCount,
  n_head: size,
  n_inner: size,
  vocab_size: size,
  n_positions: size.optional(),
  max_trained_positions: size.nullish(),
  activation_function: z.literal("swiglu"),
  layer_norm_epsilon: range.default(1e-5),
  embd_pdrop: probability.default(0.1),
  resid_pdrop: probability.default(0.1),
  attn_pdrop: probability.default(0.1),
  pad_vocab_size_multiple: size.default(1),
  rotary_emb_base: z.number().positive().default(10000),
  rotary_emb_fraction: z.literal(1),
  rotary_emb_interleaved: no,
  rotary_emb_scale_base: z.null().optional(),
  rotary_scaling_factor: z.number().positive().nullish(),
  causal: no,
  prenorm: no,
  parallel_block: no,
  parallel_block_tied_norm: no,
  use_rms_norm: no,
  qkv_proj_bias: z.literal(false),
  mlp_fc1_bias: z.literal(false),
  mlp_fc2_bias: z.literal(false),
  scale_attn_weights: z.literal(true).optional(),
  scale_attn_by_inverse_layer_idx: no,
});

const roundUp = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

/** The transformers 5 form of a config of the Hub's remote code; its other fields are kept. */
function fromHubForm(raw: object): unknown {
  const hub = readFields(NAME, hubSchema, raw);
  if (hub.embd_pdrop !== hub.resid_pdrop) {
    throw wrongConfig(NAME, "embd_pdrop and resid_pdrop to be equal", `${hub.embd_pdrop} and ${hub.resid_pdrop}`);
  }
  const known = new Set([...Object.keys(hubSchema.shape), "auto_map"].filter((key) => key !== "n_positions"));
  const kept = Object.entries(raw).filter(
    ([key, value]) => !known.has(key) && !(key === "pad_token_id" && value === null),
  );
  const factor = hub.rotary_scaling_factor;
  return {
    ...Object.fromEntries(kept),
    vocab_size: roundUp(hub.vocab_size, hub.pad_vocab_size_multiple),
    hidden_size: hub.n_embd,
    num_hidden_layers: hub.n_layer,
    num_attention_heads: hub.n_head,
    intermediate_size: roundUp(hub.n_inner, 256), // as the remote code makes it
    hidden_act: "silu",
    hidden_dropout_prob: hub.resid_pdrop,
    attention_probs_dropout_prob: hub.attn_pdrop,
    max_position_embeddings: hub.max_trained_positions ?? hub.n_positions ?? 2048,
    layer_norm_eps: hub.layer_norm_epsilon,
    rope_parameters: {
      rope_theta: hub.rotary_emb_base,
      ...(factor ? { rope_type: "dynamic", factor } : { rope_type: "default" }),
    },
  };
}

const ropeFields = z.looseObject({
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.looseObject({}).nullish(),
  rope_parameters: z.looseObject({}).nullish(),
  partial_rotary_factor: wholeHead,
});

/** The rotary fields in one, in transformers 5's order: rope_scaling before rope_parameters, a theta inside before one beside. */
function withRope(raw: unknown): unknown {
  const {
    rope_theta,
    rope_scaling,
    rope_parameters,
    partial_rotary_factor: _,
    ...fields
  } = readFields(NAME, ropeFields, raw);
  if (!rope_scaling && !rope_parameters && rope_theta == null) return fields;
  const isScaled = rope_scaling && Object.keys(rope_scaling).length > 0;
  const { type, ...rope } = (isScaled ? rope_scaling : rope_parameters) ?? {};
  return {
    ...fields,
    rope_parameters: {
      ...(rope_theta != null && { rope_theta }),
      ...(type !== undefined && { rope_type: type }),
      ...rope,
    },
  };
}

function parseConfig(raw: unknown): NomicBertConfig {
  const isHubForm = typeof raw === "object" && raw !== null && "n_embd" in raw;
  const config = readConfig(NAME, schema, isHubForm ? fromHubForm(raw) : withRope(raw));
  const D = headWidth(NAME, config, { given: config.head_dim });
  const rope = config.rope_parameters ?? { rope_theta: DEFAULT_THETA, rope_type: "default" as const };
  const isScaled = rope.rope_type === "dynamic";
  if (isScaled && rope.factor == null)
    throw wrongConfig(NAME, "a factor in rope_parameters of rope_type dynamic", "none");
  const longest = isScaled ? { n_positions: config.n_positions ?? config.max_position_embeddings } : {};
  return { ...config, head_dim: D, rope_parameters: rope, ...longest };
}

/** The growth of theta with a text's length beyond that of training, where the config asks for it. */
function scalingOf({ rope_parameters, max_position_embeddings }: NomicBertConfig): RotaryScaling | undefined {
  if (rope_parameters?.rope_type !== "dynamic") return undefined;
  return { factor: rope_parameters.factor!, trainedTokens: max_position_embeddings };
}

const heads: BertHeads = { prefix: "nomic_bert.", norm: "layer_norm", activation: "silu" };

const layerPrefix = (layer: number) => `nomic_bert.encoder.layers.${layer}`;

function parameters(config: NomicBertConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, intermediate_size: I, vocab_size: V } = config;
  const init: Initializer = { kind: "normal", std: config.initializer_range };
  const words: Initializer = { ...init, zeroRow: config.pad_token_id };
  const specs = [
    table("nomic_bert.embeddings.word_embeddings.weight", V, C, words, { tied: config.tie_word_embeddings }),
    table("nomic_bert.embeddings.token_type_embeddings.weight", config.type_vocab_size, C, init),
    ...layerNorm("nomic_bert.emb_ln", C),
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    specs.push(matrix(name("attn.Wqkv.weight"), 3 * C, C, init), matrix(name("attn.out_proj.weight"), C, C, init));
    specs.push(matrix(name("mlp.fc11.weight"), I, C, init), matrix(name("mlp.fc12.weight"), I, C, init));
    specs.push(matrix(name("mlp.fc2.weight"), C, I, init));
    specs.push(...layerNorm(name("norm1"), C), ...layerNorm(name("norm2"), C));
  }
  return [...specs, ...headParameters(heads, config, head)];
}

/** Last hidden state [N, C], or of the rows asked for [M, C]. */
function forward<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  config: NomicBertConfig,
  batch: Batch<T>,
  { rows }: { rows?: RowChoice<T> } = {},
): T {
  const { num_attention_heads: heads, hidden_dropout_prob: p } = config;
  const D = config.hidden_size / heads;
  const norm = (name: string) => normOf(weights, name, config.layer_norm_eps);
  const words = ops.embedding(weights("nomic_bert.embeddings.word_embeddings.weight"), batch.ids); // [N] -> [N, C]
  const types = weights("nomic_bert.embeddings.token_type_embeddings.weight");
  const segments = ops.embedding(types, ops.tokenTypes(batch));
  const [, embedded] = ops.addNorm(words, segments, norm("nomic_bert.emb_ln"));
  const { rope_theta } = config.rope_parameters!;
  const scaling = scalingOf(config);
  const angles = scaling
    ? ops.scaledRotaryAngles(batch, D, rope_theta, scaling)
    : ops.rotaryAngles(ops.positions(batch, 0), D, rope_theta);
  const rotary = { ...angles, pairing: "half" } as const;

  let x = ops.dropout(embedded, p);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    const linear = (x: T, rest: string) => ops.linear(x, weights(name(`${rest}.weight`)));
    [x] = ops.block((state) => {
      let residual = state as T;
      const qkv = ops.splitQkv({ layout: "blocks", qkv: linear(residual, "attn.Wqkv") }, { heads, rotary });
      let attended = ops.attention(qkv, batch, 1 / Math.sqrt(D), undefined, config.attention_probs_dropout_prob);
      if (rows && layer === config.num_hidden_layers - 1) {
        attended = ops.gatherRows(attended, rows, batch); // [N, C] -> [M, C]
        residual = ops.gatherRows(residual, rows, batch);
      }
      const projected = ops.dropout(linear(attended, "attn.out_proj"), p);
      const [, middle] = ops.addNorm(residual, projected, norm(name("norm1")));
      const inner = ops.multiply(ops.silu(linear(middle, "mlp.fc12")), linear(middle, "mlp.fc11")); // [N, I]
      const output = ops.dropout(linear(inner, "mlp.fc2"), p);
      return [ops.addNorm(middle, output, norm(name("norm2")))[1]];
    }, x) as [T];
  }
  return x;
}

function gguf(config: NomicBertConfig): GgufForm {
  const { layer_norm_eps, type_vocab_size, rope_parameters } = config;
  const trained = scalingOf(config)?.trainedTokens;
  return {
    architecture: "nomic-bert",
    renames: [
      [/^embeddings\.word_embeddings/, "token_embd"],
      [/^embeddings\.token_type_embeddings/, "token_types"],
      [/^emb_ln/, "token_embd_norm"],
      [/^encoder\.layers\.(\d+)\./, "blk.$1."],
      [/attn\.Wqkv/, "attn_qkv"],
      [/attn\.out_proj/, "attn_output"],
      [/norm1/, "attn_output_norm"],
      [/norm2/, "layer_output_norm"],
      [/mlp\.fc11/, "ffn_up"],
      [/mlp\.fc12/, "ffn_gate"],
      [/mlp\.fc2/, "ffn_down"],
    ],
    metadata: {
      "attention.layer_norm_epsilon": { float: layer_norm_eps },
      "tokenizer.ggml.token_type_count": type_vocab_size,
      "rope.freq_base": { float: rope_parameters!.rope_theta },
      ...(trained !== undefined && { context_length: trained }),
    },
    ...(trained !== undefined && {
      notes: [`llama.cpp does not scale rotary angles by a text's length: texts of at most ${trained} tokens`],
    }),
    words: "gpt-2",
    hasGelu: false,
  };
}

export const nomicBert: Architecture<NomicBertConfig> = {
  modelType: "nomic_bert",
  title: "NomicBERT",
  paper: "arXiv 2402.01613",
  classNames: classNamesOf("NomicBert"),
  otherClassNames: { NomicBertForPreTraining: "maskedLM" },
  prefix: "nomic_bert.",
  checkpoints: {
    renames: [
      [/^bert\./, "nomic_bert."],
      [/^cls\.predictions\.decoder\.weight$/, "nomic_bert.embeddings.word_embeddings.weight"],
      [/^cls\.predictions\.decoder\.bias$/, "cls.predictions.bias"],
    ],
    // The remote code's masked-language-model head has no biases where the blocks have none.
    optional: /^cls\.predictions\.(transform\.dense\.)?bias$/,
  },
  python: { transformers: 5 },
  fields: schema.shape,
  lengthField: "max_position_embeddings",
  lengthFieldOf: ({ n_positions }) => (n_positions === undefined ? "max_position_embeddings" : "n_positions"),
  dropoutFields: bertDropout,
  freshFields: ({ maxLength }) => ({ max_position_embeddings: maxLength }),
  parseConfig,
  parameters,
  maxPositions: () => Number.POSITIVE_INFINITY,
  segments: (config) => config.type_vocab_size,
  innerSize: (config) => config.intermediate_size,
  attentionDropout: (config) => config.attention_probs_dropout_prob,
  gguf,
  forward,
  decoder: (ops, weights, config, hidden) => decoder(ops, weights, heads, config, hidden),
  sequenceLogits(ops, weights, config, batch) {
    const first = forward(ops, weights, config, batch, { rows: "first" }); // [B, C]
    return pooledLogits(ops, weights, heads, config, first);
  },
  tokenLogits: (ops, weights, config, hidden, head) =>
    tokenHeadLogits(ops, weights, head, hidden, classifierDropout(config)),
};
