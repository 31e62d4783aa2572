// Writes packages/neobert/src/tokenizer/unicode-tables.ts by asking Hugging Face's Rust tokenizers about every code
// point: what BertNormalizer drops, turns into a space or strips as an accent, what BertPreTokenizer cuts at, what is a
// letter, number or space to ByteLevel, and which of the runtime's NFD decompositions they lack. Run: node tools/unicode-tables.mjs

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadPeer, peerVersion } from "./tokenizer-peer.mjs";

const { bertNormalizer, bertPreTokenizer, byteLevelPreTokenizer } = loadPeer();
const off = { cleanText: false, handleChineseChars: false, stripAccents: false, lowercase: false };
const clean = bertNormalizer({ ...off, cleanText: true });
const strip = bertNormalizer({ ...off, stripAccents: true });
const preTokenizer = bertPreTokenizer();
const byteLevel = byteLevelPreTokenizer(false, true);

function classOf(char) {
  const text = `a${char}b`;
  const dropped = clean.normalizeString(text) === "ab";
  const pieces = preTokenizer.preTokenizeString(text).length;
  if (pieces === 2) return dropped ? "V" : "S";
  if (dropped) return "D";
  if (pieces === 3) return "P";
  return strip.normalizeString(text) === "ab" ? "M" : "O";
}

/** What `char` runs together with when ByteLevel cuts. */
function kindOf(char) {
  const joins = (before) => byteLevel.preTokenizeString(before + char).length === 1;
  return joins("a") ? "L" : joins("1") ? "N" : joins("!") ? "O" : "S";
}

function addRun(runs, kind) {
  if (runs.at(-1)?.kind === kind) runs.at(-1).length++;
  else runs.push({ kind, length: 1 });
}

function literal(runs) {
  const table = runs.map((run) => run.length.toString(36) + run.kind).join("");
  const lines = table.match(/.{1,110}/g).map((line) => `  "${line}",`);
  return `[\n${lines.join("\n")}\n].join("")`;
}

const runs = [];
const kindRuns = [];
const undecomposed = [];
for (let code = 0; code < 0x110000; code++) {
  const surrogate = code >= 0xd800 && code < 0xe000;
  const char = String.fromCodePoint(code);
  const kind = surrogate ? "D" : classOf(char);
  addRun(runs, kind);
  addRun(kindRuns, surrogate ? "O" : kindOf(char));
  if (!surrogate && char.normalize("NFD") !== char && strip.normalizeString(char) === char) undecomposed.push(code);
}

const file = fileURLToPath(new URL("../packages/neobert/src/tokenizer/unicode/unicode-tables.ts", import.meta.url));
writeFileSync(
  file,
  `// Written by tools/unicode-tables.mjs from Hugging Face tokenizers ${peerVersion}; do not edit. Its Unicode tables are older than
// those of JavaScript engines, so \\p{...} would give other words for characters added since.

/** The class of every code point from 0 up as runs: length in base 36, then D dropped, S space, V space that is
 * dropped by clean_text, M accent (Mn), P punctuation, O any other. Surrogates are D, as U+FFFD is. */
export const classRuns = ${literal(runs)};

/** Runs as above of L letters, N numbers, S spaces and O all else: \\p{L}, \\p{N}, \\s of GPT-2's pattern. Surrogates
 * are O, as U+FFFD is. */
export const kindRuns = ${literal(kindRuns)};

/** Code points whose canonical decomposition is newer than those tables: left whole. */
export const undecomposed: readonly number[] = [
  ${undecomposed.map((code) => `0x${code.toString(16)}`).join(", ")},
];
`,
);
execFileSync("npx", ["biome", "format", "--write", file]);
console.log(`${runs.length} and ${kindRuns.length} runs, ${undecomposed.length} undecomposed`);
