// RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT's encoder (bert.ts), with positions counted from behind the padding
// id, one segment, and heads of its own. Names, shapes, defaults and dropout are those of Hugging Face's RobertaModel.

import { z } from "zod";
import type { Architecture, Head, Initializer, ParameterSpec } from "./architecture.js";
import { bertDropout, bertFields, bertGguf, classifierDropout, encoderForward, encoderParameters } from "./bert.js";
import { commonFields, labelCount, readConfig, wrongConfig } from "./config-fields.js";
import { classNamesOf, dense, layerNorm, matrix, normOf, vector } from "./parameters.js";
import { tokenHeadLogits, tokenHeadParameters } from "./token-heads.js";

const schema = z.looseObject({
  model_type: z.literal("roberta").default("roberta"),
  ...bertFields,
  // The published base model has 514 positions, 1 segment and an epsilon of 1e-5, which its file says.
  ...commonFields({ width: 768, layers: 12, heads: 12, tokens: 50265, pad: 1 }),
});

/** The published config.json field for field. Fields not known here are kept. */
export type RobertaConfig = z.output<typeof schema>;

const firstPosition = ({ pad_token_id }: RobertaConfig) => pad_token_id + 1;
const maxPositions = (config: RobertaConfig) => config.max_position_embeddings - firstPosition(config);

function parseConfig(raw: unknown): RobertaConfig {
  const config = readConfig("RobertaConfig", schema, raw);
  if (maxPositions(config) < 1) {
    const least = firstPosition(config) + 1;
    throw wrongConfig(
      "RobertaConfig",
      `max_position_embeddings of at least ${least}`,
      `${config.max_position_embeddings}`,
    );
  }
  return config;
}

const decoderName = ({ tie_word_embeddings }: RobertaConfig) =>
  tie_word_embeddings ? "roberta.embeddings.word_embeddings.weight" : "lm_head.decoder.weight";

function parameters(config: RobertaConfig, head: Head): ParameterSpec[] {
  const { hidden_size: C, vocab_size: V } = config;
  const init: Initializer = { kind: "normal", std: config.initializer_range };
  const specs = encoderParameters("roberta.", config);
  if (head === "maskedLM") {
    specs.push(...dense("lm_head.dense", C, C, init), ...layerNorm("lm_head.layer_norm", C), vector("lm_head.bias", V));
    if (!config.tie_word_embeddings) specs.push(matrix(decoderName(config), V, C, init));
  }
  if (head === "sequenceClassification") {
    specs.push(...dense("classifier.dense", C, C, init), ...dense("classifier.out_proj", labelCount(config), C, init));
  }
  specs.push(...tokenHeadParameters(head, config, init));
  return specs;
}

export const roberta: Architecture<RobertaConfig> = {
  modelType: "roberta",
  title: "RoBERTa",
  paper: "arXiv 1907.11692",
  classNames: classNamesOf("Roberta"),
  prefix: "roberta.",
  checkpoints: {
    renames: [
      [/\.gamma$/, ".weight"],
      [/\.beta$/, ".bias"],
      [/^lm_head\.decoder\.weight$/, "roberta.embeddings.word_embeddings.weight"],
      [/^lm_head\.decoder\.bias$/, "lm_head.bias"],
    ],
    // A bare RobertaModel has a pooler, which none of its heads reads.
    ignored: /^(roberta\.)?pooler\.dense\./,
  },
  python: { transformers: 4 },
  fields: schema.shape,
  lengthField: "max_position_embeddings",
  dropoutFields: bertDropout,
  freshFields: ({ maxLength, pad, cls, sep }) => ({
    max_position_embeddings: maxLength + pad + 1,
    type_vocab_size: 1,
    layer_norm_eps: 1e-5,
    bos_token_id: cls,
    eos_token_id: sep,
  }),
  parseConfig,
  parameters,
  maxPositions,
  segments: (config) => config.type_vocab_size,
  innerSize: (config) => config.intermediate_size,
  attentionDropout: (config) => config.attention_probs_dropout_prob,
  gguf: (config) => bertGguf(config, "roberta-bpe"),
  forward: (ops, weights, config, batch, { rows } = {}) => {
    const options = { prefix: "roberta.", firstPosition: firstPosition(config), ...(rows && { rows }) };
    return encoderForward(ops, weights, config, batch, options);
  },
  decoder(ops, weights, config, hidden) {
    const inner = ops.gelu(ops.linear(hidden, weights("lm_head.dense.weight"), weights("lm_head.dense.bias")));
    const x = ops.norm(inner, normOf(weights, "lm_head.layer_norm", config.layer_norm_eps)); // [M, C]
    return [x, weights(decoderName(config), "product"), weights("lm_head.bias")];
  },
  sequenceLogits(ops, weights, config, batch) {
    const p = classifierDropout(config);
    const first = ops.dropout(roberta.forward(ops, weights, config, batch, { rows: "first" }), p); // [B, C]
    const inner = ops.tanh(ops.linear(first, weights("classifier.dense.weight"), weights("classifier.dense.bias")));
    const dropped = ops.dropout(inner, p);
    return ops.linear(dropped, weights("classifier.out_proj.weight"), weights("classifier.out_proj.bias"));
  },
  tokenLogits: (ops, weights, config, hidden, head) =>
    tokenHeadLogits(ops, weights, head, hidden, classifierDropout(config)),
};
