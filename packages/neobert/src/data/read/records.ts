// Files of records: JSON lines, JSON arrays, CSV, TSV, parquet, plain or compressed. All readers of data go through here. A
// caller that names columns gets these alone; nothing else of a table or a parquet file is made into values.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CsvError, type Options, parse } from "csv-parse";
import { shortened, shown } from "../../files/checked.js";
import { arrayElements, parseJson } from "./json-values.js";
import { readParquet } from "./parquet.js";
import { type SourceFormat, sourceFormat } from "./read-files.js";
import { linesOf, readText } from "./read-text.js";

export type DataRecord = Record<string, unknown>;

/**
 * What double quotes are in CSV and TSV: around fields with doubled ones inside (RFC 4180); the same, with stray ones as
 * text; around fields with `\"` inside; or nothing but text.
 */
export const quoteStyles = ["doubled", "loose", "backslash", "none"] as const;
export type QuoteStyle = (typeof quoteStyles)[number];

const csvQuotes: Record<QuoteStyle, Options> = {
  doubled: {},
  loose: { relax_quotes: true },
  backslash: { escape: "\\", relax_quotes: true },
  none: { quote: null },
};

export interface RecordOptions {
  /** Format of the file, where its name does not tell. */
  format?: SourceFormat | undefined;
  /** Names of the columns that records have; dots reach into objects and lists as `valueAt` does. Default: all. */
  columns?: readonly string[] | undefined;
  /** Whether CSV and TSV begin with the names of the columns; without, they are named 0, 1, 2 ...; default true. */
  header?: boolean | undefined;
  /** Default "doubled" for CSV, "none" for TSV, as GLUE and its like write it. */
  quotes?: QuoteStyle | undefined;
  /** What a CSV or TSV row with another number of columns is: an error (default), or left out. */
  ragged?: "error" | "skip" | undefined;
}

export interface RecordRow {
  record: DataRecord;
  /** Line of a JSON lines file, else the number of the record; from 1. */
  row: number;
  /** File and row, for errors. */
  where: string;
}

/**
 * Yields the records of a file. Whole numbers beyond 2^53 are bigint, at any depth. Throws naming the file and the row,
 * where a column is missing too.
 */
export async function* readRecords(path: string, options: RecordOptions = {}): AsyncGenerator<RecordRow> {
  const format = options.format ?? sourceFormat(path);
  switch (format) {
    case "jsonl":
      return yield* readJsonLines(readText(path), path, options);
    case "json":
      return yield* readJson(path, options);
    case "csv":
      return yield* readTable(path, ",", options);
    case "tsv":
      return yield* readTable(path, "\t", options);
    case "parquet":
      return yield* readParquetRecords(path, options);
    default:
      throw new Error(
        `${path}: expected a file of records, got ${format === "text" ? "plain text" : "a name that does not tell its format"}\n` +
          'Pass format: "jsonl", "json", "csv", "tsv" or "parquet".',
      );
  }
}

/**
 * The value of a column: of the key itself, or along its dots; `a.b` of a list of objects is the b of each, `a.0` its first.
 * Undefined where there is none; null in a null.
 */
export function valueAt(record: DataRecord, column: string): unknown {
  return Object.hasOwn(record, column) ? record[column] : reach(record, column.split("."));
}

function reach(value: unknown, [name, ...rest]: string[]): unknown {
  if (name === undefined) return value;
  if (value === null || value === undefined) return null;
  if (Array.isArray(value) && !/^\d+$/.test(name)) return value.map((item) => reach(item, [name, ...rest]));
  const isField = typeof value === "object" && Object.hasOwn(value, name); // a text has no parts
  return isField ? reach((value as DataRecord)[name], rest) : undefined;
}

async function* readJsonLines(chunks: AsyncIterable<string>, path: string, options: RecordOptions) {
  for await (const { text, line } of linesOf(chunks, path)) {
    const json = text.trim(); // a mark of bytes between files that were put together too
    if (json !== "") yield recordOf(json, `${path}:${line}`, line, options);
  }
}

/** A `.json` file: an array of objects, or, as many data sets name theirs, JSON lines. */
async function* readJson(path: string, options: RecordOptions): AsyncGenerator<RecordRow> {
  const chunks = readText(path);
  let start = "";
  while (start.trim() === "") {
    const { value, done } = await chunks.next();
    if (done) return;
    start += value;
  }
  const all = (async function* () {
    yield start;
    yield* chunks;
  })();
  if (!start.trimStart().startsWith("[")) return yield* readJsonLines(all, path, options);
  let row = 0;
  for await (const element of arrayElements(all, path)) {
    yield recordOf(element, `${path}: element ${++row}`, row, options);
  }
}

function recordOf(json: string, where: string, row: number, { columns }: RecordOptions): RecordRow {
  const value = parseJson(json, where);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${where}: expected a JSON object, got ${shown(value)}`);
  }
  return { record: projected(value as DataRecord, columns, where), row, where };
}

function projected(record: DataRecord, columns: readonly string[] | undefined, where: string): DataRecord {
  if (!columns) return record;
  const entries = columns.map((column) => {
    const value = valueAt(record, column);
    if (value === undefined) throw noColumn(where, column, Object.keys(record));
    return [column, value] as const;
  });
  return Object.fromEntries(entries);
}

export function noColumn(where: string, column: string, names: readonly string[]): Error {
  return new Error(
    `${where}: expected a column ${column}, got ${shortened(names.join(", "))}\nChoose one of these as column.`,
  );
}

async function* readTable(path: string, delimiter: "," | "\t", options: RecordOptions): AsyncGenerator<RecordRow> {
  const { header = true, quotes = delimiter === "," ? "doubled" : "none", ragged = "error", columns } = options;
  const kind = delimiter === "," ? "CSV" : "TSV";
  let names: string[] | undefined;
  let places: (readonly [name: string, place: number])[] = [];
  let row = 0;
  const toRow = (cells: string[], { lines }: { lines: number }): RecordRow | null => {
    if (!names) {
      names = header ? cells : cells.map((_, index) => String(index));
      const absent = columns?.find((column) => !names!.includes(column));
      if (absent !== undefined) throw otherDelimiter(path, delimiter, names) ?? noColumn(path, absent, names);
      places = (columns ?? [...new Set(names)]).map((name) => [name, names!.indexOf(name)]);
      if (header) return null;
    }
    row++;
    if (cells.length !== names.length) {
      if (ragged === "skip") return null;
      const got = `${path}: record ${row}: expected ${names.length} columns, got ${cells.length} (it ends in line ${lines})`;
      throw otherDelimiter(path, delimiter, names) ?? new Error(`${got}\nMend that row.`);
    }
    const record = Object.fromEntries(places.map(([name, place]) => [name, cells[place]]));
    return { record, row, where: `${path}: record ${row}` };
  };
  const parser = parse({
    ...csvQuotes[quotes],
    delimiter,
    record_delimiter: ["\r\n", "\n", "\r"], // each record has its own
    skip_empty_lines: true,
    relax_column_count: true,
    on_record: toRow as never, // its type is that of what comes in
  });
  // A failure of the file ends the parser with the same error, which the loop below throws.
  pipeline(Readable.from(readText(path)), parser).catch(() => {});
  try {
    yield* parser as AsyncIterable<RecordRow>;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const other = names && otherDelimiter(path, delimiter, names);
    if (other) throw other;
    throw new Error(
      `${path}:${error.lines}: expected ${kind}, got ${error.message}\n` +
        'A quote within a field is doubled in CSV. Else read with quotes "loose" (stray quotes are text), "backslash" (\\" is one) or "none".',
    );
  }
}

/** The error of a table whose names stand in one column with another separator between them. */
function otherDelimiter(path: string, delimiter: string, names: readonly string[]): Error | undefined {
  const found = names.length === 1 ? /[;\t|,]/.exec(names[0]!)?.[0] : undefined;
  if (found === undefined || found === delimiter) return undefined;
  return new Error(
    `${path}: expected columns with ${JSON.stringify(delimiter)} between them, got ${JSON.stringify(found)} in ${shown(names[0])}\n` +
      "Save it with commas as .csv, or with tabs as .tsv.",
  );
}

async function* readParquetRecords(path: string, { columns }: RecordOptions): AsyncGenerator<RecordRow> {
  const choose = (names: string[]) => {
    const heads = columns?.map((column) => {
      const head = names.includes(column) ? column : column.split(".")[0]!;
      if (names.includes(head)) return head;
      throw noColumn(path, column, names);
    });
    return heads ? [...new Set(heads)] : names;
  };
  let row = 0;
  for await (const record of readParquet(path, choose)) {
    const where = `${path}: row ${++row}`;
    yield { record: projected(record, columns, where), row, where };
  }
}
