// Files of records with all their columns: JSON lines, JSON arrays, CSV, TSV, parquet, plain or compressed as `readDocuments`
// reads them. For labelled data, where a row is more than one text.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parse } from "csv-parse";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type SourceFormat, sourceFormat } from "./read-files.js";
import { parseJson, splitArray, startsWithArray } from "./read-records.js";
import { readLines, readText } from "./read-text.js";

export type DataRecord = Record<string, unknown>;

export interface RecordOptions {
  /** Format of the file, where its name does not tell. */
  format?: SourceFormat;
  /** Whether CSV and TSV begin with the names of the columns; without, they are named 0, 1, 2 ...; default true. */
  header?: boolean;
  /** Whether columns may stand in double quotes; default for CSV, not for TSV. */
  quoted?: boolean;
  /** What a CSV or TSV row with another number of columns is: an error (default), or left out. */
  ragged?: "error" | "skip";
}

export interface RecordRow {
  record: DataRecord;
  /** Line of a JSON lines file, else the number of the record; from 1. */
  row: number;
}

/** Yields the records of a file. Whole numbers of parquet are numbers. Throws naming the file and the row. */
export async function* readRecords(path: string, options: RecordOptions = {}): AsyncGenerator<RecordRow> {
  const format = options.format ?? sourceFormat(path);
  switch (format) {
    case "jsonl":
      return yield* readJsonLines(path);
    case "json":
      return yield* readJson(path);
    case "csv":
      return yield* readTable(path, ",", options);
    case "tsv":
      return yield* readTable(path, "\t", options);
    case "parquet":
      return yield* readParquet(path);
    default:
      throw new Error(
        `${path}: expected a file of records, got ${format === "text" ? "plain text" : "a name that does not tell its format"}\n` +
          "Records are read from .jsonl, .json, .csv, .tsv and .parquet.",
      );
  }
}

/** All records of a file. */
export async function allRecords(path: string, options: RecordOptions = {}): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  for await (const { record } of readRecords(path, options)) records.push(record);
  return records;
}

async function* readJsonLines(path: string): AsyncGenerator<RecordRow> {
  for await (const { text, line } of readLines(path)) {
    if (text.trim() !== "")
      yield { record: recordOf(parseJson(text, `${path}:${line}`), `${path}:${line}`), row: line };
  }
}

async function* readJson(path: string): AsyncGenerator<RecordRow> {
  if (!(await startsWithArray(path))) return yield* readJsonLines(path);
  let row = 0;
  for await (const element of splitArray(path)) {
    const where = `${path}: element ${++row}`;
    yield { record: recordOf(parseJson(element, where), where), row };
  }
}

async function* readTable(
  path: string,
  delimiter: string,
  { header = true, quoted = delimiter !== "\t", ragged = "error" }: RecordOptions,
): AsyncGenerator<RecordRow> {
  const quote = quoted ? '"' : null; // GLUE and its like write TSV without quotes
  const parser = parse({ delimiter, quote, skip_empty_lines: true, relax_column_count: true });
  // A failure of the file ends the parser with the same error, which the loop below throws.
  pipeline(Readable.from(readText(path)), parser).catch(() => {});
  let names: string[] | undefined;
  let row = 0;
  try {
    for await (const cells of parser as AsyncIterable<string[]>) {
      if (!names) {
        names = header ? cells : cells.map((_, index) => String(index));
        if (header) continue;
      }
      row++;
      if (cells.length !== names.length) {
        if (ragged === "skip") continue;
        throw new Error(
          `${path}: record ${row}: expected ${names.length} columns, got ${cells.length}\nMend that row.`,
        );
      }
      yield { record: Object.fromEntries(names.map((name, i) => [name, cells[i]])), row };
    }
  } catch (error) {
    if (!(error as { code?: string }).code?.startsWith("CSV_")) throw error;
    throw new Error(`${path}: expected ${delimiter === "\t" ? "TSV" : "CSV"}, got ${(error as Error).message}`);
  }
}

async function* readParquet(path: string): AsyncGenerator<RecordRow> {
  let row = 0;
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    for (const { num_rows } of metadata.row_groups) {
      const [rowStart, rowEnd] = [row, row + Number(num_rows)];
      for (const record of await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd })) {
        yield { record: withNumbers(record) as DataRecord, row: ++row };
      }
    }
  } catch (error) {
    throw new Error(
      `${path}: expected a parquet file, got ${(error as Error).message} after row ${row}\nCopy or download it again.`,
    );
  }
}

function recordOf(value: unknown, where: string): DataRecord {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as DataRecord;
  throw new Error(`${where}: expected a JSON object, got ${JSON.stringify(value).slice(0, 80)}`);
}

/** 64-bit whole numbers as numbers, at any depth. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(withNumbers);
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withNumbers(item)]));
}
