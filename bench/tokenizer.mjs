// Ids of English text, one thread: our `encodeInto` (cache warm) against Hugging Face's Rust tokenizers through their
// npm package, on the same passages in the same run, the two sides taking turns, for WordPiece (BERT) and byte-level BPE
// (RoBERTa, ModernBERT; name some to run those alone). Passages are paragraphs packed up to about
// 4,000 characters, so that the peer's cost per call does not count. Run after `npm run build`: node bench/tokenizer.mjs

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { loadPeer, peerVersion } from "../tools/tokenizer-peer.mjs";

// One thread on the peer's side too: it reads this before its first batch.
process.env.TOKENIZERS_PARALLELISM = "false";

const shared = new URL("../../shared/data/", import.meta.url);
const books = new URL("classic-books/books.jsonl.gz", shared);
const folders = ["bert-base-uncased", "roberta-base", "modernbert-base"];
const built = new URL(import.meta.resolve("#neobert/tokenizer/index"));
const missing = [books, ...folders.map((name) => new URL(`tokenizers/${name}`, shared)), built].find(
  (file) => !existsSync(file),
);
if (missing) {
  console.log(`Skipped: ${fileURLToPath(missing)} is absent (the texts and vocabularies lie in ../shared/data).`);
  process.exit(0);
}

const rounds = 7;
const maxCharacters = 4_000_000;
const { IdBuffer, loadTokenizer, Tokenizer } = await import(built.href);
const passages = readPassages();
const bytes = passages.reduce((sum, passage) => sum + Buffer.byteLength(passage), 0);
const sink = new IdBuffer(1 << 16);
const chosen = process.argv.length > 2 ? folders.filter((name) => process.argv.includes(name)) : folders;

console.log(`${cpus()[0].model}, ${availableParallelism()} cores, Node ${process.version}; one thread`);
console.log(`${passages.length} passages, ${(bytes / 1e6).toFixed(1)} MB, ${rounds} rounds`);
for (const name of chosen) await compare(name);

async function compare(name) {
  const ours = load(name);
  const theirs = loadPeer().Tokenizer.fromString(JSON.stringify(ours.toJSON()));
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
  const times = new Map(Object.keys(sides).map((side) => [side, []]));
  const counts = new Set();
  for (let round = -1; round < rounds; round++) {
    for (const [side, run] of Object.entries(sides)) {
      const started = performance.now();
      counts.add(await run());
      // The first round warms both up.
      if (round >= 0) times.get(side).push(performance.now() - started);
    }
  }
  if (counts.size !== 1) throw new Error(`${name}: the sides count ${[...counts].join(" and ")} tokens`);

  console.log(`\n${name}: ${[...counts][0]} tokens`);
  const rates = [...times].map(([side, list]) => {
    const sorted = list.sort((a, b) => a - b);
    const [best, median] = [sorted[0], sorted[Math.floor(rounds / 2)]];
    const rate = (ms) => bytes / 1e3 / ms;
    console.log(`${side}: best ${rate(best).toFixed(1)} MB/s, median ${rate(median).toFixed(1)} MB/s`);
    return { best: rate(best), median: rate(median) };
  });
  const [our, their] = rates;
  console.log(`ratio: best ${(our.best / their.best).toFixed(1)}, median ${(our.median / their.median).toFixed(1)}`);
}

/** The tokenizer of a folder there, whose tokenizer.json may be packed. */
function load(name) {
  const packed = new URL(`tokenizers/${name}/tokenizer.json.gz`, shared);
  if (existsSync(packed)) return Tokenizer.fromJSON(JSON.parse(gunzipSync(readFileSync(packed)).toString()));
  return loadTokenizer(fileURLToPath(new URL(`tokenizers/${name}`, shared)));
}

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
