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

interface Files extends Pick<ReadOptions, "format" | "column" | "header" | "split"> {
  /** Files, folders, patterns or `hf://datasets/...`. */
  sources: string | string[];
  /** Folder to write the tokenizer to. */
  out: string;
}

/** `kind` is "wordpiece" (BERT's, the default) or "bpe" (byte-level, RoBERTa's). */
export type TrainTokenizerOptions = Files &
  (({ kind?: "wordpiece" } & WordPieceTrainerOptions) | ({ kind: "bpe" } & BpeTrainerOptions));

/** Trains a vocabulary on `sources` and writes the tokenizer to `out`, as Hugging Face's libraries read it. */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { sources, out, format, column, header, split } = options;
  const given = Object.entries({ format, column, header, split }).filter(([, value]) => value !== undefined);
  const documents = texts(sources, Object.fromEntries(given));
  const tokenizer = await (options.kind === "bpe" ? trainBpe(documents, options) : trainWordPiece(documents, options));
  saveTokenizer(tokenizer, out);
  return tokenizer;
}

async function* texts(sources: string | string[], options: ReadOptions): AsyncGenerator<string> {
  for await (const { text } of readDocuments(sources, options)) yield text;
}
