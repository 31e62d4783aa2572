// Tokenizers: WordPiece, byte-level BPE with its merges, and parts of every kind that are known, with the files beside a
// tokenizer.json. What is loaded encodes, pads and decodes some texts.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { saveTokenizer, trainBpe, trainWordPiece } from "#neobert/tokenizer/index";
import { loadTokenizer } from "#neobert/tokenizer/json/load-tokenizer";
import { filesOf, goldenPath } from "../folders.mjs";

const words = Array.from({ length: 30 }, (_, i) => `people shall govern their own house ${i} of peace`);
const texts = [
  "",
  "The people's house, 1789.",
  "naïve 東京 \u0000 \ud800 a\tb\n",
  "<mask> [MASK] own",
  "x".repeat(300),
];

function encodeSome(folder) {
  const tokenizer = loadTokenizer(folder);
  for (const text of texts) tokenizer.decode(tokenizer.encode(text).ids);
  tokenizer.encodeBatch(texts.slice(0, 3), { padding: "longest", maxLength: 16 });
}

export const targets = {
  async wordpiece() {
    const tokenizer = await trainWordPiece(words, { vocabSize: 70 });
    const files = filesOf((folder) => saveTokenizer(tokenizer, folder));
    return {
      files: { ...files, "added_tokens.json": '{"[NEW]":70}' },
      mutate: [
        "tokenizer.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
      ],
      read: encodeSome,
    };
  },
  async bpe() {
    const tokenizer = await trainBpe(words, { vocabSize: 290 });
    const files = filesOf((folder) => saveTokenizer(tokenizer, folder));
    return {
      files,
      mutate: ["tokenizer.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"],
      read: (folder, path) => {
        if (path === "vocab.json" || path === "merges.txt") loadTokenizer(`${folder}/vocab.json`).encode(texts[1]);
        else encodeSome(folder);
      },
    };
  },
  "tokenizer-parts"() {
    const { base, cases } = JSON.parse(gunzipSync(readFileSync(goldenPath("tokenizers/parts.json.gz"))).toString());
    const files = cases.map(({ variant }, i) => [`${i}/tokenizer.json`, JSON.stringify({ ...base, ...variant })]);
    return {
      files: Object.fromEntries(files),
      mutate: files.map(([path]) => path),
      read: (folder, path) => encodeSome(`${folder}/${path.split("/")[0]}`),
    };
  },
};
