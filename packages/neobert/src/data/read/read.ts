// Documents out of files: text, JSON lines, JSON arrays, CSV, TSV and parquet, plain, gzipped or zstd-compressed, from
// local files, folders and patterns or from the Hub. Everything streams; what is held is one document, or for parquet
// one row group of the text column.

import { fetchSources, sourceFormat } from "./read-files.js";
import { splitText, type TextSplit } from "./read-text.js";
import { type QuoteStyle, type RecordOptions, readRecords } from "./records.js";

export { fetchPart, fetchSources, hashFile, listSourceFiles, type SourceFormat, sourceFormat } from "./read-files.js";
export type { QuoteStyle, TextSplit };

export interface ReadOptions extends Pick<RecordOptions, "format" | "header" | "quotes"> {
  /** Column or key that holds the text; dots reach into objects; default `text`. */
  column?: string;
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
  const files = await fetchSources(sources, signal ? { signal } : {});
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

async function* readFile(path: string, options: ReadOptions): AsyncGenerator<Omit<SourceDocument, "source">> {
  const { column = "text", split = "file" } = options;
  if ((options.format ?? sourceFormat(path)) === "text") {
    for await (const { text, line } of splitText(path, split)) yield { text, row: line };
    return;
  }
  for await (const { record, row, where } of readRecords(path, { ...options, columns: [column] })) {
    yield { text: textOf(record[column], column, where), row };
  }
}

/** A missing value is a document without text, so that the numbers of the others stand. */
function textOf(value: unknown, column: string, where: string): string {
  if (value === null || Number.isNaN(value)) return "";
  if (typeof value === "string") return value;
  throw new Error(`${where}: expected text in column ${column}, got ${typeof value}\nChoose another column.`);
}
