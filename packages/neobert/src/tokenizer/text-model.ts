// What a model type brings: its normalizer, its pre-tokenizer and the model itself. The tokenizer around it does what
// all have in common (added tokens, truncation, templates, padding).

import type { IdBuffer } from "./id-buffer.js";
import type { AlignedText } from "./text/aligned-text.js";

/** Where `tokenize` writes: ids, and for each two code-unit positions in the original text and the number of its word. */
export interface Pieces {
  ids: IdBuffer;
  offsets: IdBuffer;
  words: IdBuffer;
  /** Words so far. */
  wordCount: number;
}

export interface TextModel {
  /** Whether `encodeIds` takes the text as it is; else it takes a normalized one. */
  readonly takesRawText: boolean;
  normalize(text: string): AlignedText;
  /** Appends the pieces of `aligned.text[from, to)`; `shift` is added to their offsets. */
  tokenize(aligned: AlignedText, from: number, to: number, shift: number, out: Pieces): void;
  /** Appends the ids of `text[from, to)`: the fast path. */
  encodeIds(text: string, from: number, to: number, sink: IdBuffer): void;
}
