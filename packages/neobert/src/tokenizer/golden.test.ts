// Against ids and offsets made by Hugging Face's Rust tokenizers. The vocabularies are not in the repository but beside
// it, in ../shared/data; without them these tests are skipped.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { loadTokenizer, Tokenizer } from "./index.js";
import type { BpeJSON } from "./json/schema.js";
import { unchanged } from "./text/aligned-text.js";
import { preTokenizerFromJSON } from "./text/pre-tokenizers.js";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const data = `${repository}../shared/data/tokenizers`;
const here = existsSync(data);
const why = here ? "" : " (skipped: ../shared/data/tokenizers is absent)";

interface Golden {
  single: { text: string; words?: string[]; ids: number[]; offsets: [number, number][] }[];
  pairs: { a: string; b: string; max_length: number; strategy: string; ids: number[]; type_ids: number[] }[];
}

/** The tokenizer of a folder there; files may be packed, and GPT-2's merges are RoBERTa's. */
function load(name: string): Tokenizer {
  const packed = (file: string) => gunzipSync(readFileSync(`${data}/${file}.gz`)).toString();
  if (name === "modernbert-base") return Tokenizer.fromJSON(JSON.parse(packed(`${name}/tokenizer.json`)));
  if (name !== "gpt2") return loadTokenizer(`${data}/${name}`);
  const folder = mkdtempSync(join(tmpdir(), "gpt2-"));
  writeFileSync(join(folder, "vocab.json"), packed(`${name}/vocab.json`));
  copyFileSync(`${data}/roberta-base/merges.txt`, join(folder, "merges.txt"));
  return loadTokenizer(folder);
}

describe.each(["bert-base-uncased", "bert-base-cased", "roberta-base", "modernbert-base"])("%s", (name) => {
  const tokenizer = here ? load(name) : (undefined as unknown as Tokenizer);
  const golden: Golden = JSON.parse(
    gunzipSync(readFileSync(`${repository}test/golden/tokenizers/${name}.json.gz`)).toString(),
  );

  test.skipIf(!here)(`encode gives every text the ids and offsets of the Rust tokenizers${why}`, () => {
    expect(golden.single.length).toBeGreaterThan(2000);
    for (const { text, ids, offsets } of golden.single) {
      const encoding = tokenizer.encode(text);
      expect(Array.from(encoding.ids), text).toEqual(ids);
      // The golden file keeps the first 80 offsets of a text.
      expect(Array.from(encoding.offsets.subarray(0, 2 * offsets.length)), text).toEqual(offsets.flat());
    }
  });

  test.skipIf(!here)(
    `encodeIds gives the same ids without the special ones, at first sight and from the cache${why}`,
    () => {
      for (const { text, ids } of golden.single) {
        for (let time = 0; time < 2; time++) {
          expect(Array.from(tokenizer.encodeIds(text)), text).toEqual(ids.slice(1, -1));
        }
      }
    },
  );

  test.skipIf(!here)(`pairs cut longest first have the ids and type ids of the Rust tokenizers${why}`, () => {
    for (const { a, b, max_length: maxLength, ids, type_ids: typeIds } of golden.pairs) {
      const encoding = tokenizer.encode(a, { pair: b, maxLength, truncation: "longestFirst" });
      expect([Array.from(encoding.ids), Array.from(encoding.typeIds)]).toEqual([ids, typeIds]);
    }
  });
});

// A small vocabulary of its own behind the pattern that Llama 3 cuts words by, which EuroBERT has too.
test("Llama 3's split gives every text the words, ids and offsets of the Rust tokenizers, and the text back", () => {
  const path = `${repository}test/golden/tokenizers/llama3-split.json.gz`;
  const golden: Golden & { tokenizer: BpeJSON } = JSON.parse(gunzipSync(readFileSync(path)).toString());
  const tokenizer = Tokenizer.fromJSON(golden.tokenizer);
  const { pre_tokenizer: steps } = golden.tokenizer;
  const split = preTokenizerFromJSON(steps?.type === "Sequence" ? steps.pretokenizers[0]! : null);
  expect(golden.single.length).toBeGreaterThan(400);
  for (const { text, words, ids, offsets } of golden.single) {
    const cut: string[] = [];
    split(unchanged(text), 0, text.length, ({ text }, from, to) => cut.push(text.slice(from, to)));
    expect(cut).toEqual(words);
    const encoding = tokenizer.encode(text);
    expect(Array.from(encoding.ids), JSON.stringify(text)).toEqual(ids);
    expect(Array.from(encoding.offsets), JSON.stringify(text)).toEqual(offsets.flat());
    expect(Array.from(tokenizer.encodeIds(text)), JSON.stringify(text)).toEqual(ids.slice(1, -1));
  }
});

describe.each([
  ["gte", "gte"],
  ["bert-base-cased", "bert_base_cased"],
  ["gpt2", "gpt2"],
  ["modernbert-base", "modernbert"],
])("%s on kitoken's texts", (folder, model) => {
  test.skipIf(!here).each(["small", "mixed"])(`ids of %s_input.txt equal the published ones${why}`, (set) => {
    const tokenizer = load(folder);
    const lines = (file: string) => readFileSync(`${data}/golden/${file}`, "utf8").trimEnd().split("\n");
    const inputs = lines(`${set}_input.txt`);
    const outputs = lines(`${set}_tokens_${model}.txt`);
    expect(inputs.length).toBe(outputs.length);
    for (const [i, line] of inputs.entries()) {
      // Its code contains a literal backslash n, which the format cannot tell from a newline.
      if (set === "small" && i === 7) continue;
      const padded = outputs[i]!.split(",").map(Number);
      const isPadded = model === "gte" || model === "bert_base_cased";
      const wanted = isPadded ? padded.slice(0, padded.findLastIndex((id) => id !== 0) + 1) : padded;
      const ids = Array.from(tokenizer.encodeIds(line.replaceAll("\\n", "\n")));
      expect(model === "gte" ? ids.slice(0, 512) : ids, `line ${i + 1}`).toEqual(wanted);
    }
  });
});

test.skipIf(!here)(`vocab.txt with its config gives the hash of tokenizer.json${why}`, () => {
  const folder = `${data}/bert-base-uncased`;
  expect(loadTokenizer(`${folder}/vocab.txt`).hash).toBe(loadTokenizer(`${folder}/tokenizer.json`).hash);
});
