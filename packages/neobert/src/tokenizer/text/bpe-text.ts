// BPE with its normalizer and pre-tokenizer: byte-level (GPT-2, RoBERTa, ModernBERT), where a word's symbols are its
// bytes, or on characters. `encodeIds` is the fast path: words are looked up in a cache straight from the text.

import { shown } from "../../files/checked.js";
import { Merges, Symbols } from "../bpe.js";
import type { IdBuffer } from "../id-buffer.js";
import type { BpeJSON } from "../json/schema.js";
import type { Pieces, TextModel } from "../text-model.js";
import { WordCache } from "../word-cache.js";
import { type AlignedText, unchanged } from "./aligned-text.js";
import { byteCharacters, spellBytes } from "./byte-level.js";
import { characterKinds, endOfWord } from "./gpt2-words.js";
import { type Normalizer, normalizerFromJSON } from "./normalizers.js";
import { type PreTokenizer, preTokenizerFromJSON } from "./pre-tokenizers.js";

const asItIs = Int16Array.from({ length: 128 }, (_, code) => code);
const unknown = -1;

export class BpeText implements TextModel {
  readonly takesRawText = false;
  readonly merges: Merges;
  readonly normalizer: Normalizer;
  readonly #preTokenizer: PreTokenizer;
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #isByteLevel: boolean;
  /** Whether words are those of GPT-2's pattern and nothing else. */
  readonly #isPlain: boolean;
  readonly #byteIds: Int32Array;
  readonly #unkId: number;
  readonly #fuseUnk: boolean;
  readonly #fallbackIds: Int32Array | undefined;
  readonly #ignoreMerges: boolean;
  readonly #symbols = new Symbols();
  readonly #cache = new WordCache();

  /** Throws where a merge names a token that the vocabulary lacks. */
  constructor(json: BpeJSON, vocab: ReadonlyMap<string, number>) {
    const { model } = json;
    this.#vocab = vocab;
    this.normalizer = normalizerFromJSON(json.normalizer);
    this.#preTokenizer = preTokenizerFromJSON(json.pre_tokenizer, true);
    const last = json.pre_tokenizer?.type === "Sequence" ? json.pre_tokenizer.pretokenizers.at(-1) : json.pre_tokenizer;
    this.#isByteLevel = last?.type === "ByteLevel";
    this.#isPlain =
      last === json.pre_tokenizer && last?.type === "ByteLevel" && last.use_regex && !last.add_prefix_space;
    this.#byteIds = Int32Array.from(byteCharacters, (char) => vocab.get(char) ?? unknown);
    this.#unkId = unkIdOf(model.unk_token, vocab);
    this.#fuseUnk = model.fuse_unk;
    this.#fallbackIds = model.byte_fallback ? fallbackIdsOf(vocab) : undefined;
    this.#ignoreMerges = model.ignore_merges;
    this.merges = new Merges(mergeIds(model.merges, vocab));
  }

  normalize(text: string): AlignedText {
    return this.normalizer(unchanged(text));
  }

  tokenize(aligned: AlignedText, from: number, to: number, shift: number, out: Pieces): void {
    this.#preTokenizer(aligned, from, to, (words, start, end) => {
      this.#splitWord(words.text, start, end);
      const { ids, starts, ends } = this.#symbols;
      for (let i = 0; i < ids.length; i++) {
        out.ids.push(ids.ids[i]!);
        out.offsets.push(words.starts[starts.ids[i]!]! + shift);
        out.offsets.push(words.ends[ends.ids[i]! - 1]! + shift);
        out.words.push(out.wordCount);
      }
      out.wordCount++;
    });
  }

  encodeIds(text: string, from: number, to: number, sink: IdBuffer): void {
    if (!this.#isPlain) {
      this.#preTokenizer(unchanged(text), from, to, (words, start, end) =>
        this.#encodeWord(words.text, start, end, sink),
      );
      return;
    }
    const kinds = characterKinds();
    for (let at = from, end = from; at < to; at = end) {
      end = endOfWord(text, at, to, kinds);
      this.#encodeWord(text, at, end, sink);
    }
  }

  #encodeWord(text: string, start: number, end: number, sink: IdBuffer): void {
    let hash = 0x811c9dc5;
    const isKept = end - start <= WordCache.maxWordLength;
    if (isKept) {
      for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
      if (this.#cache.append(hash, text, start, end, asItIs, sink)) return;
    }
    this.#splitWord(text, start, end);
    const { ids } = this.#symbols;
    sink.reserve(ids.length);
    for (let i = 0; i < ids.length; i++) sink.ids[sink.length++] = ids.ids[i]!;
    if (isKept) this.#cache.add(hash, text, start, end, asItIs, ids.ids.subarray(0, ids.length));
  }

  /** Writes the pieces of one word into `symbols`, with positions in `text`. */
  #splitWord(text: string, start: number, end: number): void {
    const symbols = this.#symbols;
    symbols.clear();
    if (this.#ignoreMerges) {
      const word = text.slice(start, end);
      const id = this.#vocab.get(this.#isByteLevel ? spellBytes(word) : word);
      if (id !== undefined) {
        symbols.push(id, start, end);
        return;
      }
    }
    if (this.#isByteLevel) this.#spell(text, start, end);
    else this.#takeCharacters(text, start, end);
    this.merges.apply(symbols);
  }

  /** One symbol for each byte of UTF-8; a lone surrogate has those of U+FFFD. */
  #spell(text: string, start: number, end: number): void {
    for (let i = start, next = start; i < end; i = next) {
      let code = text.codePointAt(i)!;
      next = i + (code > 0xffff ? 2 : 1);
      if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
      if (code < 0x80) {
        this.#addByte(code, i, next);
      } else if (code < 0x800) {
        this.#addByte(0xc0 | (code >> 6), i, next);
        this.#addByte(0x80 | (code & 63), i, next);
      } else {
        if (code < 0x10000) {
          this.#addByte(0xe0 | (code >> 12), i, next);
        } else {
          this.#addByte(0xf0 | (code >> 18), i, next);
          this.#addByte(0x80 | ((code >> 12) & 63), i, next);
        }
        this.#addByte(0x80 | ((code >> 6) & 63), i, next);
        this.#addByte(0x80 | (code & 63), i, next);
      }
    }
  }

  #addByte(byte: number, start: number, end: number): void {
    const id = this.#byteIds[byte]!;
    if (id !== unknown) this.#symbols.push(id, start, end);
    else this.#addUnknown(byteCharacters[byte]!, start, end);
  }

  #takeCharacters(text: string, start: number, end: number): void {
    for (let i = start, next = start; i < end; i = next) {
      next = i + (text.codePointAt(i)! > 0xffff ? 2 : 1);
      const char = text.slice(i, next);
      const id = this.#vocab.get(char);
      if (id !== undefined) this.#symbols.push(id, i, next);
      else this.#addUnknown(char, i, next);
    }
  }

  /** Bytes where the model falls back to them, else the unknown token; nothing where there is none. */
  #addUnknown(char: string, start: number, end: number): void {
    const symbols = this.#symbols;
    const fallbackIds = this.#fallbackIds;
    const unkId = this.#unkId;
    const bytes = fallbackIds ? new TextEncoder().encode(char) : [];
    if (fallbackIds && bytes.every((byte) => fallbackIds[byte] !== unknown)) {
      for (const byte of bytes) symbols.push(fallbackIds[byte]!, start, end);
      return;
    }
    if (unkId === unknown) return;
    const last = symbols.length - 1;
    if (this.#fuseUnk && last >= 0 && symbols.ids.ids[last] === unkId) symbols.ends.ids[last] = end;
    else symbols.push(unkId, start, end);
  }
}

function unkIdOf(token: string | null, vocab: ReadonlyMap<string, number>): number {
  if (token === null) return unknown;
  const id = vocab.get(token);
  if (id !== undefined) return id;
  throw new Error(
    `tokenizer.json: expected unk_token ${token.slice(0, 200)} in the vocabulary, got ${vocab.size} tokens without it\n` +
      "Set model.unk_token to the token that stands for unknown characters, or to null.",
  );
}

/** The ids of <0x00> to <0xFF>. */
function fallbackIdsOf(vocab: ReadonlyMap<string, number>): Int32Array {
  const name = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  return Int32Array.from({ length: 256 }, (_, byte) => vocab.get(name(byte)) ?? unknown);
}

function mergeIds(merges: BpeJSON["model"]["merges"], vocab: ReadonlyMap<string, number>) {
  return merges.map(([left, right], rank): [number, number, number] => {
    const ids = [left, right, left + right].map((token) => vocab.get(token));
    const missing = ids.indexOf(undefined);
    if (missing < 0) return ids as [number, number, number];
    throw new Error(
      `tokenizer.json: expected merge ${rank + 1} of ${merges.length} (${shown(`${left} ${right}`)}) to name tokens of the ` +
        `vocabulary, got ${shown([left, right, left + right][missing])} that is not in it\n` +
        `Load the vocabulary that belongs to the merges (line ${rank + 2} of a merges.txt).`,
    );
  });
}
