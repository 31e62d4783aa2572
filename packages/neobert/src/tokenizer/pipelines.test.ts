// WordPiece behind any normalizers and pre-tokenizers, and folders whose files disagree: ids and offsets that Hugging Face's
// tokenizers and transformers give, from wordpiece-pipelines.py beside the golden file; and random parts of all kinds behind
// each other, from random-pipelines.py.

import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { loadTokenizer, saveTokenizer, Tokenizer } from "./index.js";

interface Golden {
  vocab: Record<string, number>;
  pipelines: {
    name: string;
    normalizer: object | null;
    pre_tokenizer: object | null;
    texts: { text: string; ids: number[]; offsets: [number, number][] }[];
  }[];
  files: Record<string, Record<string, unknown>>;
  folders: { name: string; text: string; ids: number[] }[];
}

const golden: Golden = JSON.parse(
  readFileSync(new URL("../../../../test/golden/tokenizers/wordpiece-pipelines.json", import.meta.url), "utf8"),
);

interface RandomPipelines {
  common: object;
  vocab: Record<string, number>;
  cases: { model: object; rows: { text: string; ids: number[]; words: number[] }[] }[];
}

test("random normalizers, pre-tokenizers and models give the ids and words of the Rust tokenizers", () => {
  const packed = readFileSync(new URL("../../../../test/golden/tokenizers/random-pipelines.json.gz", import.meta.url));
  const { common, vocab, cases }: RandomPipelines = JSON.parse(gunzipSync(packed).toString());
  for (const { model, rows, ...parts } of cases) {
    const tokenizer = Tokenizer.fromJSON({ ...common, ...parts, model: { ...model, vocab } });
    for (const { text, ids, words } of rows) {
      const encoding = tokenizer.encode(text);
      const about = { ...parts, model, text };
      expect({ ...about, ids: [...encoding.ids], words: [...encoding.words] }).toEqual({ ...about, ids, words });
      expect([...tokenizer.encodeIds(text)]).toEqual(ids);
    }
  }
});

describe.each(golden.pipelines)("WordPiece behind $name", ({ normalizer, pre_tokenizer, texts }) => {
  const tokenizer = Tokenizer.fromJSON({
    added_tokens: [{ id: 4, content: "[MASK]", special: true }],
    normalizer,
    pre_tokenizer,
    model: { type: "WordPiece", vocab: golden.vocab },
  });

  test.each(texts)("gives $text the ids and offsets of the Rust tokenizers", ({ text, ids, offsets }) => {
    const encoding = tokenizer.encode(text);
    expect([...encoding.ids]).toEqual(ids);
    expect([...encoding.offsets]).toEqual(offsets.flat());
    expect([...tokenizer.encodeIds(text)]).toEqual(ids);
  });
});

describe.each(Object.entries(golden.files))("a folder with %s", (name, files) => {
  const folder = mkdtempSync(join(tmpdir(), "folder-"));
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
  }
  const texts = golden.folders.filter((row) => row.name === name);

  test("gives the ids of transformers, and so does what is saved of it", () => {
    const tokenizer = loadTokenizer(folder);
    const saved = mkdtempSync(join(tmpdir(), "saved-"));
    saveTokenizer(tokenizer, saved);
    const again = loadTokenizer(saved);
    expect(texts.length).toBeGreaterThan(5);
    for (const { text, ids } of texts) {
      expect([...tokenizer.encodeIds(text)], text).toEqual(ids);
      expect([...again.encodeIds(text)], text).toEqual(ids);
    }
  });
});
