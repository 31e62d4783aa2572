// write FOLDER: our tokenizers (two trained here, bert-base-uncased and roberta-base saved again) and what they make of
// real text.
// read FOLDER: what transformers saved from them loads here, and gives the same.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer, saveTokenizer, trainBpe, trainWordPiece } from "#neobert/tokenizer/index";
import { bertFolder, documents, robertaFolder } from "./text.mjs";

const [mode, folder] = process.argv.slice(2);
const texts = [
  ...documents(100),
  "",
  "Ünïcödé, naïve — 北京 [MASK]ed 🙂\u0000\u200b a".normalize("NFD"),
  "x".repeat(300),
];

function encodings(tokenizer) {
  const single = tokenizer.encodeBatch(texts).map(({ ids, offsets }) => ({ ids: [...ids], offsets: [...offsets] }));
  const pairs = texts.slice(1).map((text, index) => [texts[index], text]);
  const pair = tokenizer
    .encodeBatch(pairs, { maxLength: 64, truncation: "longestFirst" })
    .map(({ ids, typeIds }) => ({ ids: [...ids], typeIds: [...typeIds] }));
  return { single, pair, decoded: single.map(({ ids }) => tokenizer.decode(ids)) };
}

if (mode === "write") {
  const tokenizers = {
    trained: await trainWordPiece(texts, { vocabSize: 4096, modelMaxLength: 512 }),
    "trained-bpe": await trainBpe(texts, { vocabSize: 4096, modelMaxLength: 512 }),
  };
  if (robertaFolder) tokenizers["roberta-base"] = loadTokenizer(robertaFolder);
  if (bertFolder) tokenizers["bert-base-uncased"] = loadTokenizer(bertFolder);
  for (const [name, tokenizer] of Object.entries(tokenizers)) {
    saveTokenizer(tokenizer, join(folder, name));
    const { specialTokens, specialIds, vocabSize, modelMaxLength } = tokenizer;
    const expected = { texts, specialTokens, specialIds, vocabSize, modelMaxLength, ...encodings(tokenizer) };
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(expected));
  }
} else {
  const names = readdirSync(join(folder, "theirs"));
  for (const name of names) {
    const tokenizer = loadTokenizer(join(folder, "theirs", name));
    const ours = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
    assert.deepEqual(tokenizer.specialTokens, ours.specialTokens, name);
    assert.equal(tokenizer.modelMaxLength, ours.modelMaxLength, name);
    const { single, pair, decoded } = encodings(tokenizer);
    assert.deepEqual({ single, pair, decoded }, { single: ours.single, pair: ours.pair, decoded: ours.decoded }, name);
  }
  console.log(`theirs of ${names.join(", ")} load here`);
}
