// What callers give to be tokenized, and how; and what they give that is no text.

import { shortened, shown } from "../files/checked.js";
import type { TruncationStrategy } from "../tokenizer/index.js";

/** A text, or a pair whose second text a model tells from the first by segment or separator. */
export type TextInput = string | { text: string; pair: string };

/**
 * The token ids of a text, with the special tokens that the tokenizer puts around a text or without: then they are put
 * around it.
 */
export interface TokenIds {
  ids: ArrayLike<number>;
}

export interface TokenizeOptions {
  /** The caller, for errors. */
  where: string;
  /** Greatest number of tokens of a text (or pair), special ones included. */
  maxTokens: number;
  signal?: AbortSignal | undefined;
  /** Number of the first text, for errors. */
  firstIndex?: number;
  /** What errors call the text of an index, such as its file and row; default: `where` and the number. */
  placeOf?: ((index: number) => string | undefined) | undefined;
  /** What is done to each text before: trimming, lower case, a prompt. */
  prepare?: (text: string) => string;
  /** Tokens that neighbouring overflowing pieces share. */
  stride?: number | undefined;
  /** Which text of a pair is cut; default the longer one. */
  truncation?: TruncationStrategy | undefined;
  /** Reject where a text has no tokens at all, as an empty one where the tokenizer adds none. */
  needsTokens?: boolean;
}

export function isText(value: unknown): value is TextInput {
  if (typeof value === "string") return true;
  const { text, pair } = Object(value);
  return typeof text === "string" && typeof pair === "string";
}

export function isTokenIds(value: unknown): value is TokenIds {
  return typeof value === "object" && value !== null && "ids" in value;
}

/** The beginning of a text, or of both of a pair, for errors. */
export function quoted(input: TextInput | TokenIds): string {
  if (isTokenIds(input)) return `${input.ids.length} token ids`;
  const texts = typeof input === "string" ? [input] : [input.text, input.pair];
  return texts.map((text) => shown(shortened(text, 40))).join(" and ");
}

/** What a value is that is no text, for errors. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? `an object with ${Object.keys(value).join(", ") || "no keys"}` : typeof value;
}
