// A dropped file as columns and rows: CSV by the separator that its first line has most of, TSV, JSON Lines, a JSON list, or plain
// text with a text a line.

import { dsvFormat } from "d3";

export interface Table {
  name: string;
  columns: string[];
  rows: string[][];
}

/** Throws a sentence where the file is not what its name says. */
export function readTable(name: string, content: string): Table {
  const ending = /\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? "";
  if (["jsonl", "ndjson", "json"].includes(ending))
    return { name, ...ofRecords(name, recordsOf(name, ending, content)) };
  if (!["csv", "tsv", "tab"].includes(ending)) {
    const lines = content.split(/\r?\n/).filter((line) => line.trim() !== "");
    return { name, columns: ["text"], rows: lines.map((line) => [line]) };
  }
  const first = content.slice(0, content.search(/\r?\n|$/));
  const count = (separator: string) => first.split(separator).length;
  const separator = (ending === "csv" ? [",", "\t", ";"] : ["\t"]).sort((a, b) => count(b) - count(a))[0]!;
  const [columns = [], ...rows] = dsvFormat(separator).parseRows(content);
  if (rows.length === 0) throw new Error(`${name}: expected a line of column names and rows below it, got no rows`);
  return { name, columns, rows };
}

function recordsOf(name: string, ending: string, content: string): unknown[] {
  const parse = (text: string, where: string) => {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${name}: expected JSON ${where}, got ${text.slice(0, 60)}`);
    }
  };
  if (ending === "json") {
    const list = parse(content, "in it");
    if (Array.isArray(list)) return list;
    throw new Error(`${name}: expected a list of objects or texts, got one value`);
  }
  const lines = content.split("\n");
  return lines.flatMap((line, i) => (line.trim() === "" ? [] : [parse(line, `on line ${i + 1}`)]));
}

function ofRecords(name: string, records: readonly unknown[]): { columns: string[]; rows: string[][] } {
  const objects = records.map((record) =>
    typeof record === "object" && record !== null ? (record as Record<string, unknown>) : { text: record },
  );
  const columns = [...new Set(objects.flatMap((record) => Object.keys(record)))];
  if (columns.length === 0) throw new Error(`${name}: expected objects or texts, got none`);
  const cell = (value: unknown) =>
    typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
  return { columns, rows: objects.map((record) => columns.map((column) => cell(record[column]))) };
}

/** The column with the longest cells, and one whose few values make colours, if there is one. */
export function guessColumns({ columns, rows }: Table): { text: number; colour: number | undefined } {
  const some = rows.slice(0, 500);
  const lengths = columns.map((_, i) => some.reduce((sum, row) => sum + (row[i]?.length ?? 0), 0));
  const text = lengths.indexOf(Math.max(...lengths));
  const colour = columns.findIndex((_, i) => {
    const values = new Set(some.map((row) => row[i]));
    return i !== text && values.size > 1 && values.size <= Math.min(20, some.length / 2);
  });
  return { text, colour: colour < 0 ? undefined : colour };
}
