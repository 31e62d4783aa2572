// Ids of English text, one thread: our `encodeInto` (cache warm) against Hugging Face's Rust tokenizers through their
// npm package, on the same passages in the same run, the two sides taking turns, for WordPiece (BERT) and byte-level BPE
// (RoBERTa, ModernBERT; name some to run those alone). Passages are paragraphs packed up to about
// 4,000 characters, so that the peer's cost per call does not count. Run after `npm run build`: node bench/tokenizer.mjs

import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { IdBuffer, loadTokenizer, Tokenizer } from "#neobert/tokenizer/index";
import { loadPeer, peerVersion } from "../tools/tokenizer-peer.mjs";
import { inTurns, machine, median, msOf, needFiles, optionsOf, shared } from "./measure.mjs";

// One thread on the peer's side too: it reads this before its first batch.
process.env.TOKENIZERS_PARALLELISM = "false";

const books = shared("classic-books/books.jsonl.gz");
const { names } = optionsOf({}, ["bert-base-uncased", "roberta-base", "modernbert-base"]);
needFiles(books, ...names.map((name) => shared(`tokenizers/${name}`)));

const rounds = 7;
const maxCharacters = 4_000_000;
const passages = readPassages();
const bytes = passages.reduce((sum, passage) => sum + Buffer.byteLength(passage), 0);
const sink = new IdBuffer(1 << 16);

console.log(machine(1));
console.log(`${passages.length} passages, ${(bytes / 1e6).toFixed(1)} MB, ${rounds} rounds`);
for (const name of names) await compare(name);

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
  const counts = new Set();
  const timed = Object.entries(sides).map(([side, run]) => [side, () => msOf(async () => counts.add(await run()))]);
  const times = await inTurns(Object.fromEntries(timed), rounds);
  if (counts.size !== 1) throw new Error(`${name}: the sides count ${[...counts].join(" and ")} tokens`);

  console.log(`\n${name}: ${[...counts][0]} tokens`);
  const rates = Object.entries(times).map(([side, list]) => {
    const [best, middle] = [Math.min(...list), median(list)].map((ms) => bytes / 1e3 / ms);
    console.log(`${side}: best ${best.toFixed(1)} MB/s, median ${middle.toFixed(1)} MB/s`);
    return { best, median: middle };
  });
  const [our, their] = rates;
  console.log(`ratio: best ${(our.best / their.best).toFixed(1)}, median ${(our.median / their.median).toFixed(1)}`);
}

/** The tokenizer of a folder there, whose tokenizer.json may be packed. */
function load(name) {
  const packed = shared(`tokenizers/${name}/tokenizer.json.gz`);
  if (existsSync(packed)) return Tokenizer.fromJSON(JSON.parse(gunzipSync(readFileSync(packed)).toString()));
  return loadTokenizer(shared(`tokenizers/${name}`));
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
