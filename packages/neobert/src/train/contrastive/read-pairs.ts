// Training examples of contrastive fine-tuning out of files: a query, a positive and any number of hard negatives a row, in
// the columns of JSON lines, JSON, CSV, TSV or parquet, local or on the Hub; or out of a retrieval collection (queries,
// corpus, judgements), of which only the judged texts are kept. Rows without a query or a positive are left out.

import { exactText } from "../../data/read/json-values.js";
import { fetchSources } from "../../data/read/read.js";
import { type DataRecord, type QuoteStyle, readRecords, valueAt } from "../../data/read/records.js";
import { isObject, shortened, shown } from "../../files/checked.js";

export interface PairSource {
  name: string;
  /** Files of rows: a file, folder, pattern or `hf://datasets/...`, or several. */
  path?: string | string[] | undefined;
  /** In place of `path`: files of a retrieval collection with BEIR's columns. */
  retrieval?: { queries: string; corpus: string; judgements: string } | undefined;
  /** Columns; dots reach into objects and lists (`set.0`). Default: the first and the second column. */
  query?: string | undefined;
  positive?: string | undefined;
  /** Default: every column whose name begins with `negative`. */
  negatives?: string | string[] | undefined;
  /** Keeps the rows whose number in a column is above a bound. */
  filter?: { column: string; above: number } | undefined;
  /** Rows to read at most. */
  limit?: number | undefined;
  /** False where CSV and TSV have no line of names: columns are then 0, 1, 2 ... */
  header?: boolean | undefined;
  /** What double quotes are in CSV and TSV. */
  quotes?: QuoteStyle | undefined;
}

export interface PairRow {
  query: string;
  positive: string;
  negatives: string[];
}

export interface PlacedPair extends PairRow {
  /** File and row, for errors. */
  where: string;
}

/** Yields the rows of a source. Throws naming file, row and column where one is missing or is not text. */
export async function* readPairs(source: PairSource, signal?: AbortSignal): AsyncGenerator<PlacedPair> {
  const { limit = Number.POSITIVE_INFINITY } = source;
  let count = 0;
  for await (const row of source.retrieval ? readRetrieval(source.retrieval, signal) : readRows(source, signal)) {
    signal?.throwIfAborted();
    if (row.query.trim() === "" || row.positive.trim() === "") continue;
    yield row;
    if (++count >= limit) return;
  }
}

async function* readRows(source: PairSource, signal: AbortSignal | undefined): AsyncGenerator<PlacedPair> {
  const { path = [], header, quotes, filter } = source;
  for (const file of await fetchSources(path, signal ? { signal } : {})) {
    let first: string[] | undefined; // the columns' order: that of the file's first row, whatever other rows have
    for await (const { record: whole, where } of readRecords(file, { header, quotes })) {
      const record = unwrap(whole);
      if (filter && !(numberAt(record, filter.column, where) > filter.above)) continue;
      const names = Object.keys(record);
      first ??= names;
      const column = (given: string | undefined, index: number) => given ?? first![index] ?? `number ${index}`;
      const query = column(source.query, 0);
      const positive = column(source.positive, 1);
      const negatives = source.negatives ?? names.filter((name) => name.startsWith("negative"));
      yield {
        query: textsAt(record, query, where)[0] ?? "",
        positive: textsAt(record, positive, where)[0] ?? "",
        negatives: [negatives].flat().flatMap((name) => textsAt(record, name, where).filter((text) => text !== "")),
        where,
      };
    }
  }
}

/** Some sets keep a row in one object: { set: { query, pos, neg } }. */
function unwrap(record: DataRecord): DataRecord {
  const [only, ...others] = Object.values(record);
  return others.length === 0 && isObject(only) ? (only as DataRecord) : record;
}

/** The texts of a column: one, or those of a list. `a.b` of a list of objects is the b of each. */
function textsAt(record: DataRecord, column: string, where: string): string[] {
  const found = valueAt(record, column);
  if (found === undefined) {
    throw new Error(
      `${where}: expected a column ${column}, got ${shortened(Object.keys(record).join(", "))}\nName the columns by query, positive and negatives.`,
    );
  }
  return [found].flat().map((value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "string") return value;
    throw new Error(`${where}: expected text in column ${column}, got ${typeof value}\nChoose another column.`);
  });
}

function numberAt(record: DataRecord, column: string, where: string): number {
  const found = valueAt(record, column);
  const value = typeof found === "object" ? Number.NaN : Number(found ?? Number.NaN);
  if (Number.isFinite(value)) return value;
  throw new Error(`${where}: expected a number in column ${column}, got ${shown(found)}`);
}

async function* readRetrieval(
  files: NonNullable<PairSource["retrieval"]>,
  signal: AbortSignal | undefined,
): AsyncGenerator<PlacedPair> {
  const judged = new Map<string, Set<string>>();
  for await (const { record, where } of recordsOf(files.judgements, signal)) {
    const { "query-id": query, "corpus-id": document, score } = record;
    if (score !== undefined && score !== null && numberAt(record, "score", where) <= 0) continue;
    const id = exactText(query, `${where}: query-id`);
    judged.set(id, (judged.get(id) ?? new Set()).add(exactText(document, `${where}: corpus-id`)));
  }
  const wanted = new Set([...judged.values()].flatMap((documents) => [...documents]));
  const texts = new Map<string, string>();
  for await (const { record, where } of recordsOf(files.corpus, signal)) {
    const id = idOf(record, where);
    if (wanted.has(id)) texts.set(id, exactText(record.text ?? "", `${where}: text`));
  }
  let rows = 0;
  for await (const { record, where } of recordsOf(files.queries, signal)) {
    for (const document of judged.get(idOf(record, where)) ?? []) {
      rows++;
      yield {
        query: exactText(record.text ?? "", `${where}: text`),
        positive: texts.get(document) ?? "",
        negatives: [],
        where,
      };
    }
  }
  if (rows === 0) {
    throw new Error(
      `${files.judgements}: expected query-id and corpus-id of texts in ${files.queries} and ${files.corpus}, got none that are there`,
    );
  }
}

const idOf = (record: DataRecord, where: string) => exactText(record._id ?? record.id, `${where}: _id`);

async function* recordsOf(sources: string, signal: AbortSignal | undefined) {
  for (const file of await fetchSources(sources, signal ? { signal } : {})) yield* readRecords(file);
}
