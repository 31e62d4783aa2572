// An encoder as a GGUF file for llama.cpp: its architectures `bert` (BERT and RoBERTa), `nomic-bert`, `modern-bert` and
// `neo-bert`, with the tensor and metadata names of its own converter. Heads are left out: there these are embedders.
// Two differences are llama.cpp's: it approximates GELU by tanh, and it reads NeoBERT's qkv rows as q | k | v where the
// published layout goes head by head, so they are permuted here (its own converter does not, and gives other vectors).

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { BertConfig, ModelConfig, ModernBertConfig, NeoBERTConfig, NomicBertConfig } from "../model/index.js";
import { openModel } from "../model/index.js";
import { bool, float32, type GgufTensor, type GgufValue, string, uint32, writeGguf } from "./gguf-file.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";
import { poolingOf, readModules } from "./modules.js";

export interface GgufExportOptions {
  /** Type of the matrices; everything else is float32. Default fp16. */
  dtype?: "fp32" | "fp16";
  /** How llama.cpp makes a text's vector; the embedder's own, else the mean (NeoBERT: the first token's). */
  pooling?: "cls" | "mean" | "none";
}

export interface GgufExport {
  architecture: string;
  tensors: number;
  /** What a user should know about how llama.cpp runs it. */
  notes: string[];
}

type Renames = [pattern: RegExp, replacement: string][];

interface Form {
  architecture: string;
  /** Applied in order to a parameter's name without its prefix. */
  renames: Renames;
  feedForward: number;
  maxTokens: number;
  metadata: Record<string, GgufValue>;
}

const bertNames: Renames = [
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
];
const nomicNames: Renames = [
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
];
const modernNames: Renames = [
  [/^embeddings\.tok_embeddings/, "token_embd"],
  [/^embeddings\.norm/, "token_embd_norm"],
  [/^final_norm/, "output_norm"],
  [/^layers\.(\d+)\./, "blk.$1."],
  [/attn\.Wqkv/, "attn_qkv"],
  [/attn\.Wo/, "attn_output"],
  [/mlp_norm/, "ffn_norm"],
  [/mlp\.Wi/, "ffn_up"],
  [/mlp\.Wo/, "ffn_down"],
];
const neoNames: Renames = [
  [/^encoder\./, "token_embd."],
  [/^layer_norm/, "enc.output_norm"],
  [/^transformer_encoder\.(\d+)\./, "blk.$1."],
  [/attention_norm/, "attn_norm"],
  [/qkv/, "attn_qkv"],
  [/wo/, "attn_output"],
  [/ffn\.w12/, "ffn_up"],
  [/ffn\.w3/, "ffn_down"],
];

const unscaled = { "rope.scaling.type": string("none") };

function formOf(config: ModelConfig, maxPositions: number): Form {
  const refuse = (what: string) =>
    new Error(
      `export gguf: expected a model that llama.cpp can compute, got ${what}\nExport it as onnx or hf instead.`,
    );
  switch (config.model_type) {
    case "bert":
    case "roberta": {
      const { layer_norm_eps, type_vocab_size, intermediate_size } = config as BertConfig;
      const metadata = {
        "attention.layer_norm_epsilon": float32(layer_norm_eps),
        "tokenizer.ggml.token_type_count": uint32(type_vocab_size),
      };
      const form = { architecture: "bert", renames: bertNames, metadata };
      return { ...form, feedForward: intermediate_size, maxTokens: maxPositions };
    }
    case "nomic_bert": {
      const { layer_norm_eps, type_vocab_size, rope_parameters, ...rest } = config as NomicBertConfig;
      const metadata = {
        "attention.layer_norm_epsilon": float32(layer_norm_eps),
        "tokenizer.ggml.token_type_count": uint32(type_vocab_size),
        "rope.freq_base": float32(rope_parameters!.rope_theta),
      };
      const form = { architecture: "nomic-bert", renames: nomicNames, metadata };
      return { ...form, feedForward: rest.intermediate_size, maxTokens: rest.max_position_embeddings };
    }
    case "modernbert": {
      const modern = config as ModernBertConfig;
      for (const bias of ["norm_bias", "attention_bias", "mlp_bias"] as const) {
        if (modern[bias]) throw refuse(`a ModernBERT with ${bias}`);
      }
      const metadata = {
        ...unscaled,
        vocab_size: uint32(modern.vocab_size),
        "attention.layer_norm_epsilon": float32(modern.norm_eps),
        "attention.sliding_window": uint32(modern.local_attention),
        "attention.sliding_window_pattern": uint32(modern.global_attn_every_n_layers),
        "rope.freq_base": float32(modern.global_rope_theta),
        "rope.freq_base_swa": float32(modern.local_rope_theta ?? modern.global_rope_theta),
      };
      const form = { architecture: "modern-bert", renames: modernNames, metadata };
      return { ...form, feedForward: modern.intermediate_size, maxTokens: modern.max_position_embeddings };
    }
    default: {
      const neo = config as NeoBERTConfig;
      if (neo.ngpt || !neo.rope || !neo.rms_norm || neo.hidden_act !== "swiglu") throw refuse("an ablation of NeoBERT");
      const metadata = {
        ...unscaled,
        "attention.layer_norm_rms_epsilon": float32(neo.norm_eps),
        "rope.freq_base": float32(10000),
      };
      const feedForward = 8 * Math.ceil(Math.floor((2 * neo.intermediate_size) / 3) / 8);
      return { architecture: "neo-bert", renames: neoNames, metadata, feedForward, maxTokens: neo.max_length };
    }
  }
}

/**
 * Writes the encoder of a model folder as a GGUF file. Throws where llama.cpp has no such model (NeoBERT's ablations,
 * ModernBERT with biases) or no such tokenizer.
 */
export function exportGguf(source: string, out: string, options: GgufExportOptions = {}): GgufExport {
  if (existsSync(out)) {
    throw new Error(`export gguf: expected a new file, got ${out}, which exists\nDelete it, or name another.`);
  }
  const { dtype = "fp16" } = options;
  const modules = readModules(source);
  const folder = modules ? join(source, modules[0]!.path) : source;
  const model = openModel(folder, { head: "none" });
  try {
    const { architecture, config, values } = model;
    const form = formOf(config, architecture.maxPositions(config));
    const isNeoBERT = form.architecture === "neo-bert";
    const own = modules && poolingOf(source, modules);
    if (modules && !own && !options.pooling) {
      throw new Error(
        `export gguf: expected an embedder that pools by mean or cls, got another\nChoose one with pooling.`,
      );
    }
    const pooling = options.pooling ?? own ?? (isNeoBERT ? "cls" : "mean");
    const { num_attention_heads: heads, hidden_size: C } = config;
    const tokenizer = ggufTokenizer(folder, config.vocab_size, config.model_type);

    const tensors = architecture.parameters(config, "none").map(({ name, shape, role }): GgufTensor => {
      const bare = name.slice(architecture.prefix.length);
      const stored = form.renames.reduce((name, [pattern, by]) => name.replace(pattern, by), bare);
      const isSmallTable = stored.startsWith("position_embd") || stored.startsWith("token_types");
      const type = role === "vector" || isSmallTable ? "fp32" : dtype;
      if (isNeoBERT && stored.endsWith("attn_qkv.weight")) {
        return { name: stored, shape, dtype: type, values: () => blocksOfHeads(values(name), heads, C) };
      }
      if (stored.startsWith("position_embd")) {
        // RoBERTa's first rows belong to padding: llama.cpp counts from 0.
        const rows = form.maxTokens;
        const used = () => values(name).subarray((shape[0]! - rows) * C);
        return { name: stored, shape: [rows, C], dtype: type, values: used };
      }
      return { name: stored, shape, dtype: type, values: () => values(name) };
    });
    const key = (name: string) => (name.startsWith("tokenizer.") ? name : `${form.architecture}.${name}`);
    const hyperparameters: Record<string, GgufValue> = {
      block_count: uint32(config.num_hidden_layers),
      context_length: uint32(form.maxTokens),
      embedding_length: uint32(C),
      feed_forward_length: uint32(form.feedForward),
      "attention.head_count": uint32(heads),
      "attention.causal": bool(false),
      pooling_type: uint32({ none: 0, mean: 1, cls: 2 }[pooling]),
      ...form.metadata,
    };
    const metadata = {
      "general.architecture": string(form.architecture),
      "general.name": string(basename(source)),
      "general.file_type": uint32(dtype === "fp16" ? 1 : 0),
      ...Object.fromEntries(Object.entries(hyperparameters).map(([name, value]) => [key(name), value])),
      ...tokenizer.metadata,
    };
    writeGguf(out, metadata, tensors);
    const usesGelu = !isNeoBERT && form.architecture !== "nomic-bert";
    const notes = [
      `a text's vector is ${pooling === "cls" ? "its first token's" : pooling === "mean" ? "the mean over its tokens" : "left to the caller"}`,
      ...(usesGelu ? ["llama.cpp approximates GELU by tanh"] : []),
      ...(isNeoBERT
        ? ["qkv rows are permuted to q | k | v, as llama.cpp reads them; its own converter leaves them"]
        : []),
      ...tokenizer.notes,
    ];
    return { architecture: form.architecture, tensors: tensors.length, notes };
  } finally {
    model.close();
  }
}

/** Rows q0 | k0 | v0 | q1 | ... of heads, [3C, C], as q | k | v. */
function blocksOfHeads(weight: Float32Array, heads: number, C: number): Float32Array {
  const size = (C / heads) * C; // values of one head's rows
  const blocks = new Float32Array(weight.length);
  for (let head = 0; head < heads; head++) {
    for (let part = 0; part < 3; part++) {
      const start = (3 * head + part) * size;
      blocks.set(weight.subarray(start, start + size), (part * heads + head) * size);
    }
  }
  return blocks;
}
