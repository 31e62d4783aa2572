// FOLDER LLAMA: GGUF files of the encoders, run by llama.cpp (node-llama-cpp in the folder LLAMA), give the tokens of our
// tokenizers and the vectors of our models.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { tidy } from "@neobert/torch";
import { exportGguf } from "neobert/export";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { configs, cosine, randomModel, saveWithTokenizer, texts, tokenizer } from "./models.mjs";

const [folder, installed] = process.argv.slice(2);
const entry = createRequire(join(resolve(installed), "package.json")).resolve("node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);

const COSINE = { fp32: 0.99999, fp16: 0.9999, int8: 0.995 };
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });

const lowest = {};
for (const config of configs) {
  const { model_type } = config;
  const model = randomModel(config, "none", 7);
  const saved = join(folder, model_type);
  saveWithTokenizer(model, saved);
  for (const dtype of ["fp32", "fp16", "int8"]) {
    for (const pooling of ["mean", "cls"]) {
      const file = join(folder, `${model_type}-${dtype}-${pooling}.gguf`);
      exportGguf(saved, file, { dtype, pooling });
      const theirs = await llama.loadModel({ modelPath: file });
      const context = await theirs.createEmbeddingContext({ contextSize: 256, threads: 1 });
      for (const text of texts) {
        const { ids } = tokenizer.encode(text, { maxLength: 250, truncation: "longestFirst" });
        const tokens = theirs.tokenize(text);
        assert.deepEqual(tokens.slice(0, ids.length - 2), [...ids].slice(1, -1), `${model_type}: tokens of ${text}`);
        const { vector } = await context.getEmbeddingFor([...ids]);
        const ours = tidy(() => {
          const hidden = model.hidden({ ids, cuSeqlens: Int32Array.of(0, ids.length) }).detach(); // [T, C]
          return (pooling === "mean" ? hidden.mean(0) : hidden.select(0, 0)).toArray();
        });
        const likeness = cosine(ours, vector);
        assert.ok(likeness >= COSINE[dtype], `${file}: cosine ${likeness} on ${ids.length} tokens`);
        lowest[`${model_type} ${dtype}`] = Math.min(lowest[`${model_type} ${dtype}`] ?? 1, likeness);
      }
      await context.dispose();
      await theirs.dispose();
    }
  }
  model.dispose();
}
// The published byte-level BPE tokenizers on the texts of their golden files; the model behind them is of no matter.
const published = { roberta: "roberta-base", modernbert: "modernbert-base", eurobert: "llama3-split" };
const bpe = [];
for (const [model_type, name] of Object.entries(published)) {
  const tokenizer = publishedTokenizer(name);
  if (!tokenizer) continue;
  const { json, golden, names = {} } = tokenizer;
  const ids = [...Object.values(json.model.vocab), ...json.added_tokens.map(({ id }) => id)];
  const vocab_size = 1 + ids.reduce((most, id) => Math.max(most, id), 0);
  const tiny = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, vocab_size };
  const model = TorchModel.create({ model_type, ...tiny, pad_token_id: 1 }, { head: "none" });
  const saved = join(folder, name);
  model.save(saved);
  model.dispose();
  writeFileSync(join(saved, "tokenizer.json"), JSON.stringify(json));
  writeFileSync(join(saved, "tokenizer_config.json"), JSON.stringify(names));
  exportGguf(saved, join(folder, `${name}.gguf`));
  const theirs = await llama.loadModel({ modelPath: join(folder, `${name}.gguf`) });
  // llama.cpp does not normalise, and ModernBERT's tokenizer wants NFC.
  const texts = golden.filter(({ text }) => text.length > 0 && text === text.normalize("NFC"));
  const alike = texts.filter(({ text, ids }) => `${theirs.tokenize(text, true)}` === `${ids.slice(1, -1)}`);
  assert.ok(alike.length >= 0.99 * texts.length, `${name}: ${alike.length} of ${texts.length} texts`);
  assert.deepEqual([theirs.tokens.bos, theirs.tokens.eos], [golden[0].ids.at(0), golden[0].ids.at(-1)], name);
  bpe.push(`${name} on ${alike.length} of ${texts.length} texts`);
  await theirs.dispose();
}
await llama.dispose();

function publishedTokenizer(name) {
  if (name === "llama3-split") {
    const path = fileURLToPath(new URL("../golden/tokenizers/llama3-split.json.gz", import.meta.url));
    const { tokenizer: json, single: golden } = JSON.parse(gunzipSync(readFileSync(path)));
    return { json, golden, names: { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>" } };
  }
  const root = fileURLToPath(new URL("../../../shared/", import.meta.url));
  const read = (path) => readFileSync(join(root, path));
  const folder = join("data/tokenizers", name);
  if (!existsSync(join(root, folder))) return undefined;
  const golden = JSON.parse(gunzipSync(read(`golden/tokenizers/${name}.json.gz`))).single;
  const zipped = join(folder, "tokenizer.json.gz");
  if (existsSync(join(root, zipped))) return { json: JSON.parse(gunzipSync(read(zipped))), golden };
  const vocab = JSON.parse(read(join(folder, "vocab.json")));
  const merges = read(join(folder, "merges.txt"))
    .toString()
    .split("\n")
    .slice(1)
    .filter((line) => line);
  const specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
  const added_tokens = specials.map((content) => ({ id: vocab[content], content, special: true }));
  return { json: { model: { type: "BPE", vocab, merges }, added_tokens }, golden };
}
const list = Object.entries(lowest).map(([name, value]) => `${name} ${(1 - value).toExponential(0)}`);
console.log(
  `llama.cpp's tokens are ours, and its vectors; largest 1 - cosine: ${list.join(", ")}; the published BPE tokenizers': ${bpe.join(", ")}`,
);
