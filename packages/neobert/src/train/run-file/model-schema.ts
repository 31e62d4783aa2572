// The fields of `model` in a run file: those of the five encoders' published config.json files, under their names. All are
// optional, as each architecture's file has the published defaults; which of them an architecture has is read from there.

import { z } from "zod";
import { architectureOf, architectures } from "../../model/index.js";

const count = z.int().positive();
const positive = z.number().positive();
const probability = z.number().min(0).lt(1);
const id = z.int().min(0);

const option = <T extends z.ZodType>(schema: T, description: string) => schema.optional().describe(description);
const fallback = <T extends z.ZodType>(schema: T, description: string, fallback: string) =>
  schema.optional().meta({ description, fallback });

export const modelSchema = z.strictObject({
  from: option(z.string().min(1), "Model to continue from: a folder, a run's folder or a name on the Hub"),
  model_type: fallback(z.enum(Object.keys(architectures)), "Architecture", "neobert"),
  hidden_size: option(count, "Model width"),
  num_hidden_layers: option(count, "Encoder blocks"),
  num_attention_heads: option(count, "Attention heads"),
  dim_head: fallback(count, "Head width", "width / heads"),
  head_dim: fallback(count, "Head width (NomicBERT)", "width / heads"),
  intermediate_size: option(count, "Feed-forward width; NeoBERT's before SwiGLU's reduction to two thirds"),
  norm_eps: option(positive, "Epsilon of the norms (NeoBERT, ModernBERT)"),
  layer_norm_eps: option(positive, "Epsilon of the norms (BERT, RoBERTa, NomicBERT)"),
  vocab_size: fallback(count, "Rows of the token embedding", "the tokenizer's"),
  type_vocab_size: option(count, "Segments (BERT, RoBERTa, NomicBERT)"),
  pad_token_id: fallback(id, "Id of [PAD]", "the tokenizer's"),
  max_length: fallback(count, "Length recorded in config.json (NeoBERT)", "`maxLength`"),
  max_position_embeddings: fallback(count, "The same in the others; BERT's and RoBERTa's rows", "`maxLength`"),
  embedding_init_range: option(positive, "Initial range of the embedding (NeoBERT)"),
  decoder_init_range: option(positive, "Initial range of the linear layers (NeoBERT)"),
  classifier_init_range: option(positive, "Initial range of a classification head (NeoBERT)"),
  initializer_range: option(positive, "Initial deviation (all but NeoBERT)"),
  initializer_cutoff_factor: option(positive, "Deviations at which initial values are cut off (ModernBERT)"),
  dropout: option(probability, "Dropout in the encoder; the paper has none (NeoBERT)"),
  hidden_dropout_prob: option(probability, "Dropout in the encoder (BERT, RoBERTa, NomicBERT)"),
  attention_probs_dropout_prob: option(probability, "Dropout of attention's probabilities (the same three)"),
  embedding_dropout: option(probability, "Dropout of the embeddings (ModernBERT)"),
  attention_dropout: option(probability, "Dropout of attention's probabilities and output (ModernBERT)"),
  mlp_dropout: option(probability, "Dropout inside the feed-forward unit (ModernBERT)"),
  classifier_dropout: option(probability, "Dropout before a classification head"),
  rope: option(z.boolean(), "Rotary positions (true) or learned ones (NeoBERT)"),
  rope_parameters: option(
    z.strictObject({ rope_theta: positive.describe("Base of the rotary angles") }),
    "Rotary positions (NomicBERT)",
  ),
  global_rope_theta: option(positive, "Base of the rotary angles in global layers (ModernBERT)"),
  local_rope_theta: option(positive, "The same in local layers (ModernBERT)"),
  global_attn_every_n_layers: option(count, "Every so many layers attend to all positions (ModernBERT)"),
  local_attention: option(count, "Positions that the other layers see (ModernBERT)"),
  rms_norm: option(z.boolean(), "RMSNorm (true) or LayerNorm (NeoBERT)"),
  norm_bias: option(z.boolean(), "Biases of the norms (ModernBERT)"),
  attention_bias: option(z.boolean(), "Biases of attention's projections (ModernBERT)"),
  mlp_bias: option(z.boolean(), "Biases of the feed-forward unit (ModernBERT)"),
  decoder_bias: option(z.boolean(), "Bias of the decoder (ModernBERT)"),
  classifier_bias: option(z.boolean(), "Bias of the prediction head (ModernBERT)"),
  classifier_pooling: option(z.enum(["cls", "mean"]), "What a classifier of sequences reads (ModernBERT)"),
  tie_word_embeddings: option(z.boolean(), "Decoder and token embedding are one (all but NeoBERT)"),
  hidden_act: option(z.enum(["swiglu", "gelu", "silu"]), "Feed-forward unit (NeoBERT: swiglu or gelu)"),
  hidden_activation: option(z.literal("gelu"), "The same (ModernBERT)"),
  classifier_activation: option(z.literal("gelu"), "Activation of the prediction head (ModernBERT)"),
  position_embedding_type: option(z.literal("absolute"), "Positions (BERT, RoBERTa)"),
  ngpt: option(z.boolean(), "The normalised (nGPT) variant (NeoBERT)"),
  base_scale: option(positive, "Deviation that nGPT's scaling parameters are expressed in (NeoBERT)"),
});

export type ModelFields = z.output<typeof modelSchema>;

/** The fields of an architecture's config.json that have a default. */
export function fieldsOf(modelType: string): string[] {
  const config = { model_type: modelType };
  return Object.keys(architectureOf(config).parseConfig(config));
}

/** The given fields that this architecture does not have. */
export function foreignFields({ from: _, model_type = "neobert", ...fields }: ModelFields): string[] {
  const known = new Set(fieldsOf(model_type));
  return Object.entries(fields).flatMap(([key, value]) => (value === undefined || known.has(key) ? [] : [key]));
}
