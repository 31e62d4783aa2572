// `Tokenizer`: text to ids and back, from a tokenizer.json, equal to Hugging Face's Rust tokenizers. Runs anywhere
// (no node: modules; files are in load.ts). `encode` gives everything a model or a tagger needs; `encodeIds` and
// `encodeInto` give ids alone, fast. A model type (text-model.ts) brings its normalizer and pre-tokenizer.

import { shown } from "../files/checked.js";
import { decoderFromJSON } from "./decode.js";
import { type Encoding, makeEncoding, pad, type Side, type TruncationStrategy, truncatePair } from "./encoding.js";
import { IdBuffer } from "./id-buffer.js";
import { isWordPiece, parseTokenizerJSON, type TokenizerJSON } from "./json/schema.js";
import { sha256 } from "./sha256.js";
import { addedTokenCount, applyTemplate, type Template, templateFromJSON, trimOffsets } from "./template.js";
import { AddedTokens } from "./text/added-tokens.js";
import { BpeText } from "./text/bpe-text.js";
import type { TextModel } from "./text-model.js";
import { WordPiece } from "./wordpiece.js";

export interface EncodeOptions {
  /** The second text of a pair. */
  pair?: string;
  addSpecialTokens?: boolean;
  /** Greatest number of tokens, special ones included. */
  maxLength?: number;
  /** How to reach `maxLength`; false cuts nothing. Default: the tokenizer.json's setting, else "longestFirst". */
  truncation?: TruncationStrategy | false;
  /** Tokens that neighbouring overflowing pieces share. */
  stride?: number;
  /** "longest" pads to the longest of a batch, "maxLength" to `maxLength`. Default: the tokenizer.json's setting. */
  padding?: "longest" | "maxLength" | false;
  padToMultipleOf?: number;
  /** "codePoint" counts offsets as Python does; "utf16" as `text.slice` does. Default "codePoint". */
  offsetUnit?: "codePoint" | "utf16";
}

export interface SpecialTokens {
  pad?: string;
  unk?: string;
  cls?: string;
  sep?: string;
  mask?: string;
  /** The first and last token of a text as a language model calls them, where the tokenizer's files do. */
  bos?: string;
  eos?: string;
}

export type SpecialIds = { readonly [name in keyof SpecialTokens]: number | undefined };

export interface TokenizerOptions {
  /** Names of the special tokens. Default: BERT's [PAD], [UNK], [CLS], [SEP], [MASK], or RoBERTa's <pad>, <unk>, <s>, </s>,
   * <mask> where the vocabulary has those instead. */
  specialTokens?: SpecialTokens;
  /** The model's greatest number of tokens, as in tokenizer_config.json. Kept, not enforced. */
  modelMaxLength?: number | undefined;
  /** Where a text that is too long is cut, and where padding goes; default: as the tokenizer.json says, else "right". */
  truncationSide?: Side | undefined;
  paddingSide?: Side | undefined;
  /** Whether a model gets the type ids (segments) of its texts; default true. */
  givesSegments?: boolean | undefined;
}

/** The names that BERT gave its special tokens. */
export const usualSpecialTokens = { pad: "[PAD]", unk: "[UNK]", cls: "[CLS]", sep: "[SEP]", mask: "[MASK]" };
/** The names that RoBERTa gave them. */
export const robertaSpecialTokens = { pad: "<pad>", unk: "<unk>", cls: "<s>", sep: "</s>", mask: "<mask>" };

const strategies = { LongestFirst: "longestFirst", OnlyFirst: "onlyFirst", OnlySecond: "onlySecond" } as const;

export class Tokenizer {
  readonly specialTokens: Readonly<SpecialTokens>;
  readonly specialIds: SpecialIds;
  readonly modelMaxLength: number | undefined;
  readonly truncationSide: Side;
  readonly paddingSide: Side;
  readonly givesSegments: boolean;
  readonly #json: TokenizerJSON;
  readonly #model: TextModel;
  readonly #decodeTokens: (tokens: string[]) => string;
  readonly #template: Template;
  readonly #rawAdded: AddedTokens;
  readonly #normalizedAdded: AddedTokens;
  readonly #idOf: Map<string, number>;
  readonly #tokenOf = new Map<number, string>();
  readonly #skipped: Set<number>;
  #hashed: string | undefined;

  private constructor(json: TokenizerJSON, options: TokenizerOptions) {
    this.#json = json;
    this.modelMaxLength = options.modelMaxLength;
    this.truncationSide = options.truncationSide ?? sideOf(json.truncation);
    this.paddingSide = options.paddingSide ?? sideOf(json.padding);
    this.givesSegments = options.givesSegments ?? true;
    this.#idOf = new Map(Object.entries(json.model.vocab));
    const vocab = new Map(this.#idOf);
    const model = isWordPiece(json) ? new WordPiece(json, vocab) : new BpeText(json, vocab);
    this.#model = model;
    this.#decodeTokens = decoderFromJSON(json.decoder);
    for (const token of json.added_tokens) this.#idOf.set(token.content, token.id);
    for (const [token, id] of this.#idOf) this.#tokenOf.set(id, token);
    this.#skipped = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
    const [raw, normalized] = [false, true].map((is) => json.added_tokens.filter((token) => token.normalized === is));
    this.#rawAdded = new AddedTokens(raw!, (content) => content);
    this.#normalizedAdded = new AddedTokens(normalized!, (content) => model.normalize(content).text);
    this.#template = templateFromJSON(json.post_processor);
    const unk = json.model.unk_token;
    this.specialTokens = { ...this.#namesInUse(), ...(unk === null ? {} : { unk }), ...options.specialTokens };
    this.specialIds = Object.fromEntries(
      Object.entries(this.specialTokens).map(([name, token]) => [name, this.#idOf.get(token)]),
    );
  }

  /** BERT's names, and RoBERTa's where the vocabulary has those alone. */
  #namesInUse(): typeof usualSpecialTokens {
    const names = { ...usualSpecialTokens };
    for (const name of Object.keys(names) as (keyof typeof names)[]) {
      if (!this.#idOf.has(names[name]) && this.#idOf.has(robertaSpecialTokens[name])) {
        names[name] = robertaSpecialTokens[name];
      }
    }
    return names;
  }

  /** The tokenizer of a parsed tokenizer.json.
   * Throws where the object is malformed or of a kind that is not supported, saying where. */
  static fromJSON(json: unknown, options: TokenizerOptions = {}): Tokenizer {
    return new Tokenizer(parseTokenizerJSON(json), options);
  }

  /** The tokenizer.json, as Hugging Face tokenizers loads it. */
  toJSON(): TokenizerJSON {
    return this.#json;
  }

  /** SHA-256 of what decides the tokens: the tokenizer.json without truncation and padding, keys sorted. */
  get hash(): string {
    this.#hashed ??= sha256(canonicalJSON({ ...this.#json, truncation: null, padding: null }));
    return this.#hashed;
  }

  /** Number of different tokens, added ones included. */
  get vocabSize(): number {
    return this.#idOf.size;
  }

  /** The largest id; more than their number where ids have gaps. */
  get maxId(): number {
    let most = -1;
    for (const id of this.#idOf.values()) if (id > most) most = id;
    return most;
  }

  tokenToId(token: string): number | undefined {
    return this.#idOf.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#tokenOf.get(id);
  }

  /** Ids, offsets, masks and tokens of a text or a pair, truncated and padded as asked.
   * Throws where truncation cannot reach `maxLength` or padding is asked for without a padding token. */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    return this.encodeBatch([options.pair === undefined ? text : [text, options.pair]], options)[0]!;
  }

  /** `encode` for texts and pairs; padding "longest" gives all the length of the longest. */
  encodeBatch(texts: readonly (string | readonly [string, string])[], options: EncodeOptions = {}): Encoding[] {
    const encodings = texts.map((item) => {
      const [first, second] = typeof item === "string" ? [item, options.pair] : item;
      return this.#encodeOne(first, second, options);
    });
    return this.#padBatch(encodings, options);
  }

  /** The ids of a text without special tokens, truncation or padding: the fast path. */
  encodeIds(text: string): Int32Array<ArrayBuffer> {
    const sink = new IdBuffer(text.length + 1);
    this.encodeInto(text, sink);
    return sink.toArray();
  }

  /** Appends what `encodeIds` gives to `sink`. */
  encodeInto(text: string, sink: IdBuffer): void {
    const model = this.#model;
    const normalizedAdded = this.#normalizedAdded;
    if (model.takesRawText && !normalizedAdded.isEmpty) {
      const { ids } = this.#pieces(text);
      sink.reserve(ids.length);
      for (let i = 0; i < ids.length; i++) sink.push(ids.ids[i]!);
      return;
    }
    for (const { start, end, id } of this.#rawAdded.split(text)) {
      if (id >= 0) sink.push(id);
      else if (model.takesRawText) model.encodeIds(text, start, end, sink);
      else {
        const { text: normalized } = model.normalize(text.slice(start, end));
        for (const part of normalizedAdded.split(normalized))
          if (part.id >= 0) sink.push(part.id);
          else model.encodeIds(normalized, part.start, part.end, sink);
      }
    }
  }

  /** The text of `ids`. Ids outside the vocabulary are left out, as Hugging Face does. */
  decode(ids: Iterable<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const skip = options.skipSpecialTokens ?? true;
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.#tokenOf.get(id);
      if (token !== undefined && !(skip && this.#skipped.has(id))) tokens.push(token);
    }
    return this.#decodeTokens(tokens);
  }

  #encodeOne(first: string, second: string | undefined, options: EncodeOptions): Encoding {
    const { addSpecialTokens = true, offsetUnit = "codePoint" } = options;
    const parts = second === undefined ? this.#template.single : this.#template.pair;
    const room = this.#roomForText(addSpecialTokens ? addedTokenCount(parts) : 0, options);
    let a = this.#encodeText(first, 0, offsetUnit);
    let b = second === undefined ? undefined : this.#encodeText(second, 1, offsetUnit);
    if (room) [a, b] = truncatePair(a, b, room.tokens, room.strategy, room.stride, this.truncationSide);
    const texts = b ? [a, b] : [a];
    const { trimOffsets: trim } = this.#template;
    if (trim) for (const encoding of texts) trimOffsets(encoding, trim.addPrefixSpace);
    return applyTemplate(parts, texts, addSpecialTokens);
  }

  /** How many tokens truncation leaves to the texts, and its settings; undefined where nothing is cut. */
  #roomForText(specialCount: number, options: EncodeOptions) {
    const saved = this.#json.truncation;
    const maxLength = options.maxLength ?? saved?.max_length;
    const strategy = options.truncation ?? strategies[saved?.strategy ?? "LongestFirst"];
    if (strategy === false) return undefined;
    if (maxLength === undefined) {
      if (options.truncation === undefined) return undefined;
      throw new RangeError("encode: expected maxLength with truncation, got none\nPass maxLength, in tokens.");
    }
    if (!Number.isInteger(maxLength) || maxLength < specialCount) {
      throw new RangeError(
        `encode: expected maxLength of at least the ${specialCount} special tokens, got ${maxLength}\n` +
          "Raise maxLength, or pass addSpecialTokens: false.",
      );
    }
    return { tokens: maxLength - specialCount, strategy, stride: options.stride ?? saved?.stride ?? 0 };
  }

  #encodeText(text: string, typeId: number, offsetUnit: "codePoint" | "utf16"): Encoding {
    const { ids, offsets, words, spelled } = this.#pieces(text);
    const idArray = ids.toArray();
    const places = offsets.toArray();
    if (offsetUnit === "codePoint") toCodePoints(places, text);
    const tokens = Array.from(idArray, (id, i) => spelled.get(i) ?? this.#tokenOf.get(id)!);
    return makeEncoding(idArray, places, tokens, typeId, words.toArray());
  }

  #pieces(text: string) {
    const spelled = new Map<number, string>();
    const out = { ids: new IdBuffer(64), offsets: new IdBuffer(128), words: new IdBuffer(64), wordCount: 0, spelled };
    const addToken = (id: number, spelling: string, start: number, end: number) => {
      // An added token stands as it is in the text: with the spaces beside it, where it takes them.
      out.spelled.set(out.ids.length, spelling);
      out.ids.push(id);
      out.offsets.push(start);
      out.offsets.push(end);
      out.words.push(out.wordCount++);
    };
    for (const segment of this.#rawAdded.split(text)) {
      const shift = segment.start;
      const part = text.slice(shift, segment.end);
      if (segment.id >= 0) {
        addToken(segment.id, part, shift, segment.end);
        continue;
      }
      const aligned = this.#model.normalize(part);
      for (const { start, end, id } of this.#normalizedAdded.split(aligned.text)) {
        if (id < 0) this.#model.tokenize(aligned, start, end, shift, out);
        else {
          const spelling = aligned.text.slice(start, end);
          addToken(id, spelling, aligned.starts[start]! + shift, aligned.ends[end - 1]! + shift);
        }
      }
    }
    return out;
  }

  #padBatch(encodings: Encoding[], options: EncodeOptions): Encoding[] {
    const saved = this.#json.padding;
    const mode = options.padding ?? (saved ? (saved.strategy === "BatchLongest" ? "longest" : "fixed") : false);
    if (mode === false) return encodings;
    let length = 0;
    if (mode === "longest") length = encodings.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    else if (mode === "maxLength") length = options.maxLength ?? this.#json.truncation?.max_length ?? -1;
    else if (saved && saved.strategy !== "BatchLongest") length = saved.strategy.Fixed;
    if (length < 0) {
      throw new RangeError('encode: expected maxLength with padding "maxLength", got none\nPass maxLength, in tokens.');
    }
    const multiple = options.padToMultipleOf ?? saved?.pad_to_multiple_of ?? 1;
    const padded = Math.ceil(length / multiple) * multiple;
    const token = saved
      ? { id: saved.pad_id, typeId: saved.pad_type_id, token: saved.pad_token }
      : { id: this.specialIds.pad ?? -1, typeId: 0, token: this.specialTokens.pad ?? "" };
    if (token.id < 0) {
      throw new Error(
        `encode: expected a padding token, got a vocabulary without ${shown(token.token)}\n` +
          "Name it with fromJSON(json, { specialTokens: { pad } }).",
      );
    }
    return encodings.map((encoding) => pad(encoding, padded, token, this.paddingSide));
  }
}

function canonicalJSON(value: unknown): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function sideOf(settings: { direction: "Left" | "Right" } | null): Side {
  return settings?.direction === "Left" ? "left" : "right";
}

/** Turns positions in code units of `text` into positions in code points, in place. */
function toCodePoints(places: Int32Array, text: string): void {
  if (!/[\ud800-\udbff]/.test(text)) return;
  const codePoints = new Int32Array(text.length + 1);
  for (let unit = 0, count = 0; unit < text.length; count++) {
    const next = unit + (text.codePointAt(unit)! > 0xffff ? 2 : 1);
    codePoints.fill(count + 1, unit + 1, next + 1);
    unit = next;
  }
  for (let i = 0; i < places.length; i++) places[i] = codePoints[places[i]!]!;
}
