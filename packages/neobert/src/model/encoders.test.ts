// The configs and parameters of the encoders beside NeoBERT. Oracles: the published config.json files and parameter counts,
// and the names and shapes of checkpoints that transformers saved (test/golden).

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../files/weight-files.js";
import type { Head } from "./architecture.js";
import { architectureOf, headOf, modelTypes } from "./architectures.js";
import { goldenClassifiers, goldenConfig, goldenModels, goldenRoot, goldenTaggers } from "./golden.js";

const parse = (raw: object) => architectureOf(raw).config;
const count = (raw: object, head: Head) =>
  architectureOf(raw)
    .parameters(head)
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);

// config.json of bert-base-uncased, roberta-base, nomic-embed-text-v1.5 (the Hub's form), ModernBERT-base and EuroBERT-610m
// (the Hub's form).
const bertBase = {
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  gradient_checkpointing: false,
  vocab_size: 30522,
};
const robertaBase = {
  model_type: "roberta",
  architectures: ["RobertaForMaskedLM"],
  bos_token_id: 0,
  eos_token_id: 2,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 514,
  pad_token_id: 1,
  type_vocab_size: 1,
  vocab_size: 50265,
};
const nomicHub = {
  model_type: "nomic_bert",
  architectures: ["NomicBertModel"],
  activation_function: "swiglu",
  attn_pdrop: 0,
  auto_map: { AutoModel: "modeling_hf_nomic_bert.NomicBertModel" },
  causal: false,
  embd_pdrop: 0,
  resid_pdrop: 0,
  layer_norm_epsilon: 1e-12,
  max_trained_positions: 2048,
  mlp_fc1_bias: false,
  mlp_fc2_bias: false,
  n_embd: 768,
  n_head: 12,
  n_inner: 3072,
  n_layer: 12,
  n_positions: 8192,
  pad_vocab_size_multiple: 64,
  parallel_block: false,
  prenorm: false,
  qkv_proj_bias: false,
  rotary_emb_base: 1000,
  rotary_emb_fraction: 1,
  rotary_emb_interleaved: false,
  rotary_emb_scale_base: null,
  rotary_scaling_factor: null,
  type_vocab_size: 2,
  use_rms_norm: false,
  vocab_size: 30528,
  use_flash_attn: true,
  summary_type: "cls_index",
  bos_token_id: null,
};
const modernBase = {
  model_type: "modernbert",
  architectures: ["ModernBertForMaskedLM"],
  global_attn_every_n_layers: 3,
  vocab_size: 50368,
  layer_norm_eps: 1e-5,
  position_embedding_type: "absolute",
  classifier_pooling: "mean",
};

const euroHub = {
  model_type: "eurobert",
  architectures: ["EuroBertForMaskedLM"],
  auto_map: { AutoModel: "modeling_eurobert.EuroBertModel" },
  bos_token_id: 128000,
  eos_token_id: 128001,
  hidden_size: 1152,
  intermediate_size: 4096,
  mask_token_id: 128002,
  num_attention_heads: 18,
  num_hidden_layers: 26,
  num_key_value_heads: 6,
  pad_token_id: 128001,
  rope_scaling: null,
  rope_theta: 250000,
  tie_word_embeddings: false,
};

describe("published configs", () => {
  test.each([
    ["BERT", bertBase, 109_514_298],
    ["RoBERTa", robertaBase, 124_697_433],
    ["ModernBERT", modernBase, 149_655_232],
  ])("%s base has its published number of parameters with the masked-language-model head", (_, raw, expected) => {
    expect(headOf(architectureOf(raw))).toBe("maskedLM");
    expect(count(raw, "maskedLM")).toBe(expected);
    expect(parse(raw)).toMatchObject(raw);
  });

  test("NomicBERT's Hub form is read as the model that transformers 5 has, and keeps its other fields", () => {
    expect(count(nomicHub, "none")).toBe(136_731_648);
    const config = parse(nomicHub) as Record<string, unknown>;
    const { model_type, architectures, ...defaults } = parse({ model_type: "nomic_bert" }) as Record<string, unknown>;
    expect(config).toMatchObject(defaults);
    expect(config).toMatchObject({ summary_type: "cls_index", use_flash_attn: true });
    for (const key of ["n_embd", "n_inner", "rotary_emb_base", "auto_map"]) expect(config).not.toHaveProperty(key);
    expect(parse(config)).toEqual(config);
  });

  test("NomicBERT's vocabulary and inner size are rounded up as the Hub's code does", () => {
    const config = parse({ ...nomicHub, vocab_size: 30522, n_inner: 3000 });
    expect([config.vocab_size, config.intermediate_size]).toEqual([30528, 3072]);
  });

  test("NomicBERT's texts are as long as n_positions says, whether angles are scaled beyond the training length or not", () => {
    for (const rotary_scaling_factor of [2, null]) {
      const { longestText, maxPositions, config } = architectureOf({ ...nomicHub, rotary_scaling_factor });
      expect([longestText(), maxPositions()]).toEqual([8192, Number.POSITIVE_INFINITY]);
      expect(architectureOf(config).longestText()).toBe(8192);
      expect(config).toMatchObject({ max_position_embeddings: 2048 });
    }
  });

  test("NomicBERT's dynamic rotary angles need their factor", () => {
    const raw = { model_type: "nomic_bert", rope_parameters: { rope_type: "dynamic", rope_theta: 1000 } };
    expect(() => parse(raw)).toThrow("expected a factor in rope_parameters of rope_type dynamic, got none");
  });

  test("ModernBERT's fields of transformers 5 are read as the published ones", () => {
    const every = (n: number) => Array.from({ length: 22 }, (_, i) => (i % n ? "sliding_attention" : "full_attention"));
    const rope = (theta: number) => ({ rope_type: "default", rope_theta: theta });
    const raw = {
      model_type: "modernbert",
      layer_types: every(4),
      rope_parameters: { full_attention: rope(5e4), sliding_attention: rope(7e3) },
    };
    const config = parse(raw);
    expect(config).toMatchObject({ global_attn_every_n_layers: 4, global_rope_theta: 5e4, local_rope_theta: 7e3 });
    expect(config).not.toHaveProperty("rope_parameters");
    expect(() => parse({ ...raw, layer_types: every(4).reverse() })).toThrow(
      /layer_types with full_attention in every/,
    );
  });

  test("EuroBERT's Hub form is read as transformers 5 reads it, with the parameters that it counts", () => {
    const { rope_theta, rope_scaling, ...others } = euroHub;
    const config = parse(euroHub);
    expect(config).toMatchObject({ ...others, head_dim: 64, rope_parameters: { rope_theta, rope_type: "default" } });
    expect(config).not.toHaveProperty("rope_theta");
    expect([count(euroHub, "none"), count(euroHub, "maskedLM")]).toEqual([607_874_688, 755_625_600]);
    expect([count({ model_type: "eurobert" }, "none"), count({ model_type: "eurobert" }, "maskedLM")]).toEqual([
      211_766_016, 310_266_624,
    ]);
    expect(count({ ...euroHub, tie_word_embeddings: true }, "maskedLM")).toBe(607_874_688);
    const both = parse({ ...euroHub, rope_parameters: { rope_theta: 7 } });
    expect(both).toMatchObject({ rope_parameters: { rope_theta: 7 } });
  });

  test("RoBERTa's positions begin behind the padding id", () => {
    expect(architectureOf(robertaBase).maxPositions()).toBe(512);
  });

  test.each([
    [{ model_type: "bert", max_length: 20 }, 512],
    [{ ...robertaBase, max_length: 20, n_positions: 8 }, 512],
    [{ model_type: "nomic_bert", max_length: 20 }, 2048],
    [{ ...modernBase, max_length: 20 }, 8192],
    [{ model_type: "neobert", max_length: 20, max_position_embeddings: 8 }, 20],
  ])("the longest text is what the architecture calls so, not what other fields of %j say", (raw, expected) => {
    expect(architectureOf(raw).longestText()).toBe(expected);
  });

  test.each(modelTypes)("parsing what was parsed changes nothing: %s", (model_type) => {
    const once = parse({ model_type, unknown_field: [1] });
    expect(once).toHaveProperty("unknown_field", [1]);
    expect(parse(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });
});

describe("refused configs", () => {
  test.each([
    [
      { model_type: "bert", position_embedding_type: "relative_key" },
      /BertConfig: .*\n +position_embedding_type: .*"absolute", got "relative_key"/,
    ],
    [{ model_type: "bert", hidden_act: "relu" }, /hidden_act: .*"gelu", got "relu"/],
    [{ model_type: "bert", is_decoder: true }, /is_decoder: .*false, got true/],
    [{ model_type: "bert", hidden_size: 100 }, /hidden_size to be a multiple of num_attention_heads, got 100 and 12/],
    [
      { model_type: "bert", vocab_size: "big", hidden_dropout_prob: 1 },
      /vocab_size: .*got "big"\n +hidden_dropout_prob: .*got 1/,
    ],
    [
      { model_type: "roberta", pad_token_id: 1, max_position_embeddings: 2 },
      /max_position_embeddings of at least 3, got 2/,
    ],
    [{ model_type: "roberta", hidden_act: "gelu_new" }, /RobertaConfig: .*\n +hidden_act: .*got "gelu_new"/],
    [{ ...nomicHub, rotary_emb_interleaved: true }, /NomicBertConfig: .*\n +rotary_emb_interleaved: .*got true/],
    [{ ...nomicHub, rotary_emb_scale_base: 512 }, /rotary_emb_scale_base: .*got 512/],
    [{ ...nomicHub, rotary_emb_fraction: 0 }, /rotary_emb_fraction: .*got 0/],
    [{ ...nomicHub, prenorm: true, qkv_proj_bias: true }, /prenorm: .*got true\n +qkv_proj_bias: .*got true/],
    [{ ...nomicHub, activation_function: "gelu" }, /activation_function: .*"swiglu", got "gelu"/],
    [{ ...nomicHub, embd_pdrop: 0.1 }, /embd_pdrop and resid_pdrop to be equal, got 0.1 and 0/],
    [{ model_type: "nomic_bert", rope_parameters: { rope_type: "yarn" } }, /rope_parameters.rope_type: .*got "yarn"/],
    [{ model_type: "nomic_bert", head_dim: 32 }, /head_dim to be .* 64, got 32/],
    [
      { model_type: "modernbert", hidden_activation: "silu" },
      /ModernBertConfig: .*\n +hidden_activation: .*got "silu"/,
    ],
    [{ model_type: "modernbert", classifier_pooling: "max" }, /classifier_pooling: .*got "max"/],
    [{ model_type: "modernbert", pad_token_id: 50368 }, /pad_token_id below vocab_size 50368, got 50368/],
    [{ ...euroHub, num_key_value_heads: 4 }, /num_key_value_heads to divide num_attention_heads 18, got 4/],
    [
      { ...euroHub, rope_scaling: { rope_type: "yarn" } },
      /EuroBertConfig: .*\n +rope_scaling: .*got \{"rope_type":"yarn"/,
    ],
    [{ ...euroHub, rope_parameters: { rope_type: "llama3" } }, /rope_parameters.rope_type: .*got "llama3"/],
    [{ ...euroHub, head_dim: 32 }, /head_dim to be .* 64, got 32/],
    [{ ...euroHub, classifier_pooling: "cls" }, /classifier_pooling: .*got "cls"/],
  ])("%j", (raw, message) => {
    expect(() => parse(raw)).toThrow(message);
  });
});

test.each([...goldenModels, ...goldenClassifiers, ...goldenTaggers])(
  "the parameters of %s are those that its published implementation saves",
  (folder) => {
    const architecture = architectureOf(goldenConfig(folder));
    const checkpoint = openCheckpoint(join(goldenRoot, folder));
    const published = checkpoint.names().map((name) => [name, checkpoint.info(name).shape] as const);
    checkpoint.close();
    const ours = architecture.parameters(headOf(architecture)).map(({ name, shape }) => [name, shape] as const);
    expect(new Map(ours)).toEqual(new Map(published));
  },
);

test("a null dropout of ModernBERT's classifier is none", () => {
  expect(architectureOf({ model_type: "modernbert", classifier_dropout: null }).config).toMatchObject({
    classifier_dropout: 0,
  });
});

test.each<[fields: object, rope: object]>([
  [{}, { rope_theta: 1000, rope_type: "default" }],
  [{ rope_theta: 500 }, { rope_theta: 500, rope_type: "default" }],
  [
    { rope_theta: 500, rope_parameters: { rope_theta: 200 } },
    { rope_theta: 200, rope_type: "default" },
  ],
  [
    { rope_scaling: { type: "dynamic", factor: 2 }, rope_theta: 500 },
    { rope_theta: 500, rope_type: "dynamic", factor: 2 },
  ],
  [
    { rope_scaling: {}, rope_parameters: { rope_theta: 200 } },
    { rope_theta: 200, rope_type: "default" },
  ],
])("the rotary fields %j of NomicBERT are read as transformers 5 reads them", (fields, rope) => {
  expect(architectureOf({ model_type: "nomic_bert", ...fields }).config).toMatchObject({ rope_parameters: rope });
});

test.each([
  [{ rope_scaling: { type: "linear", factor: 2 } }, /rope_type/],
  [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
  [{ rope_parameters: { partial_rotary_factor: 0.5 } }, /partial_rotary_factor/],
])("NomicBERT with %j is refused", (fields, message) => {
  expect(() => architectureOf({ model_type: "nomic_bert", ...fields })).toThrow(message);
});
