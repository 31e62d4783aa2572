// The words of GPT-2's pattern, which RoBERTa and ModernBERT share:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// written out as a scanner, with the letters, numbers and spaces of Hugging Face's Rust tokenizers. A lone surrogate is
// U+FFFD there, so neither of the three.

import { kindRuns } from "../unicode/unicode-tables.js";

const other = 0;
const letter = 1;
const number = 2;
const space = 3;

let kinds: Uint8Array | undefined;

/** The kind of every code point. */
export function characterKinds(): Uint8Array {
  if (kinds) return kinds;
  kinds = new Uint8Array(0x110000);
  const codes: Record<string, number> = { O: other, L: letter, N: number, S: space };
  let at = 0;
  for (const [, length, kind] of kindRuns.matchAll(/([0-9a-z]+)([A-Z])/g)) {
    const end = at + Number.parseInt(length!, 36);
    kinds.fill(codes[kind!]!, at, end);
    at = end;
  }
  return kinds;
}

/** Where the word of `text[at, to)` that begins at `at` ends; `at` is below `to`. */
export function endOfWord(text: string, at: number, to: number, kinds: Uint8Array): number {
  let code = text.charCodeAt(at);
  if (code === 0x27) {
    const length = contraction(text, at, to);
    if (length > 0) return at + length;
  }
  let i = at;
  if (code === 0x20 && i + 1 < to) code = text.charCodeAt(++i);
  const kind = kindAt(text, i, code, kinds);
  if (kind === space) return endOfSpaces(text, at, to, kinds);
  do {
    i += isHigh(code) && text.codePointAt(i)! > 0xffff ? 2 : 1;
    if (i >= to) return to;
    code = text.charCodeAt(i);
  } while (kindAt(text, i, code, kinds) === kind);
  return i;
}

function kindAt(text: string, at: number, code: number, kinds: Uint8Array): number {
  return kinds[isHigh(code) ? text.codePointAt(at)! : code]!;
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

/** Spaces up to the last one, which goes with what follows; all of them at the end of the text. */
function endOfSpaces(text: string, at: number, to: number, kinds: Uint8Array): number {
  let i = at + 1;
  while (i < to && kinds[text.charCodeAt(i)] === space) i++;
  return i === to || i === at + 1 ? i : i - 1;
}

/** The length of 's, 't, 'm, 'd, 're, 've or 'll at the apostrophe, 0 where there is none. */
function contraction(text: string, at: number, to: number): number {
  if (at + 1 >= to) return 0;
  const first = text.charCodeAt(at + 1);
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2;
  if (at + 2 >= to) return 0;
  const second = text.charCodeAt(at + 2);
  const ends = first === 0x6c ? second === 0x6c : (first === 0x72 || first === 0x76) && second === 0x65;
  return ends ? 3 : 0;
}
