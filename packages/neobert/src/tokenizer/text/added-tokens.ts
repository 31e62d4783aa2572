// Added tokens such as [MASK]: found in the text before anything else touches it (or, where marked `normalized`, in the
// normalized text), longest first, so that they are never cut into pieces. The rules for single_word, lstrip and
// rstrip are those of Hugging Face tokenizers.

import type { AddedToken } from "../json/schema.js";

/** A stretch of text: an added token (its id), or text for the model (id -1). */
export interface Segment {
  start: number;
  end: number;
  id: number;
}

const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const space = /\p{White_Space}/u;

export class AddedTokens {
  readonly #tokens = new Map<string, AddedToken>();
  readonly #pattern: RegExp | undefined;

  /** `form` gives the text a token is looked for as. */
  constructor(tokens: readonly AddedToken[], form: (content: string) => string) {
    for (const token of tokens) {
      const content = form(token.content);
      // Of tokens that are looked for alike the first counts.
      if (content !== "" && !this.#tokens.has(content)) this.#tokens.set(content, token);
    }
    const longestFirst = [...this.#tokens.keys()].sort((a, b) => b.length - a.length);
    if (longestFirst.length > 0) this.#pattern = new RegExp(longestFirst.map(escapeRegExp).join("|"), "g");
  }

  get isEmpty(): boolean {
    return this.#pattern === undefined;
  }

  /** The segments of `text[from, to)`, which cover it in order. */
  split(text: string, from = 0, to = text.length): Segment[] {
    const segments: Segment[] = [];
    let at = from;
    if (this.#pattern) {
      this.#pattern.lastIndex = from;
      for (let match: RegExpExecArray | null; (match = this.#pattern.exec(text)); ) {
        const token = this.#tokens.get(match[0])!;
        let start = match.index;
        let end = start + match[0].length;
        if (end > to) break;
        if (token.single_word && touchesWord(text, from, start, end, to)) continue;
        if (token.lstrip) while (start > at && space.test(text[start - 1]!)) start--;
        if (token.rstrip) while (end < to && space.test(text[end]!)) end++;
        if (at < start) segments.push({ start: at, end: start, id: -1 });
        segments.push({ start, end, id: token.id });
        at = end;
      }
    }
    if (at < to) segments.push({ start: at, end: to, id: -1 });
    return segments;
  }
}

function touchesWord(text: string, from: number, start: number, end: number, to: number): boolean {
  // Two code units hold the neighbour, whichever plane it is from.
  const before = text.slice(Math.max(from, start - 2), start);
  return wordAtEnd.test(before) || wordAtStart.test(text.slice(end, Math.min(to, end + 2)));
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
