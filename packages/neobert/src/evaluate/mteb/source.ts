// Rows of a task's data: files of records, or lines of text, with the columns renamed to mteb's. A column is a key, a path
// into nested records (`summaries[].decoded`), or the mean of several numbers.

import { listSourceFiles, type SourceFormat, sourceFormat } from "../../data/read/read-files.js";
import { readLines } from "../../data/read/read-text.js";
import { type QuoteStyle, readRecords } from "../../data/read/records.js";
import { shown } from "../../files/checked.js";
import type { Column } from "./mteb-tasks.js";

/**
 * A key or a path; several of which the first that is there counts; one that may be absent; or the mean over a path's
 * innermost lists or over several keys.
 */
export type ColumnSpec = Column | { mean: string | readonly string[] };

export interface Source {
  files: readonly string[];
  /** Default: as the names tell. Of "lines" each line is a record: `line`, and the named groups of `pattern`. */
  format?: Exclude<SourceFormat, "text"> | "lines" | undefined;
  /** Whether CSV and TSV begin with the columns' names; else they are 0, 1, 2 ... */
  header?: boolean | undefined;
  /** Whether columns of a TSV may stand in double quotes. */
  quoted?: boolean | undefined;
  /** What double quotes are in CSV and TSV; tells more than `quoted`. */
  quotes?: QuoteStyle | undefined;
  /** A regular expression with named groups, for lines. */
  pattern?: string | undefined;
  /** Number of lines to leave out at the start of each file. */
  skip?: number | undefined;
  columns: Readonly<Record<string, ColumnSpec>>;
  /** Rows without a value in one of these (named as in `columns`) are left out. */
  require?: readonly string[] | undefined;
  /** Keys of the file and the value they must have, where a record has them: the rows of one language. */
  only?: Readonly<Record<string, string>> | undefined;
}

export type Row = Record<string, unknown>;

/** A row's values by mteb's columns. */
export interface TaskRow {
  values: Row;
  /** File and row, for errors; of several sources side by side all of them. */
  where: string;
}

/** The rows of a source; of several, side by side: the first rows together, the second, and so on. */
export async function readRows(source: Source | readonly Source[]): Promise<TaskRow[]> {
  const rows: TaskRow[] = [];
  for await (const row of streamRows(source)) rows.push(row);
  return rows;
}

/** The same one by one; several sources, which stand side by side, are held. */
export async function* streamRows(source: Source | readonly Source[]): AsyncGenerator<TaskRow> {
  const sources = [source].flat();
  if (sources.length === 1) {
    yield* rowsOf(sources[0]!);
    return;
  }
  const sides = await Promise.all(sources.map(readRows));
  const [first = [], ...others] = sides;
  const other = others.find(({ length }) => length !== first.length);
  if (other) {
    const names = sources.map(({ files }) => files.join(" "));
    throw new Error(
      `${names.join(" and ")}: expected as many rows in each, got ${sides.map(({ length }) => length).join(" and ")}\nThey stand side by side: mend the files.`,
    );
  }
  for (const [i, row] of first.entries()) {
    const beside = [row, ...others.map((rows) => rows[i]!)];
    yield {
      values: Object.fromEntries(beside.flatMap(({ values }) => Object.entries(values))),
      where: beside.map(({ where }) => where).join(" and "),
    };
  }
}

async function* rowsOf(source: Source): AsyncGenerator<TaskRow> {
  const { columns, require = [], only = {} } = source;
  for (const file of listSourceFiles([...source.files])) {
    for await (const { record, where } of recordsOf(file, source)) {
      if (Object.entries(only).some(([key, value]) => Object.hasOwn(record, key) && record[key] !== value)) continue;
      const entries = Object.entries(columns).map(([name, spec]) => [name, columnOf(record, spec, where)]);
      const values = Object.fromEntries(entries) as Row;
      if (require.every((name) => values[name] !== "" && values[name] != null)) yield { values, where };
    }
  }
}

async function* recordsOf(file: string, source: Source): AsyncGenerator<{ record: Row; where: string }> {
  const { format, header, pattern, skip = 0 } = source;
  if ((format ?? sourceFormat(file)) !== "lines") {
    yield* readRecords(file, { header, format: format as SourceFormat | undefined, quotes: quotesOf(source) });
    return;
  }
  const expression = pattern === undefined ? undefined : new RegExp(pattern, "u");
  for await (const { text, line } of readLines(file)) {
    if (line <= skip) continue;
    const groups = expression ? expression.exec(text)?.groups : {};
    if (!groups) {
      throw new Error(
        `${file}:${line}: expected a line that ${pattern} fits, got ${JSON.stringify(text.slice(0, 80))}\nMend that line or the pattern.`,
      );
    }
    yield { record: { line: text, ...groups }, where: `${file}:${line}` };
  }
}

const quotesOf = ({ quoted, quotes }: Source): QuoteStyle | undefined =>
  quotes ?? (quoted === undefined ? undefined : quoted ? "doubled" : "none");

function columnOf(record: Row, spec: ColumnSpec, where: string): unknown {
  if (typeof spec === "object" && "optional" in spec) {
    return Object.hasOwn(record, spec.optional) ? record[spec.optional] : undefined;
  }
  if (typeof spec === "object" && "mean" in spec) {
    const { mean } = spec;
    const values = typeof mean === "string" ? at(record, mean, where) : mean.map((key) => at(record, key, where));
    return innermostMeans(values, where);
  }
  const paths = typeof spec === "string" ? [spec] : spec;
  const found = paths.find((path) => Object.hasOwn(record, path)) ?? paths[0]!;
  return at(record, found, where);
}

function at(record: Row, path: string, where: string): unknown {
  if (Object.hasOwn(record, path)) return record[path];
  let values: unknown = record;
  let depth = 0;
  for (const step of path.split(".")) {
    const key = step.replace(/(\[\])+$/, "");
    values = mapDeep(values, depth, (value) => {
      if (typeof value === "object" && value !== null && Object.hasOwn(value, key)) return (value as Row)[key];
      const known = typeof value === "object" && value !== null ? Object.keys(value).join(", ") : typeof value;
      throw new Error(`${where}: expected a column ${path}, got ${known}\nName one of these in columns.`);
    });
    depth += (step.length - key.length) / 2;
  }
  return values;
}

function mapDeep(value: unknown, depth: number, fn: (value: unknown) => unknown): unknown {
  return depth > 0 && Array.isArray(value) ? value.map((item) => mapDeep(item, depth - 1, fn)) : fn(value);
}

function innermostMeans(value: unknown, where: string): unknown {
  if (!Array.isArray(value))
    throw new Error(
      `${where}: expected a list of numbers to take the mean of, got ${shown(value)}\nName the right column.`,
    );
  if (value.some(Array.isArray)) return value.map((item) => innermostMeans(item, where));
  const numbers = value.map((item) => numberOf(item, where));
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

/** A number, or the number that a text writes. Throws for anything else. */
export function numberOf(value: unknown, where: string): number {
  const isText = typeof value === "string" && value.trim() !== "";
  const number = isText || typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && !Number.isNaN(number)) return number;
  throw new Error(`${where}: expected a number, got ${shown(value)}\nMend that row, or name the right column.`);
}
