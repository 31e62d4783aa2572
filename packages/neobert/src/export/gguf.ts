// An encoder as a GGUF file for llama.cpp, with the tensor and metadata names of its own converter, which the encoder's file
// says (`GgufForm`). Heads are left out: there these are embedders.
// Two differences are llama.cpp's: it approximates GELU by tanh, and it reads NeoBERT's qkv rows as q | k | v where the
// published layout goes head by head, so they are permuted here (its own converter does not, and gives other vectors).

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { type GgufForm, type ModelArchitecture, openModel } from "../model/index.js";
import { readModules, readSentenceFolder } from "../vectors/sentence-transformers.js";
import {
  blockLength,
  bool,
  float32,
  type GgufTensor,
  type GgufType,
  type GgufValue,
  string,
  uint32,
  writeGguf,
} from "./gguf-file.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";
import { checkTokenRows } from "./token-rows.js";

export interface GgufExportOptions {
  /**
   * Type of the matrices; everything else is float32. Default fp16. int8 is llama.cpp's Q8_0; a matrix whose rows are no
   * multiple of its 32 values stays fp16.
   */
  dtype?: GgufType;
  /** How llama.cpp makes a text's vector; the folder's own, as here: the mean where it names none. */
  pooling?: "cls" | "mean" | "none";
}

export interface GgufExport {
  architecture: string;
  tensors: number;
  /** What a user should know about how llama.cpp runs it. */
  notes: string[];
}

function formOf({ gguf }: ModelArchitecture): GgufForm {
  const form = gguf();
  if (!("refused" in form)) return form;
  throw new Error(
    `export gguf: expected a model that llama.cpp can compute, got ${form.refused}\nExport it as onnx or hf instead.`,
  );
}

const ggufValue = (value: number | string | { float: number }): GgufValue =>
  typeof value === "string" ? string(value) : typeof value === "number" ? uint32(value) : float32(value.float);

/**
 * Writes the encoder of a model folder as a GGUF file. Throws where llama.cpp has no such model (NeoBERT's ablations, biases
 * that it does not add) or no such tokenizer.
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
    const { architecture, values } = model;
    const { config } = architecture;
    const form = formOf(architecture);
    checkTokenRows("export gguf", folder, config.vocab_size);
    const maxTokens = architecture.longestText();
    const pooling = options.pooling ?? ownPooling(source);
    const { num_attention_heads: heads, hidden_size: C } = config;
    const tokenizer = ggufTokenizer(folder, config.vocab_size, form.words);

    const tensors = architecture.parameters("none").map(({ name, shape, role }): GgufTensor => {
      const bare = name.slice(architecture.prefix.length);
      const stored = form.renames.reduce((name, [pattern, by]) => name.replace(pattern, by), bare);
      const isSmallTable = stored.startsWith("position_embd") || stored.startsWith("token_types");
      const fitting = shape.at(-1)! % blockLength(dtype) === 0 ? dtype : "fp16";
      const type = role === "vector" || isSmallTable ? "fp32" : fitting;
      if (form.perHead?.test(stored)) {
        return { name: stored, shape, dtype: type, values: () => blocksOfHeads(values(name), heads, C) };
      }
      if (stored.startsWith("position_embd")) {
        // RoBERTa's first rows belong to padding: llama.cpp counts from 0.
        const used = () => values(name).subarray((shape[0]! - maxTokens) * C);
        return { name: stored, shape: [maxTokens, C], dtype: type, values: used };
      }
      return { name: stored, shape, dtype: type, values: () => values(name) };
    });
    const key = (name: string) => (name.startsWith("tokenizer.") ? name : `${form.architecture}.${name}`);
    const hyperparameters: Record<string, GgufValue> = {
      block_count: uint32(config.num_hidden_layers),
      context_length: uint32(maxTokens),
      embedding_length: uint32(C),
      feed_forward_length: uint32(architecture.innerSize()),
      "attention.head_count": uint32(heads),
      "attention.causal": bool(false),
      pooling_type: uint32({ none: 0, mean: 1, cls: 2 }[pooling]),
      ...Object.fromEntries(Object.entries(form.metadata).map(([name, value]) => [name, ggufValue(value)])),
    };
    const metadata = {
      "general.architecture": string(form.architecture),
      "general.name": string(basename(source)),
      "general.file_type": uint32({ fp32: 0, fp16: 1, int8: 7 }[dtype]),
      ...Object.fromEntries(Object.entries(hyperparameters).map(([name, value]) => [key(name), value])),
      ...tokenizer.metadata,
    };
    writeGguf(out, metadata, tensors);
    const notes = [
      `a text's vector is ${pooling === "cls" ? "its first token's" : pooling === "mean" ? "the mean over its tokens" : "left to the caller"}`,
      ...(form.hasGelu ? ["llama.cpp approximates GELU by tanh"] : []),
      ...(form.perHead
        ? ["qkv rows are permuted to q | k | v, as llama.cpp reads them; its own converter leaves them"]
        : []),
      ...(form.notes ?? []),
      ...tokenizer.notes,
    ];
    return { architecture: form.architecture, tensors: tensors.length, notes };
  } finally {
    model.close();
  }
}

/** The folder's own pooling; throws where llama.cpp has none like it. */
function ownPooling(source: string): "cls" | "mean" {
  const { pooling } = readSentenceFolder(source);
  const [mode] = pooling;
  if (pooling.length === 1 && (mode === "cls" || mode === "mean")) return mode;
  throw new Error(
    `export gguf: expected an embedder that pools by mean or cls, got ${pooling.join(", ")}\nChoose one of the two instead of its own pooling.`,
  );
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
