// Ids of English text, one thread: our `encodeInto` (cache warm) against Hugging Face's Rust tokenizers through their
// npm package, on the same passages in the same run, the two sides taking turns. Passages are paragraphs packed up to about
// 4,000 characters, so that the peer's cost per call does not count. Run after `npm run build`: node bench/tokenizer.mjs

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { loadPeer, peerVersion } from "./tokenizer-peer.mjs";

// One thread on the peer's side too: it reads this before its first batch.
process.env.TOKENIZERS_PARALLELISM = "false";

const shared = new URL("../../shared/data/", import.meta.url);
const books = new URL("classic-books/books.jsonl.gz", shared);
const vocabulary = new URL("tokenizers/bert-base-uncased/tokenizer.json", shared);
const built = new URL("../packages/neobert/dist/tokenizer/index.js", import.meta.url);
const missing = [books, vocabulary, built].find((file) => !existsSync(file));
if (missing) {
  console.log(`Skipped: ${fileURLToPath(missing)} is absent (the texts and vocabulary lie in ../shared/data).`);
  process.exit(0);
}

const rounds = 7;
const maxCharacters = 4_000_000;
const { IdBuffer, loadTokenizer } = await import(built.href);
const passages = readPassages();
const bytes = passages.reduce((sum, passage) => sum + Buffer.byteLength(passage), 0);
const ours = loadTokenizer(fileURLToPath(vocabulary));
const theirs = loadPeer().Tokenizer.fromFile(fileURLToPath(vocabulary));
const sink = new IdBuffer(1 << 16);

const sides = {
  "neobert encodeInto": () => {
    let tokens = 0;
    for (const passage of passages) {
      sink.clear();
      ours.encodeInto(passage, sink);
      tokens += sink.length;
    }
    return tokens;
  },
  [`tokenizers ${peerVersion} encode`]: async () => {
    let tokens = 0;
    for (const passage of passages) {
      tokens += (await theirs.encode(passage, null, { addSpecialTokens: false })).getLength();
    }
    return tokens;
  },
};

const times = new Map(Object.keys(sides).map((name) => [name, []]));
const counts = new Set();
for (let round = -1; round < rounds; round++) {
  for (const [name, run] of Object.entries(sides)) {
    const started = performance.now();
    counts.add(await run());
    // The first round warms both up.
    if (round >= 0) times.get(name).push(performance.now() - started);
  }
}
if (counts.size !== 1) throw new Error(`the sides count ${[...counts].join(" and ")} tokens`);

console.log(`${cpus()[0].model}, ${availableParallelism()} cores, Node ${process.version}; one thread`);
console.log(`${passages.length} passages, ${(bytes / 1e6).toFixed(1)} MB, ${[...counts][0]} tokens, ${rounds} rounds`);
const rates = [...times].map(([name, list]) => {
  const sorted = list.sort((a, b) => a - b);
  const [best, median] = [sorted[0], sorted[Math.floor(rounds / 2)]];
  const rate = (ms) => bytes / 1e3 / ms;
  console.log(`${name}: best ${rate(best).toFixed(1)} MB/s, median ${rate(median).toFixed(1)} MB/s`);
  return { best: rate(best), median: rate(median) };
});
const [our, their] = rates;
console.log(`ratio: best ${(our.best / their.best).toFixed(1)}, median ${(our.median / their.median).toFixed(1)}`);

function readPassages() {
  const list = [];
  let total = 0;
  for (const line of gunzipSync(readFileSync(books)).toString().trimEnd().split("\n")) {
    let passage = "";
    for (const paragraph of JSON.parse(line).text.split(/\n{2,}/)) {
      passage += `${paragraph}\n\n`;
      if (passage.length < 4000) continue;
      list.push(passage);
      total += passage.length;
      if (total > maxCharacters) return list;
      passage = "";
    }
  }
  return list;
}
