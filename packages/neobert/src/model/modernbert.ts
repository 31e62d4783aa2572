// ModernBERT (Warner et al. 2024, arXiv 2412.13663): pre-norm, GeGLU, rotary positions (halves paired), no biases, and
// attention within a window in all but every third layer, with another rotary base there. Names, shapes, defaults and
// dropout are those of Hugging Face's ModernBertModel and its heads; the fields of transformers 5 (`layer_types`,
// `rope_parameters`) are read as the published ones. C hidden size, I inner size, V vocabulary, N tokens.

import { z } from "zod";
import type { Architecture, GgufForm, Head, Initializer, ParameterSpec } from "./architecture.js";
import {
  absentIfNull,
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
import { classNamesOf, dense, layerNorm, matrix, table, vector } from "./parameters.js";
import { isTokenHead, tokenLayers } from "./token-heads.js";

const NAME = "ModernBertConfig";
const theta = z.number().positive();

const schema = z.looseObject({
  model_type: z.literal("modernbert").default("modernbert"),
  ...commonFields({ width: 768, layers: 22, heads: 12, tokens: 50368, pad: 50283 }),
  intermediate_size: size.default(1152).describe(described.innerSize),
  hidden_activation: z.literal("gelu").default("gelu").describe(described.activation),
  max_position_embeddings: size.default(8192).meta(described.length),
  initializer_range: range.default(0.02).describe(described.deviation),
  initializer_cutoff_factor: z
    .number()
    .positive()
    .nullable()
    .default(2)
    .describe("Deviations at which initial values are cut off"),
  norm_eps: range.default(1e-5).describe(described.normEps),
  norm_bias: z.boolean().default(false).describe("Biases of the norms"),
  global_rope_theta: theta.default(160000).describe("Base of the rotary angles in global layers"),
  local_rope_theta: theta.nullable().default(10000).describe("The same in local layers"),
  rope_scaling: z.null().optional(),
  attention_bias: z.boolean().default(false).describe(described.attentionBias),
  attention_dropout: probability.default(0).describe("Dropout of attention's probabilities and output"),
  global_attn_every_n_layers: size.default(3).describe("Every so many layers attend to all positions"),
  local_attention: size.default(128).describe("Positions that the other layers see, half of them on either side"),
  embedding_dropout: probability.default(0).describe("Dropout of the embeddings"),
  mlp_bias: z.boolean().default(false).describe(described.feedForwardBias),
  mlp_dropout: probability.default(0).describe("Dropout inside the feed-forward unit"),
  decoder_bias: z.boolean().default(true).describe("Bias of the decoder"),
  tie_word_embeddings: z.boolean().default(true).describe(described.tied),
  classifier_pooling: z.enum(["cls", "mean"]).default("cls").describe(described.pooling),
  classifier_dropout: absentIfNull(probability.default(0)).meta({ description: described.classifierDropout }),
  classifier_bias: z.boolean().default(false).describe("Bias of the prediction head"),
  classifier_activation: z.literal("gelu").default("gelu").describe("Activation of the prediction head"),
});

/** The published config.json field for field. Fields not known here are kept. */
export type ModernBertConfig = z.output<typeof schema>;

const rope = z.looseObject({ rope_type: z.literal("default").optional(), rope_theta: theta.optional() }).nullish();
const newFields = z.looseObject({
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
  rope_parameters: z.looseObject({ full_attention: rope, sliding_attention: rope }).nullish(),
});

/** The published fields in place of those of transformers 5. */
function withPublishedFields(raw: unknown): unknown {
  const { layer_types: types, rope_parameters: rope, ...fields } = readFields(NAME, newFields, raw);
  const [global, local] = [rope?.full_attention?.rope_theta, rope?.sliding_attention?.rope_theta];
  const published = {
    ...fields,
    ...(global !== undefined && { global_rope_theta: global }),
    ...(local !== undefined && { local_rope_theta: local }),
  };
  if (!types || fields.global_attn_every_n_layers !== undefined) return published;
  const second = types.indexOf("full_attention", 1);
  const every = second < 0 ? types.length : second;
  const unlike = types.findIndex((type, layer) => (type === "full_attention") !== (layer % every === 0));
  if (unlike >= 0) {
    throw wrongConfig(
      NAME,
      `layer_types with full_attention in every ${every}th layer`,
      `${types[unlike]} in layer ${unlike}`,
    );
  }
  return { ...published, global_attn_every_n_layers: every };
}

function parseConfig(raw: unknown): ModernBertConfig {
  const config = readConfig(NAME, schema, withPublishedFields(raw));
  headWidth(NAME, config, {});
  return config;
}

const layerPrefix = (layer: number) => `model.layers.${layer}`;

const decoderName = ({ tie_word_embeddings }: ModernBertConfig) =>
  tie_word_embeddings ? "model.embeddings.tok_embeddings.weight" : "decoder.weight";

function parameters(config: ModernBertConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, intermediate_size: I, vocab_size: V, norm_bias, attention_bias, mlp_bias } = config;
  const cutoff = config.initializer_cutoff_factor ?? 3;
  const input: Initializer = { kind: "normal", std: config.initializer_range, cutoff };
  const output: Initializer = { ...input, std: config.initializer_range / Math.sqrt(2 * config.num_hidden_layers) };
  const classifier: Initializer = { ...input, std: 1 / Math.sqrt(C) };

  const specs = [
    table("model.embeddings.tok_embeddings.weight", V, C, input, { tied: config.tie_word_embeddings }),
    ...layerNorm("model.embeddings.norm", C, norm_bias),
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    if (layer > 0) specs.push(...layerNorm(name("attn_norm"), C, norm_bias));
    specs.push(...dense(name("attn.Wqkv"), 3 * C, C, input, attention_bias));
    specs.push(...dense(name("attn.Wo"), C, C, output, attention_bias));
    specs.push(...layerNorm(name("mlp_norm"), C, norm_bias));
    specs.push(...dense(name("mlp.Wi"), 2 * I, C, input, mlp_bias), ...dense(name("mlp.Wo"), C, I, output, mlp_bias));
  }
  specs.push(...layerNorm("model.final_norm", C, norm_bias));

  if (head === "none") return specs;
  specs.push(...dense("head.dense", C, C, output, config.classifier_bias), ...layerNorm("head.norm", C, norm_bias));
  if (head === "maskedLM") {
    if (!config.tie_word_embeddings) specs.push(matrix(decoderName(config), V, C, output));
    if (config.decoder_bias) specs.push(vector("decoder.bias", V));
  } else {
    // Its class for question answering calls the layer as all its classifiers do.
    const labels = isTokenHead(head) ? tokenLayers[head].labels(config) : labelCount(config);
    specs.push(...dense("classifier", labels, C, classifier));
  }
  return specs;
}

const normOf = <T>(weights: Weights<T>, config: ModernBertConfig, name: string): Norm<T> => {
  const bias = config.norm_bias && { bias: weights(`${name}.bias`) };
  return { kind: "layer", weight: weights(`${name}.weight`), ...bias, eps: config.norm_eps };
};

/** Last hidden state [N, C], after the final norm, or of the rows asked for [M, C]. */
function forward<T>(
  ops: Ops<T>,
  weights: Weights<T>,
  config: ModernBertConfig,
  batch: Batch<T>,
  { rows }: { rows?: RowChoice<T> } = {},
): T {
  const { num_attention_heads: heads, num_hidden_layers: L, attention_dropout: p } = config;
  const D = config.hidden_size / heads;
  const norm = (name: string) => normOf(weights, config, name);
  const positions = ops.positions(batch, 0);
  const globalAngles = ops.rotaryAngles(positions, D, config.global_rope_theta);
  const localAngles = ops.rotaryAngles(positions, D, config.local_rope_theta ?? config.global_rope_theta);

  const embedded = ops.embedding(weights("model.embeddings.tok_embeddings.weight"), batch.ids); // [N] -> [N, C]
  let x = ops.dropout(ops.norm(embedded, norm("model.embeddings.norm")), config.embedding_dropout);
  let h = x; // the first layer has no norm before its attention, as the embeddings have just had one
  for (let layer = 0; layer < L; layer++) {
    const name = (rest: string) => `${layerPrefix(layer)}.${rest}`;
    const linear = (x: T, rest: string, biased: boolean) =>
      ops.linear(x, weights(name(`${rest}.weight`)), biased ? weights(name(`${rest}.bias`)) : undefined);
    const isGlobal = layer % config.global_attn_every_n_layers === 0;
    const rotary = { ...(isGlobal ? globalAngles : localAngles), pairing: "half" } as const;
    const window = isGlobal ? undefined : Math.floor(config.local_attention / 2);
    const next = layer + 1 < L ? `${layerPrefix(layer + 1)}.attn_norm` : "model.final_norm";
    // Between blocks goes the residual stream with the norm that its reader wants, which is one fused addNorm.
    [x, h] = ops.block(
      (...state) => {
        let [residual, normed] = state as [T, T];
        const projected = linear(normed, "attn.Wqkv", config.attention_bias); // [N, C] -> [N, 3C]
        const qkv = ops.splitQkv({ layout: "blocks", qkv: projected }, { heads, rotary }); // 3 of [N, H, D]
        let attended = ops.attention(qkv, batch, 1 / Math.sqrt(D), window, p); // [N, C]
        if (rows && layer === L - 1) {
          attended = ops.gatherRows(attended, rows, batch); // [N, C] -> [M, C]
          residual = ops.gatherRows(residual, rows, batch);
        }
        const attention = ops.dropout(linear(attended, "attn.Wo", config.attention_bias), p);
        [residual, normed] = ops.addNorm(residual, attention, norm(name("mlp_norm")));
        const gated = ops.gatedUnit(linear(normed, "mlp.Wi", config.mlp_bias), "first", "gelu"); // [N, 2I] -> [N, I]
        const output = linear(ops.dropout(gated, config.mlp_dropout), "mlp.Wo", config.mlp_bias);
        return ops.addNorm(residual, output, norm(next));
      },
      x,
      h,
    ) as [T, T];
  }
  return h;
}

/** The prediction head, which every classifier and the decoder read: [M, C]. */
function predictionHead<T>(ops: Ops<T>, weights: Weights<T>, config: ModernBertConfig, x: T): T {
  const bias = config.classifier_bias ? weights("head.dense.bias") : undefined;
  return ops.norm(ops.gelu(ops.linear(x, weights("head.dense.weight"), bias)), normOf(weights, config, "head.norm"));
}

function classify<T>(ops: Ops<T>, weights: Weights<T>, config: ModernBertConfig, x: T): T {
  const dropped = ops.dropout(predictionHead(ops, weights, config, x), config.classifier_dropout);
  return ops.linear(dropped, weights("classifier.weight"), weights("classifier.bias"));
}

function gguf(config: ModernBertConfig): GgufForm | { refused: string } {
  for (const bias of ["norm_bias", "attention_bias", "mlp_bias"] as const) {
    if (config[bias]) return { refused: `a ModernBERT with ${bias}` };
  }
  return {
    architecture: "modern-bert",
    renames: [
      [/^embeddings\.tok_embeddings/, "token_embd"],
      [/^embeddings\.norm/, "token_embd_norm"],
      [/^final_norm/, "output_norm"],
      [/^layers\.(\d+)\./, "blk.$1."],
      [/attn\.Wqkv/, "attn_qkv"],
      [/attn\.Wo/, "attn_output"],
      [/mlp_norm/, "ffn_norm"],
      [/mlp\.Wi/, "ffn_up"],
      [/mlp\.Wo/, "ffn_down"],
    ],
    metadata: {
      "rope.scaling.type": "none",
      vocab_size: config.vocab_size,
      "attention.layer_norm_epsilon": { float: config.norm_eps },
      "attention.sliding_window": config.local_attention,
      "attention.sliding_window_pattern": config.global_attn_every_n_layers,
      "rope.freq_base": { float: config.global_rope_theta },
      "rope.freq_base_swa": { float: config.local_rope_theta ?? config.global_rope_theta },
    },
    words: "modern-bert",
    hasGelu: true,
  };
}

export const modernBert: Architecture<ModernBertConfig> = {
  modelType: "modernbert",
  title: "ModernBERT",
  paper: "arXiv 2412.13663",
  classNames: classNamesOf("ModernBert"),
  prefix: "model.",
  checkpoints: { renames: [[/^decoder\.weight$/, "model.embeddings.tok_embeddings.weight"]] },
  python: { transformers: 4 },
  fields: schema.shape,
  lengthField: "max_position_embeddings",
  dropoutFields: ["embedding_dropout", "attention_dropout", "mlp_dropout"],
  freshFields: ({ maxLength, cls, sep }) => ({
    max_position_embeddings: maxLength,
    bos_token_id: cls,
    eos_token_id: sep,
    cls_token_id: cls,
    sep_token_id: sep,
  }),
  parseConfig,
  parameters,
  maxPositions: () => Number.POSITIVE_INFINITY,
  innerSize: (config) => config.intermediate_size,
  attentionDropout: (config) => config.attention_dropout,
  gguf,
  forward,
  decoder: (ops, weights, config, hidden) => [
    predictionHead(ops, weights, config, hidden),
    weights(decoderName(config), "product"),
    config.decoder_bias ? weights("decoder.bias") : undefined,
  ],
  sequenceLogits(ops, weights, config, batch) {
    const isMean = config.classifier_pooling === "mean";
    const hidden = forward(ops, weights, config, batch, isMean ? {} : { rows: "first" });
    return classify(ops, weights, config, isMean ? ops.pool(hidden, batch, "mean") : hidden); // [B, C] -> [B, labels]
  },
  tokenLogits: classify,
};
