// Oracles: a reader of GGUF written here from the format's description, and the golden checkpoints. That llama.cpp computes
// the same vectors is checked by `npm run test:peers -- gguf`.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openCheckpoint } from "../files/weight-files.js";
import { goldenConfig, goldenRoot } from "../model/golden.js";
import { exportGguf, type GgufExportOptions } from "./gguf.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "neobert-gguf-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Metadata, and tensors as shape, type (0 float32, 1 float16, 8 Q8_0) and bytes. */
function readGguf(path: string) {
  const bytes = readFileSync(path);
  let at = 0;
  const u32 = () => bytes.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const text = () => {
    const length = u64();
    return bytes.toString("utf8", at, (at += length));
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return bytes.readInt32LE((at += 4) - 4);
    if (type === 6) return bytes.readFloatLE((at += 4) - 4);
    if (type === 7) return bytes.readUInt8((at += 1) - 1) === 1;
    if (type === 8) return text();
    const [element, count] = [u32(), u64()];
    return Array.from({ length: count }, () => value(element));
  };
  expect(bytes.toString("latin1", 0, (at += 4))).toBe("GGUF");
  expect(u32()).toBe(3);
  const [tensorCount, keyCount] = [u64(), u64()];
  const metadata: Record<string, unknown> = {};
  for (let i = 0; i < keyCount; i++) metadata[text()] = value(u32());
  const table = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64).reverse();
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = new Map(
    table.map(({ name, shape, type, offset }) => {
      expect(offset % 32).toBe(0);
      const length = shape.reduce((product, size) => product * size, type === 8 ? 34 / 32 : type === 1 ? 2 : 4);
      return [name, { shape, type, bytes: new Uint8Array(bytes.subarray(start + offset, start + offset + length)) }];
    }),
  );
  return { metadata, tensors };
}

const floats = ({ bytes }: { bytes: Uint8Array }) => new Float32Array(bytes.buffer);

/** The golden model with a vocabulary of its size (WordPiece, [CLS] 2, [SEP] 3), exported and read. */
function exported(name: string, options: GgufExportOptions = {}) {
  const source = join(root, "source");
  cpSync(join(goldenRoot, name), source, { recursive: true });
  const { vocab_size } = goldenConfig(name);
  const words = Array.from({ length: vocab_size - 10 }, (_, i) => (i % 2 ? `##w${i}` : `w${i}`));
  writeFileSync(join(source, "vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...words].join("\n"));
  const result = exportGguf(source, join(root, "out.gguf"), options);
  const checkpoint = openCheckpoint(source);
  const stored = (name: string) => checkpoint.read(name).data as Float32Array;
  return { result, stored, close: () => checkpoint.close(), ...readGguf(join(root, "out.gguf")) };
}

describe("BERT", () => {
  test("has llama.cpp's names, the checkpoint's values, and the hyperparameters of its config", () => {
    const { metadata, tensors, stored, close, result } = exported("bert", { dtype: "fp32" });
    expect(result).toMatchObject({ architecture: "bert", tensors: 5 + 3 * 16 });
    expect(metadata).toMatchObject({
      "general.architecture": "bert",
      "bert.block_count": 3,
      "bert.context_length": 64,
      "bert.embedding_length": 48,
      "bert.feed_forward_length": 80,
      "bert.attention.head_count": 4,
      "bert.attention.causal": false,
      "bert.pooling_type": 1,
      "tokenizer.ggml.token_type_count": 2,
    });
    const names: [string, string][] = [
      ["token_embd.weight", "bert.embeddings.word_embeddings.weight"],
      ["position_embd.weight", "bert.embeddings.position_embeddings.weight"],
      ["token_types.weight", "bert.embeddings.token_type_embeddings.weight"],
      ["token_embd_norm.bias", "bert.embeddings.LayerNorm.bias"],
      ["blk.2.attn_k.weight", "bert.encoder.layer.2.attention.self.key.weight"],
      ["blk.0.attn_output.bias", "bert.encoder.layer.0.attention.output.dense.bias"],
      ["blk.0.attn_output_norm.weight", "bert.encoder.layer.0.attention.output.LayerNorm.weight"],
      ["blk.1.ffn_up.weight", "bert.encoder.layer.1.intermediate.dense.weight"],
      ["blk.1.ffn_down.weight", "bert.encoder.layer.1.output.dense.weight"],
      ["blk.1.layer_output_norm.bias", "bert.encoder.layer.1.output.LayerNorm.bias"],
    ];
    for (const [ours, published] of names) expect(floats(tensors.get(ours)!), ours).toEqual(stored(published));
    expect(tensors.get("blk.1.ffn_up.weight")!.shape).toEqual([80, 48]);
    close();
  });

  test("in fp16 has its matrices in half precision, vectors and small tables in float32", () => {
    const { tensors, close } = exported("bert");
    const types = Object.fromEntries([...tensors].map(([name, { type }]) => [name, type]));
    expect(types).toMatchObject({ "token_embd.weight": 1, "blk.0.attn_q.weight": 1, "blk.0.attn_q.bias": 0 });
    expect(types).toMatchObject({ "position_embd.weight": 0, "token_types.weight": 0, "token_embd_norm.weight": 0 });
    close();
  });

  test("has its vocabulary in llama.cpp's spelling, with ids that no token has as unused", () => {
    const { metadata, close } = exported("bert");
    const [tokens, kinds] = [metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]] as [
      string[],
      number[],
    ];
    expect(metadata["tokenizer.ggml.model"]).toBe("bert");
    expect([tokens.length, kinds.length]).toEqual([173, 173]);
    expect(tokens.slice(2, 8)).toEqual(["[CLS]", "[SEP]", "[MASK]", "\u2581w0", "w1", "\u2581w2"]);
    expect(kinds.slice(2, 8)).toEqual([3, 3, 3, 1, 1, 1]);
    expect([tokens.at(-1), kinds.at(-1)]).toEqual(["[PAD172]", 5]);
    expect(metadata).toMatchObject({ "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.seperator_token_id": 3 });
    close();
  });
});

test("in int8, rows that are whole blocks of 32 values have one scale a block and half a step of error, others are fp16", () => {
  const { metadata, tensors, stored, close } = exported("nomicbert", { dtype: "int8" });
  expect(metadata["general.file_type"]).toBe(7);
  const { shape, type, bytes } = tensors.get("blk.1.ffn_down.weight")!;
  expect([shape, type]).toEqual([[48, 96], 8]);
  const values = stored("nomic_bert.encoder.layers.1.mlp.fc2.weight");
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    const half = view.getUint16(34 * block, true);
    const scale = 2 ** ((half >> 10) - 15) * (1 + (half & 1023) / 1024); // positive and normal
    for (let i = 0; i < 32; i++) {
      const error = Math.abs(scale * view.getInt8(34 * block + 2 + i) - values[32 * block + i]!);
      expect(error).toBeLessThan(0.57 * scale); // half a step, and 127 roundings of the scale to 11 bits
    }
  }
  expect(tensors.get("blk.1.attn_qkv.weight")!.type).toBe(1); // 48 columns
  close();
});

test("RoBERTa's position table begins at its first real position", () => {
  const { metadata, tensors, stored, close } = exported("roberta", { dtype: "fp32" });
  expect(metadata["bert.context_length"]).toBe(64);
  expect(tensors.get("position_embd.weight")!.shape).toEqual([64, 48]);
  const table = stored("roberta.embeddings.position_embeddings.weight");
  expect(floats(tensors.get("position_embd.weight")!)).toEqual(table.slice(2 * 48));
  close();
});

test("NeoBERT's qkv rows go from head by head to q, k and v", () => {
  const { metadata, tensors, stored, close, result } = exported("neobert/base", { dtype: "fp32" });
  expect(metadata).toMatchObject({ "general.architecture": "neo-bert", "neo-bert.pooling_type": 1 });
  expect(result.notes.join()).toContain("permuted");
  const { hidden_size: C, num_attention_heads: H } = goldenConfig("neobert/base");
  const D = C / H;
  const published = stored("model.transformer_encoder.1.qkv.weight");
  const written = floats(tensors.get("blk.1.attn_qkv.weight")!);
  const row = (values: Float32Array, index: number) => values.slice(index * C, (index + 1) * C);
  for (const head of [0, H - 1]) {
    for (const part of [0, 1, 2]) {
      expect(row(written, part * C + head * D + 1)).toEqual(row(published, (3 * head + part) * D + 1));
    }
  }
  expect(floats(tensors.get("enc.output_norm.weight")!)).toEqual(stored("model.layer_norm.weight"));
  close();
});

test.each([
  ["nomicbert", "nomic-bert", ["blk.0.attn_qkv.weight", "blk.0.ffn_gate.weight", "blk.0.layer_output_norm.bias"]],
  ["modernbert", "modern-bert", ["blk.1.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"]],
  ["eurobert", "eurobert", ["blk.0.attn_norm.weight", "blk.2.attn_k.weight", "blk.1.ffn_gate.weight"]],
])("every tensor of %s has a name of llama.cpp's", (name, architecture, expected) => {
  const { metadata, tensors, close } = exported(name);
  expect(metadata["general.architecture"]).toBe(architecture);
  const known =
    /^(blk\.\d+\.(attn_(qkv|q|k|v|output|output_norm|norm)|ffn_(up|gate|down|norm)|layer_output_norm)|token_embd(_norm)?|token_types|output_norm)\.(weight|bias)$/;
  expect([...tensors.keys()].filter((name) => !known.test(name))).toEqual([]);
  expect([...tensors.keys()]).toEqual(expect.arrayContaining(expected));
  close();
});

test("EuroBERT has its grouped heads, its rotary base and the checkpoint's values", () => {
  const { metadata, tensors, stored, close } = exported("eurobert", { dtype: "fp32" });
  expect(metadata).toMatchObject({
    "eurobert.block_count": 3,
    "eurobert.feed_forward_length": 80,
    "eurobert.attention.head_count": 4,
    "eurobert.attention.head_count_kv": 2,
    "eurobert.attention.causal": false,
    "eurobert.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
    "eurobert.rope.freq_base": 250000,
  });
  const names: [string, string][] = [
    ["token_embd.weight", "model.embed_tokens.weight"],
    ["output_norm.weight", "model.norm.weight"],
    ["blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"],
    ["blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight"],
    ["blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight"],
    ["blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight"],
    ["blk.2.ffn_norm.weight", "model.layers.2.post_attention_layernorm.weight"],
    ["blk.2.ffn_gate.weight", "model.layers.2.mlp.gate_proj.weight"],
    ["blk.2.ffn_down.weight", "model.layers.2.mlp.down_proj.weight"],
  ];
  for (const [ours, published] of names) expect(floats(tensors.get(ours)!), ours).toEqual(stored(published));
  expect(tensors.get("blk.1.attn_k.weight")!.shape).toEqual([24, 48]);
  expect(tensors.has("output.weight")).toBe(false);
  close();
});

test("an embedder's own pooling is written, in either form of its config, and one that llama.cpp lacks is refused", () => {
  const source = join(root, "st");
  cpSync(join(goldenRoot, "bert"), source, { recursive: true });
  writeFileSync(join(source, "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
  const modules = ["Transformer", "Pooling"].map((type, idx) => {
    return { idx, name: `${idx}`, path: idx ? "1_Pooling" : "", type: `sentence_transformers.models.${type}` };
  });
  writeFileSync(join(source, "modules.json"), JSON.stringify(modules));
  mkdirSync(join(source, "1_Pooling"));
  const poolingWith = (config: object, name: string) => {
    writeFileSync(join(source, "1_Pooling/config.json"), JSON.stringify(config));
    exportGguf(source, join(root, name));
    return readGguf(join(root, name)).metadata["bert.pooling_type"];
  };
  expect(poolingWith({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }, "a.gguf")).toBe(2);
  expect(poolingWith({ pooling_mode: "mean" }, "b.gguf")).toBe(1);
  // What nothing says is the mean, for our own engines too.
  expect(poolingWith({ pooling_mode_mean_tokens: false }, "d.gguf")).toBe(1);
  rmSync(join(source, "modules.json"));
  expect(poolingWith({ pooling_mode: "cls" }, "e.gguf")).toBe(1);
  writeFileSync(join(source, "modules.json"), JSON.stringify(modules));
  expect(() => poolingWith({ pooling_mode_max_tokens: true }, "c.gguf")).toThrow(/pools by mean or cls, got max\n/);
});

describe("a byte-level BPE tokenizer", () => {
  const path = join(goldenRoot, "tokenizers/llama3-split.json.gz");
  const { tokenizer: json } = JSON.parse(gunzipSync(readFileSync(path)).toString());
  /** The plain values of the tables, and the notes, for the golden tokenizer with other fields. */
  const tables = (fields: object = {}) => {
    writeFileSync(join(root, "tokenizer.json"), JSON.stringify({ ...json, ...fields }));
    const names = { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>", pad_token: "<|end_of_text|>" };
    writeFileSync(join(root, "tokenizer_config.json"), JSON.stringify({ ...names, mask_token: "<|mask|>" }));
    const { metadata, notes } = ggufTokenizer(root, 530, "gpt-2");
    return { notes, ...Object.fromEntries(Object.entries(metadata).map(([key, { value }]) => [key.slice(15), value])) };
  };

  test("of a language model gives its bos and eos, and says where the template puts them", () => {
    const got = tables();
    expect(got).toMatchObject({
      model: "gpt2",
      bos_token_id: 0,
      eos_token_id: 1,
      padding_token_id: 1,
      mask_token_id: 3,
    });
    expect(got).not.toHaveProperty("unknown_token_id");
    expect(got).toMatchObject({ add_bos_token: true, add_eos_token: true, add_sep_token: true });
    const template = json.post_processor.processors[1];
    const bosAlone = { ...template, single: template.single.slice(0, 2), pair: template.pair.slice(0, 2) };
    expect(tables({ post_processor: bosAlone })).toMatchObject({ add_bos_token: true, add_eos_token: false });
    expect(tables({ post_processor: null })).toMatchObject({ add_bos_token: false, add_eos_token: false });
  });

  test("is cut into words by the name of its pattern, and what llama.cpp does otherwise is noted", () => {
    expect(tables()).toMatchObject({ pre: "llama-bpe", notes: [] });
    expect(tables({ model: { ...json.model, ignore_merges: false } }).notes.join()).toContain(
      "a word of the vocabulary whole",
    );
    const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
    const merged = { ...json.model, ignore_merges: false };
    expect(tables({ pre_tokenizer: gpt2, model: merged })).toMatchObject({ pre: "gpt-2", notes: [] });
    const other = { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, gpt2] };
    expect(tables({ pre_tokenizer: other, model: merged }).notes.join()).toContain("not this tokenizer's");
  });
});

test("what llama.cpp cannot compute is refused, and nothing is left behind", () => {
  expect(() => exported("neobert/m0")).toThrow(/llama.cpp can compute, got an ablation of NeoBERT\n/);
  expect(existsSync(join(root, "out.gguf"))).toBe(false);
  writeFileSync(join(root, "source/vocab.txt"), Array.from({ length: 200 }, (_, i) => `t${i}`).join("\n"));
  expect(() => exportGguf(join(goldenRoot, "bert"), root)).toThrow(/expected a new file/);
});
