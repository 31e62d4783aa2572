// Normalizers of tokenizer.json: what is done to a text before it is cut into words. Each returns its argument where it
// changes nothing.

import type { BertNormalizerJSON, NormalizerJSON } from "../json/schema.js";
import { unicodeForm } from "../unicode/unicode-forms.js";
import { type AlignedText, AlignedWriter, prepend, widthAt } from "./aligned-text.js";
import { type BertNormalizerOptions, normalizeBert } from "./bert-text.js";
import { spellBytes } from "./byte-level.js";
import { compilePattern } from "./pattern.js";

/** Characters beyond which no Replace makes a text longer: some steps that double it would fill the memory. */
const MAX_GROWN_CHARACTERS = 2 ** 25;

export type Normalizer = (aligned: AlignedText) => AlignedText;

export function normalizerFromJSON(json: NormalizerJSON | null): Normalizer {
  if (json === null) return (aligned) => aligned;
  switch (json.type) {
    case "Sequence": {
      const steps = json.normalizers.map(normalizerFromJSON);
      return (aligned) => steps.reduce((text, step) => step(text), aligned);
    }
    case "Lowercase":
      return lowercase;
    case "StripAccents":
      return (aligned) => (/\p{M}/u.test(aligned.text) ? mapCharacters(aligned, withoutMark) : aligned);
    case "Nmt":
      return (aligned) => mapCharacters(aligned, withoutControl);
    case "ByteLevel":
      return (aligned) => mapCharacters(aligned, spellBytes);
    case "Strip":
      return ({ text, starts, ends }) => {
        const from = json.strip_left ? /^\p{White_Space}*/u.exec(text)![0].length : 0;
        const to = json.strip_right ? endWithoutSpaces(text, from) : text.length;
        return { text: text.slice(from, to), starts: part(starts, from, to), ends: part(ends, from, to) };
      };
    case "Replace": {
      const pattern = compilePattern(json.pattern, "normalizer.pattern");
      return (aligned) => replace(aligned, pattern(aligned.text), json.content);
    }
    case "Prepend":
      return (aligned) => (aligned.text === "" ? aligned : prepend(json.prepend, aligned, 0, aligned.text.length));
    case "BertNormalizer": {
      const options = bertOptions(json);
      return (aligned) => composed(aligned, normalizeBert(aligned.text, options));
    }
    default:
      return (aligned) => unicodeForm(aligned, json.type);
  }
}

export function bertOptions(json: BertNormalizerJSON): BertNormalizerOptions {
  return {
    cleanText: json.clean_text,
    handleChineseChars: json.handle_chinese_chars,
    stripAccents: json.strip_accents ?? json.lowercase,
    lowercase: json.lowercase,
  };
}

/** `second`, whose places are in the text of `first`, with places in the original. */
function composed(first: AlignedText, second: AlignedText): AlignedText {
  return {
    text: second.text,
    starts: Int32Array.from({ length: second.text.length }, (_, i) => first.starts[second.starts[i]!]!),
    ends: Int32Array.from({ length: second.text.length }, (_, i) => first.ends[second.ends[i]! - 1]!),
  };
}

function part(places: ArrayLike<number>, from: number, to: number): ArrayLike<number> {
  return Array.prototype.slice.call(places, from, to);
}

function endWithoutSpaces(text: string, from: number): number {
  let end = text.length;
  while (end > from && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return end;
}

function mapCharacters(aligned: AlignedText, change: (char: string) => string): AlignedText {
  const out = new AlignedWriter(aligned);
  const { text } = aligned;
  for (let at = 0, next = 0; at < text.length; at = next) {
    next = at + widthAt(text, at);
    out.write(change(text.slice(at, next)), at);
  }
  return out.toText();
}

/** Each character by itself, so without a final sigma. */
function lowercase(aligned: AlignedText): AlignedText {
  if (aligned.text.toLowerCase() === aligned.text) return aligned;
  return mapCharacters(aligned, (char) => char.toLowerCase());
}

/** What NMT's normalization leaves of a character: nothing of controls, a space of what separates or has no width. */
function withoutControl(char: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/.test(char)) return "";
  return /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/.test(char) ? " " : char;
}

function withoutMark(char: string): string {
  return /\p{M}/u.test(char) ? "" : char;
}

/** The stretches at `places` (start, end ...) replaced; what replaces one is counted to its last character. */
function replace(aligned: AlignedText, places: readonly number[], content: string): AlignedText {
  const { text } = aligned;
  const grown = text.length + (places.length / 2) * content.length;
  if (grown > MAX_GROWN_CHARACTERS && content.length > 1) {
    throw new Error(
      `tokenizer.json: expected normalizer.pattern to leave a text of a bearable length, got up to ${grown} characters of ${text.length}\n` +
        "Cut the text, or mend the normalizer: it makes more of it at each step.",
    );
  }
  const out = new AlignedWriter(aligned);
  let at = 0;
  for (let i = 0; i < places.length; i += 2) {
    const [start, end] = [places[i]!, places[i + 1]!];
    for (; at < start; at++) out.write(text[at]!, at);
    at = end;
    out.write(content, at - 1);
  }
  if (places.length === 0) return aligned;
  for (; at < text.length; at++) out.write(text[at]!, at);
  return out.toText();
}
