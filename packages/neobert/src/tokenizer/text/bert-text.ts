// BertNormalizer and BertPreTokenizer: cleaning, spaces around Chinese characters, accents, lower case, and the cut
// into words at white space and punctuation, with every character's place in the original text. Equal to Hugging
// Face's Rust tokenizers code point by code point (character classes: unicode-tables.ts); lower case is taken per
// character, so no final sigma. NOTE: NFD's reordering of marks is left out. Accents are dropped right after it, so it
// shows only beside the few marks that stay (Hangul tone marks, musical stems): an offset there may differ by a mark.

import { classRuns, undecomposed } from "../unicode/unicode-tables.js";
import type { AlignedText } from "./aligned-text.js";

export interface BertNormalizerOptions {
  cleanText: boolean;
  handleChineseChars: boolean;
  stripAccents: boolean;
  lowercase: boolean;
}

const other = 0;
const dropped = 1;
const space = 2;
const droppedSpace = 3;
const accent = 4;
const punctuation = 5;
const replacementCharacter = 0xfffd;

let classes: Uint8Array | undefined;

function characterClasses(): Uint8Array {
  if (classes) return classes;
  classes = new Uint8Array(0x110000);
  const codes: Record<string, number> = { O: other, D: dropped, S: space, V: droppedSpace, M: accent, P: punctuation };
  let at = 0;
  for (const [, length, letter] of classRuns.matchAll(/([0-9a-z]+)([A-Z])/g)) {
    const end = at + Number.parseInt(length!, 36);
    classes.fill(codes[letter!]!, at, end);
    at = end;
  }
  return classes;
}

const whole = new Set(undecomposed);
const decompositions = new Map<number, readonly number[]>();

/** The code points of the canonical decomposition, remembered. */
function decompose(code: number): readonly number[] {
  let parts = decompositions.get(code);
  if (!parts) {
    parts = whole.has(code)
      ? [code]
      : Array.from(String.fromCodePoint(code).normalize("NFD"), (char) => char.codePointAt(0)!);
    decompositions.set(code, parts);
  }
  return parts;
}

function isChinese(code: number): boolean {
  return (
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0x20000 && code <= 0x2a6df) ||
    (code >= 0x2a700 && code <= 0x2b81f) ||
    (code >= 0x2b920 && code <= 0x2ceaf) ||
    (code >= 0x2f800 && code <= 0x2fa1f)
  );
}

/** The normalized text with alignments. Lone surrogates count as U+FFFD, as they do for Hugging Face. */
export function normalizeBert(text: string, options: BertNormalizerOptions): AlignedText {
  const { cleanText, handleChineseChars, stripAccents, lowercase } = options;
  const table = characterClasses();
  const units: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let start = 0;
  let end = 0;

  const write = (unit: number) => {
    units.push(unit);
    starts.push(start);
    ends.push(end);
  };
  const writeCode = (code: number) => {
    if (code < 0x10000) {
      write(code);
    } else {
      write(0xd800 + ((code - 0x10000) >> 10));
      write(0xdc00 + ((code - 0x10000) & 0x3ff));
    }
  };
  const writeLower = (code: number) => {
    if (!lowercase) writeCode(code);
    else if (code < 0x80) write(code >= 0x41 && code <= 0x5a ? code + 0x20 : code);
    else for (const char of String.fromCodePoint(code).toLowerCase()) writeCode(char.codePointAt(0)!);
  };
  const writeStripped = (code: number) => {
    if (!stripAccents || code < 0x80) writeLower(code);
    else for (const part of decompose(code)) if (table[part] !== accent) writeLower(part);
  };

  for (; start < text.length; start = end) {
    let code = text.codePointAt(start)!;
    end = start + (code > 0xffff ? 2 : 1);
    if (code >= 0xd800 && code < 0xe000) code = replacementCharacter;
    if (cleanText) {
      const kind = table[code];
      if (kind === dropped || kind === droppedSpace) continue;
      if (kind === space) code = 0x20;
    }
    if (handleChineseChars && isChinese(code)) {
      write(0x20);
      writeStripped(code);
      write(0x20);
    } else {
      writeStripped(code);
    }
  }
  return { text: stringOf(units), starts, ends };
}

function stringOf(units: number[]): string {
  const chunk = 8192;
  let text = "";
  for (let i = 0; i < units.length; i += chunk) text += String.fromCharCode(...units.slice(i, i + chunk));
  return text;
}

/** Calls `word(start, end)` for each word of `text[from, to)`: white space separates, punctuation stands alone. */
export function splitBert(text: string, from: number, to: number, word: (start: number, end: number) => void): void {
  const table = characterClasses();
  let start = from;
  for (let i = from; i < to; ) {
    const code = text.codePointAt(i)!;
    const next = i + (code > 0xffff ? 2 : 1);
    const kind = table[code];
    if (kind === space || kind === droppedSpace || kind === punctuation) {
      if (start < i) word(start, i);
      if (kind === punctuation) word(i, next);
      start = next;
    }
    i = next;
  }
  if (start < to) word(start, to);
}

/** What an ASCII character does to the word it stands in, under `options`: its own (lower-cased) code, or -1 where it
 * ends the word. Characters that clean_text drops keep their code. */
export function asciiFolding(options: BertNormalizerOptions): Int16Array {
  const table = characterClasses();
  return Int16Array.from({ length: 128 }, (_, code) => {
    const kind = table[code];
    if (kind === space || kind === punctuation || (kind === droppedSpace && !options.cleanText)) return -1;
    return options.lowercase && code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
  });
}
