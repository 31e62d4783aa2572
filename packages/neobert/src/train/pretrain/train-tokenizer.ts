// `trainTokenizer`: text files in, a tokenizer folder out.

import { type ReadOptions, readDocuments } from "../../data/index.js";
import {
  type BpeTrainerOptions,
  saveTokenizer,
  type Tokenizer,
  trainBpe,
  trainWordPiece,
  type WordPieceTrainerOptions,
} from "../../tokenizer/index.js";

interface Files extends Pick<ReadOptions, "format" | "column" | "header" | "quotes" | "split"> {
  /** Files, folders, patterns or `hf://datasets/...`. */
  sources: string | string[];
  /** Folder to write the tokenizer to. */
  out: string;
}

/** `kind` is "wordpiece" (BERT's, the default) or "bpe" (byte-level, RoBERTa's). */
export type TrainTokenizerOptions = Files &
  (({ kind?: "wordpiece" } & WordPieceTrainerOptions) | ({ kind: "bpe" } & BpeTrainerOptions));

/**
 * Trains a vocabulary on `sources` and writes the tokenizer to `out`, as Hugging Face's libraries read it. It has fewer tokens
 * than `vocabSize` where the text has no more pairs to merge.
 * @throws an Error where the sources hold no text: nothing is written then
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { sources, out, format, column, header, quotes, split } = options;
  const given = Object.entries({ format, column, header, quotes, split }).filter(([, value]) => value !== undefined);
  let hasText = false;
  const documents = (async function* () {
    for await (const { text } of readDocuments(sources, Object.fromEntries(given) as ReadOptions)) {
      hasText ||= /\S/.test(text);
      yield text;
    }
  })();
  const tokenizer = await (options.kind === "bpe" ? trainBpe(documents, options) : trainWordPiece(documents, options));
  if (!hasText) {
    throw new Error(
      `trainTokenizer: expected text in ${[sources].flat().join(", ")}, got none but white space\nIs it the right file, column and format?`,
    );
  }
  saveTokenizer(tokenizer, out);
  return tokenizer;
}
