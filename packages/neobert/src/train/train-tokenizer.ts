// `trainTokenizer`: text files in, a tokenizer folder out.

import { type ReadOptions, readDocuments } from "../data/index.js";
import { saveTokenizer, type Tokenizer, trainWordPiece, type WordPieceTrainerOptions } from "../tokenizer/index.js";

export interface TrainTokenizerOptions
  extends WordPieceTrainerOptions,
    Pick<ReadOptions, "format" | "column" | "header" | "split"> {
  /** Files, folders, patterns or `hf://datasets/...`. */
  sources: string | string[];
  /** Folder to write the tokenizer to. */
  out: string;
}

/** Trains a WordPiece vocabulary on `sources` and writes it to `out`, as Hugging Face's libraries read it. */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { sources, out, format, column, header, split, ...training } = options;
  const given = Object.entries({ format, column, header, split }).filter(([, value]) => value !== undefined);
  const tokenizer = await trainWordPiece(texts(sources, Object.fromEntries(given)), training);
  saveTokenizer(tokenizer, out);
  return tokenizer;
}

async function* texts(sources: string | string[], options: ReadOptions): AsyncGenerator<string> {
  for await (const { text } of readDocuments(sources, options)) yield text;
}
