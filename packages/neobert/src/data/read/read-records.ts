// Files of records: JSON lines, JSON arrays, CSV/TSV, parquet. Each reader yields records one by one from a stream
// (parquet: one row group of one column at a time) and says where in the file it stands when something is wrong.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parse } from "csv-parse";
import { asyncBufferFromFile, parquetMetadataAsync, parquetScan, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { limited, readLines, readText } from "./read-text.js";

export interface TextRow {
  text: string;
  /** Line of a JSON lines file, else the number of the record; from 1. */
  row: number;
}

export async function* readJsonLines(path: string, column: string): AsyncGenerator<TextRow> {
  for await (const { text, line } of readLines(path)) {
    if (text.trim() === "") continue;
    yield { text: textOf(parseJson(text, `${path}:${line}`), column, `${path}:${line}`), row: line };
  }
}

/** A `.json` file: an array of objects, or, as many data sets name theirs, JSON lines. */
export async function* readJson(path: string, column: string): AsyncGenerator<TextRow> {
  if (path === "-") throw new Error('-: expected JSON lines on standard input, got format "json"\nPass "jsonl".');
  if (!(await startsWithArray(path))) {
    yield* readJsonLines(path, column);
    return;
  }
  let row = 0;
  for await (const element of splitArray(path)) {
    const where = `${path}: element ${++row}`;
    yield { text: textOf(parseJson(element, where), column, where), row };
  }
}

/** CSV has quotes as RFC 4180 says; TSV has none, as GLUE and its like write it. Without header, columns are 0, 1, 2 ... */
export async function* readCsv(
  path: string,
  column: string,
  delimiter: string,
  header: boolean,
): AsyncGenerator<TextRow> {
  const parser = parse({ delimiter, quote: delimiter === "\t" ? null : '"', skip_empty_lines: true });
  // A failure of the file ends the parser with the same error, which the loop below throws.
  pipeline(Readable.from(readText(path)), parser).catch(() => {});
  let at = -1;
  let row = 0;
  try {
    for await (const record of parser as AsyncIterable<string[]>) {
      if (at < 0) {
        const names = header ? record : record.map((_, index) => String(index));
        at = names.indexOf(column);
        if (at < 0) throw noColumn(path, column, names);
        if (header) continue;
      }
      yield { text: record[at]!, row: ++row };
    }
  } catch (error) {
    if (!(error as { code?: string }).code?.startsWith("CSV_")) throw error;
    throw new Error(`${path}: expected ${delimiter === "\t" ? "TSV" : "CSV"}, got ${(error as Error).message}`);
  }
}

export async function* readParquet(path: string, column: string): AsyncGenerator<TextRow> {
  if (path === "-") throw new Error("-: expected a parquet file by name, got standard input\nSave it as a file first.");
  if (/\.(gz|zst)$/i.test(path)) {
    throw new Error(
      `${path}: expected a plain parquet file, which is compressed inside, got a compressed one\nUnpack it first.`,
    );
  }
  const file = await asyncBufferFromFile(path);
  let row = 0;
  try {
    const metadata = await parquetMetadataAsync(file);
    const names = parquetSchema(metadata).children.map(({ element }) => element.name);
    if (!names.includes(column)) throw noColumn(path, column, names);
    const scan = await parquetScan({ file, metadata, columns: [column], compressors });
    for (const { rowStart, rowEnd } of scan.ranges) {
      for (const value of await scan.readColumn({ column, rowStart, rowEnd })) {
        yield { text: asText(value, column, `${path}: row ${++row}`), row };
      }
    }
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith(path)) throw error;
    throw new Error(`${path}: expected a parquet file, got ${message} after row ${row}\nCopy or download it again.`);
  }
}

export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const start = text.length > 80 ? `${text.slice(0, 80)}...` : text;
    throw new Error(`${where}: expected JSON, got ${start}\n${(error as Error).message}`);
  }
}

function textOf(record: unknown, column: string, where: string): string {
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new Error(
      `${where}: expected a JSON object with the key ${column}, got ${JSON.stringify(record).slice(0, 80)}`,
    );
  }
  if (!Object.hasOwn(record, column)) throw noColumn(where, column, Object.keys(record));
  return asText((record as Record<string, unknown>)[column], column, where);
}

/** A missing value is a document without text, so that the numbers of the others stand. */
function asText(value: unknown, column: string, where: string): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  throw new Error(`${where}: expected text in column ${column}, got ${typeof value}\nChoose another column.`);
}

function noColumn(where: string, column: string, names: string[]): Error {
  return new Error(`${where}: expected a column ${column}, got ${names.join(", ")}\nChoose one of these as column.`);
}

export async function startsWithArray(path: string): Promise<boolean> {
  for await (const chunk of readText(path)) {
    const first = /\S/.exec(chunk)?.[0];
    if (first) return first === "[";
  }
  return false;
}

/** The texts of an array's elements, found by counting brackets outside strings. */
export async function* splitArray(path: string): AsyncGenerator<string> {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let closed = false;
  let element = "";
  for await (const chunk of readText(path)) {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const character = chunk[at]!;
      if (closed && /\S/.test(character)) {
        throw new Error(`${path}: expected one array, got ${chunk.slice(at, at + 40)} after it`);
      }
      if (escaped) escaped = false;
      else if (inString) {
        if (character === "\\") escaped = true;
        else if (character === '"') inString = false;
      } else if (character === '"') inString = true;
      else if (character === "[" || character === "{") {
        if (depth++ === 0) start = at + 1;
      } else if (character === "]" || character === "}") {
        if (--depth > 0) continue;
        element += chunk.slice(start, at);
        if (element.trim() !== "") yield element;
        element = "";
        closed = true;
      } else if (character === "," && depth === 1) {
        yield element + chunk.slice(start, at);
        element = "";
        start = at + 1;
      }
    }
    if (!closed) element = limited(element + chunk.slice(start), path, "Is it one array of objects?");
  }
  if (!closed)
    throw new Error(`${path}: expected an array with a closing ], got the end of the file\nCopy or download it again.`);
}
