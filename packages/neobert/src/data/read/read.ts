// Documents out of files: text, JSON lines, JSON arrays, CSV, TSV and parquet, plain, gzipped or zstd-compressed, from
// local files, folders and patterns or from the Hub. Everything streams; what is held is one document, or for parquet
// one row group of the text column.

import { fetchSources, type SourceFormat, sourceFormat } from "./read-files.js";
import { readCsv, readJson, readJsonLines, readParquet, type TextRow } from "./read-records.js";
import { splitText, type TextSplit } from "./read-text.js";

export { fetchSources, hashFile, listSourceFiles, type SourceFormat, sourceFormat } from "./read-files.js";
export type { TextSplit };

export interface ReadOptions {
  /** Format of every file, where the names do not tell. */
  format?: SourceFormat;
  /** Column or key that holds the text; default `text`. */
  column?: string;
  /** Whether CSV and TSV begin with the names of the columns; without, they are named 0, 1, 2 ...; default true. */
  header?: boolean;
  /** How text files are cut into documents; default `file`. */
  split?: TextSplit;
  /** Number of documents after which to stop; default none. */
  limit?: number;
  signal?: AbortSignal;
}

export interface SourceDocument {
  text: string;
  /** Path of the file it came from. */
  source: string;
  /** Place in the file, from 1: the line it starts on (text, JSON lines) or the number of the record. */
  row: number;
}

/**
 * Yields the documents of `sources` in the order of `listSourceFiles`; `hf://datasets/OWNER/NAME[@REVISION][/PATTERN]`
 * is downloaded first. A record whose text is null yields an empty text.
 * Throws for a file that cannot be read as its format says, naming the file and the line or row.
 */
export async function* readDocuments(
  sources: string | string[],
  options: ReadOptions = {},
): AsyncGenerator<SourceDocument> {
  const { limit = Number.POSITIVE_INFINITY, signal } = options;
  signal?.throwIfAborted();
  const files = await fetchSources(sources);
  let count = 0;
  for (const source of files) {
    if (count >= limit) return;
    for await (const { text, row } of readFile(source, options)) {
      signal?.throwIfAborted();
      yield { text, source, row };
      if (++count >= limit) return;
    }
  }
}

async function* readFile(path: string, options: ReadOptions): AsyncGenerator<TextRow> {
  const { column = "text", header = true, split = "file" } = options;
  const format = options.format ?? sourceFormat(path);
  switch (format) {
    case "text":
      for await (const { text, line } of splitText(path, split)) yield { text, row: line };
      return;
    case "jsonl":
      return yield* readJsonLines(path, column);
    case "json":
      return yield* readJson(path, column);
    case "csv":
      return yield* readCsv(path, column, ",", header);
    case "tsv":
      return yield* readCsv(path, column, "\t", header);
    case "parquet":
      return yield* readParquet(path, column);
    default:
      throw new Error(
        `${path}: expected a name that tells its format, got another\nPass format: "text", "jsonl", "json", "csv", "tsv" or "parquet".`,
      );
  }
}
