// EuroBERT (Boizard et al. 2025, arXiv 2503.05500): Llama's layers (RMSNorm before each half, rotary positions with halves
// paired, SwiGLU, heads of keys and values shared by groups of queries) with attention to both sides. Names, shapes and
// defaults are those of transformers 5, which also is what is written; the fields of the Hub's remote code (`rope_theta`)
// are read too. C hidden size, H heads, K heads of keys and values, D head width, I inner size, V vocabulary, N tokens.

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
  readFields,
  size,
  wrongConfig,
} from "./config-fields.js";
import type { Batch, Norm, Ops, RowChoice, Weights } from "./ops.js";
import { classNamesOf, dense, layerNorm, table } from "./parameters.js";
import { tokenHeadLogits, tokenHeadParameters } from "./token-heads.js";

const NAME = "EuroBertConfig";
const theta = z.number().positive();

const schema = z.looseObject({
  model_type: z.literal("eurobert").default("eurobert"),
  ...commonFields({ width: 768, layers: 12, heads: 12, tokens: 128256, pad: 128001 }),
  num_key_value_heads: size.nullish().meta({ description: "Heads of keys and values", fallback: "heads" }),
  head_dim: size.nullish().meta(described.headWidth),
  intermediate_size: size.default(3072).describe(described.innerSize),
  hidden_act: z.literal("silu").default("silu").describe(described.activation),
  max_position_embeddings: size.default(8192).meta(described.length),
  initializer_range: range.default(0.02).describe(described.deviation),
  rms_norm_eps: range.default(1e-5).describe(described.normEps),
  rope_parameters: z
    .looseObject({
      rope_theta: theta.default(10000).describe(described.theta),
      rope_type: z.literal("default").default("default"),
    })
    .describe(described.rope),
  attention_bias: z.boolean().default(false).describe(described.attentionBias),
  attention_dropout: probability.default(0).describe(described.attentionDropout),
  mlp_bias: z.boolean().default(false).describe("Biases of the feed-forward unit and the decoder"),
  tie_word_embeddings: z.boolean().default(false).describe(described.tied),
  classifier_pooling: z.enum(["bos", "mean", "late"]).default("late").describe(described.pooling),
});

/** The config.json of transformers 5 field for field. Fields not known here are kept. */
export type EuroBertConfig = z.output<typeof schema>;

const olderFields = z.looseObject({
  rope_theta: theta.optional(),
  rope_scaling: z.null().optional(),
  rope_parameters: z.looseObject({}).nullish(),
});

function parseConfig(raw: unknown): EuroBertConfig {
  const { rope_theta, rope_scaling: _, rope_parameters, ...fields } = readFields(NAME, olderFields, raw);
  const rope = { ...(rope_theta !== undefined && { rope_theta }), ...rope_parameters };
  const config = readConfig(NAME, schema, { ...fields, rope_parameters: rope });
  const { num_attention_heads: H, num_key_value_heads } = config;
  const K = num_key_value_heads ?? H;
  if (H % K !== 0) throw wrongConfig(NAME, `num_key_value_heads to divide num_attention_heads ${H}`, `${K}`);
  return { ...config, head_dim: headWidth(NAME, config, { given: config.head_dim }), num_key_value_heads: K };
}

const EMBEDDING = "model.embed_tokens.weight";
const DECODER = "lm_head.weight";
const layerPrefix = (layer: number) => `model.layers.${layer}`;

function parameters(config: EuroBertConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, intermediate_size: I, vocab_size: V, attention_bias, mlp_bias } = config;
  const keyWidth = config.num_key_value_heads! * config.head_dim!;
  const init: Initializer = { kind: "normal", std: config.initializer_range };
  const specs = [
    table(EMBEDDING, V, C, { ...init, zeroRow: config.pad_token_id }, { tied: config.tie_word_embeddings }),
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    specs.push(...layerNorm(name("input_layernorm"), C, false));
    specs.push(...dense(name("self_attn.q_proj"), C, C, init, attention_bias));
    specs.push(...dense(name("self_attn.k_proj"), keyWidth, C, init, attention_bias));
    specs.push(...dense(name("self_attn.v_proj"), keyWidth, C, init, attention_bias));
    specs.push(...dense(name("self_attn.o_proj"), C, C, init, attention_bias));
    specs.push(...layerNorm(name("post_attention_layernorm"), C, false));
    specs.push(
      ...dense(name("mlp.gate_proj"), I, C, init, mlp_bias),
      ...dense(name("mlp.up_proj"), I, C, init, mlp_bias),
    );
    specs.push(...dense(name("mlp.down_proj"), C, I, init, mlp_bias));
  }
  specs.push(...layerNorm("model.norm", C, false));

  if (head === "maskedLM") {
    const [weight, ...bias] = dense("lm_head", V, C, init, mlp_bias);
    specs.push(...(config.tie_word_embeddings ? [] : [weight!]), ...bias);
  }
  if (head === "sequenceClassification") {
    specs.push(...dense("dense", C, C, init), ...dense("classifier", labelCount(config), C, init));
  }
  specs.push(...tokenHeadParameters(head, config, init));
  return specs;
}

/** Last hidden state [N, C], after the final norm, or of the rows asked for [M, C]. */
function forward<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  config: EuroBertConfig,
  batch: Batch<T>,
  { rows }: { rows?: RowChoice<T> } = {},
): T {
  const { num_attention_heads: heads, num_hidden_layers: L, attention_bias, mlp_bias } = config;
  const [kvHeads, D] = [config.num_key_value_heads!, config.head_dim!];
  const norm = (name: string): Norm<T> => ({
    kind: "rms",
    weight: weights(`${name}.weight`),
    eps: config.rms_norm_eps,
  });
  const angles = ops.rotaryAngles(ops.positions(batch, 0), D, config.rope_parameters.rope_theta);
  const rotary = { ...angles, pairing: "half" } as const;

  let x = ops.embedding(weights(EMBEDDING), batch.ids); // [N] -> [N, C]
  let h = ops.norm(x, norm(`${layerPrefix(0)}.input_layernorm`));
  for (let layer = 0; layer < L; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    const linear = (x: T, rest: string, biased: boolean) =>
      ops.linear(x, weights(name(`${rest}.weight`)), biased ? weights(name(`${rest}.bias`)) : undefined);
    const next = layer + 1 < L ? `${layerPrefix(layer + 1)}.input_layernorm` : "model.norm";
    // Between blocks goes the residual stream with the norm that its reader wants, which is one fused addNorm.
    [x, h] = ops.block(
      (...state) => {
        let [residual, normed] = state as [T, T];
        const project = (part: string) => linear(normed, `self_attn.${part}_proj`, attention_bias);
        const projections = { q: project("q"), k: project("k"), v: project("v") }; // [N, C] and two of [N, K * D]
        const qkv = ops.splitQkv({ layout: "separate", ...projections }, { heads, kvHeads, rotary });
        let attended = ops.attention(qkv, batch, 1 / Math.sqrt(D), undefined, config.attention_dropout); // [N, C]
        if (rows && layer === L - 1) {
          attended = ops.gatherRows(attended, rows, batch); // [N, C] -> [M, C]
          residual = ops.gatherRows(residual, rows, batch);
        }
        const output = linear(attended, "self_attn.o_proj", attention_bias);
        [residual, normed] = ops.addNorm(residual, output, norm(name("post_attention_layernorm")));
        const gate = ops.silu(linear(normed, "mlp.gate_proj", mlp_bias)); // [N, C] -> [N, I]
        const inner = ops.multiply(gate, linear(normed, "mlp.up_proj", mlp_bias));
        return ops.addNorm(residual, linear(inner, "mlp.down_proj", mlp_bias), norm(next));
      },
      x,
      h,
    ) as [T, T];
  }
  return h;
}

function sequenceLogits<T>(ops: Ops<T>, weights: Weights<T>, config: EuroBertConfig, batch: Batch<T>): T {
  const pooling = config.classifier_pooling;
  let x = forward(ops, weights, config, batch, pooling === "bos" ? { rows: "first" } : {});
  if (pooling === "mean") x = ops.pool(x, batch, "mean"); // [N, C] -> [B, C]
  const inner = ops.gelu(ops.linear(x, weights("dense.weight"), weights("dense.bias")));
  const logits = ops.linear(inner, weights("classifier.weight"), weights("classifier.bias"));
  return pooling === "late" ? ops.pool(logits, batch, "mean") : logits; // [N, labels] -> [B, labels]
}

function gguf(config: EuroBertConfig): GgufForm | { refused: string } {
  for (const bias of ["attention_bias", "mlp_bias"] as const) {
    if (config[bias]) return { refused: `a EuroBERT with ${bias}` };
  }
  return {
    architecture: "eurobert",
    renames: [
      [/^embed_tokens/, "token_embd"],
      [/^norm/, "output_norm"],
      [/^layers\.(\d+)\./, "blk.$1."],
      [/input_layernorm/, "attn_norm"],
      [/self_attn\.([qkv])_proj/, "attn_$1"],
      [/self_attn\.o_proj/, "attn_output"],
      [/post_attention_layernorm/, "ffn_norm"],
      [/mlp\.(gate|up|down)_proj/, "ffn_$1"],
    ],
    metadata: {
      vocab_size: config.vocab_size,
      "attention.head_count_kv": config.num_key_value_heads!,
      "attention.layer_norm_rms_epsilon": { float: config.rms_norm_eps },
      "rope.scaling.type": "none",
      "rope.freq_base": { float: config.rope_parameters.rope_theta },
    },
    words: "gpt-2",
    hasGelu: false,
  };
}

export const euroBert: Architecture<EuroBertConfig> = {
  modelType: "eurobert",
  title: "EuroBERT",
  paper: "arXiv 2503.05500",
  classNames: classNamesOf("EuroBert"),
  prefix: "model.",
  checkpoints: { renames: [[/^lm_head\.weight$/, EMBEDDING]] },
  python: { transformers: 5, lacks: ["questionAnswering"] },
  fields: schema.shape,
  lengthField: "max_position_embeddings",
  dropoutFields: ["attention_dropout"],
  freshFields: ({ maxLength, cls, sep, mask }) => {
    const ids = { bos_token_id: cls, eos_token_id: sep };
    return { max_position_embeddings: maxLength, ...ids, ...(mask !== undefined && { mask_token_id: mask }) };
  },
  parseConfig,
  parameters,
  maxPositions: () => Number.POSITIVE_INFINITY,
  innerSize: (config) => config.intermediate_size,
  attentionDropout: (config) => config.attention_dropout,
  gguf,
  forward,
  decoder: (_, weights, config, hidden) => [
    hidden,
    weights(config.tie_word_embeddings ? EMBEDDING : DECODER, "product"),
    config.mlp_bias ? weights("lm_head.bias") : undefined,
  ],
  sequenceLogits,
  tokenLogits: (ops, weights, _, hidden, head) => tokenHeadLogits(ops, weights, head, hidden, 0),
};
