// Labelled texts out of files of records, and what kind of problem they are. Labels are read as the kind wants them: a name
// or number, a list of names (or one text with separators between them), a number, or a list as long as the text's words.

import { Permutation, randomStreams } from "../../data/random.js";
import { fetchSources } from "../../data/read/read.js";
import { type DataRecord, readRecords } from "../../data/read/records.js";
import type { LabelledInputs } from "./examples.js";
import type { Problem, ProblemType } from "./problem.js";
import { isSpanRecord, labelledSpans, type SpanColumns } from "./read-spans.js";

export interface LabelledSource extends SpanColumns {
  train: string | string[];
  validation?: string | string[] | undefined;
  /** Share of the training texts that is held out where there is no validation file. */
  validationFraction: number;
  text: string;
  label: string;
  pair?: string | undefined;
  type: ProblemType | "auto";
  /** Stands between labels where a text has several in one field. */
  separator: string;
  header: boolean;
}

export interface LabelledData {
  problem: Problem;
  train: LabelledInputs;
  validation: LabelledInputs | undefined;
  /** File and row of each training text. */
  places: string[];
}

interface RecordOf {
  record: DataRecord;
  where: string;
}

interface LabelledRow {
  text: unknown;
  pair: unknown;
  label: unknown;
  where: string;
}

/** Reads all files. Throws naming file, row and column where something is missing or of the wrong kind. */
export async function readLabelled(source: LabelledSource, seed: number): Promise<LabelledData> {
  const records = await readAll(source.train, source);
  if (records.length === 0) throw new Error(`${source.train}: expected labelled texts, got none`);
  let [learnt, kept]: [RecordOf[], RecordOf[]] = [records, []];
  if (source.validation !== undefined) kept = await readAll(source.validation, source);
  else [learnt, kept] = holdOut(records, source.validationFraction, seed);
  const places = learnt.map(({ where }) => where);
  const [{ record }] = records as [RecordOf];
  const looksAsked = !Object.hasOwn(record, source.text) && isSpanRecord(record, source);
  if (source.type === "spans" || (source.type === "auto" && looksAsked)) {
    return {
      problem: { type: "spans", labels: ["start", "end"] },
      train: labelledSpans(learnt, source),
      validation: kept.length > 0 ? labelledSpans(kept, source) : undefined,
      places,
    };
  }
  const rowOf = (one: RecordOf) => labelledRow(one, source);
  const [rows, train, held] = [records.map(rowOf), learnt.map(rowOf), kept.map(rowOf)];
  const type = source.type === "auto" ? inferType(rows) : source.type;
  if (type === "tokens" && source.pair !== undefined) {
    throw new Error("finetune classify: expected no pair with labels of words, got a column for it");
  }
  const labels = type === "regression" ? ["score"] : labelNames(rows, type, source);
  const problem: Problem = { type, labels };
  return {
    problem,
    train: labelled(train, problem, source),
    validation: held.length > 0 ? labelled(held, problem, source) : undefined,
    places,
  };
}

async function readAll(files: string | string[], { header }: LabelledSource): Promise<RecordOf[]> {
  const records: RecordOf[] = [];
  for (const file of await fetchSources(files)) {
    for await (const { record, row } of readRecords(file, { header })) {
      records.push({ record, where: `${file}: record ${row}` });
    }
  }
  return records;
}

function labelledRow({ record, where }: RecordOf, { text, label, pair }: LabelledSource): LabelledRow {
  const get = (column: string) => {
    if (Object.hasOwn(record, column)) return record[column];
    throw new Error(
      `${where}: expected a column ${column}, got ${Object.keys(record).join(", ")}\nName it with --text, --label or --pair.`,
    );
  };
  return { text: get(text), label: get(label), pair: pair === undefined ? undefined : get(pair), where };
}

function holdOut(rows: RecordOf[], fraction: number, seed: number): [train: RecordOf[], held: RecordOf[]] {
  const count = fraction === 0 ? 0 : Math.max(1, Math.round(rows.length * fraction));
  if (count >= rows.length)
    throw new Error(`finetune classify: expected texts left to learn from, got ${rows.length} in all`);
  const order = new Permutation(rows.length, seed, randomStreams.labelledHeldOut, 0);
  const chosen = new Set(Array.from({ length: count }, (_, i) => order.at(i)));
  return [rows.filter((_, i) => !chosen.has(i)), rows.filter((_, i) => chosen.has(i))];
}

function isNumeric(value: unknown): boolean {
  return (
    typeof value === "number" || (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
  );
}

/** Lists of words with labels, lists of labels, numbers with a fraction, and else one label a text. */
function inferType(rows: LabelledRow[]): ProblemType {
  if (rows.every(({ text, label }) => Array.isArray(text) && Array.isArray(label))) return "tokens";
  if (rows.some(({ label }) => Array.isArray(label))) return "multi";
  const isFraction = (label: unknown) => !Number.isInteger(Number(label));
  const labels = rows.map(({ label }) => label);
  return labels.every(isNumeric) && labels.some(isFraction) ? "regression" : "single";
}

/** A row's labels by name. */
function namesIn({ label, where }: LabelledRow, type: ProblemType, separator: string): string[] {
  const nameOf = (value: unknown) => {
    if (["string", "number", "boolean"].includes(typeof value)) return String(value).trim();
    throw new Error(`${where}: expected a label, got ${JSON.stringify(value) ?? "nothing"}`);
  };
  if (type === "single") {
    const name = nameOf(label);
    if (name === "") throw new Error(`${where}: expected a label, got none\nLeave out texts without one.`);
    return [name];
  }
  if (Array.isArray(label)) return label.map(nameOf);
  const text = label === null ? "" : nameOf(label);
  return (type === "tokens" ? text.split(/\s+/) : text.split(separator)).map((one) => one.trim()).filter(Boolean);
}

function labelNames(rows: LabelledRow[], type: ProblemType, { separator, label }: LabelledSource): string[] {
  const names = [...new Set(rows.flatMap((row) => namesIn(row, type, separator)))];
  const least = type === "multi" ? 1 : 2;
  if (names.length < least) {
    throw new Error(
      `finetune classify: expected at least ${least} labels in column ${label}, got ${names.join(", ") || "none"}`,
    );
  }
  if (names.every(isNumeric)) return names.sort((a, b) => Number(a) - Number(b));
  // O first, B-X before I-X, as is usual for tags.
  return names.sort((a, b) => Number(b === "O") - Number(a === "O") || (a < b ? -1 : 1));
}

function labelled(rows: LabelledRow[], { type, labels }: Problem, source: LabelledSource): LabelledInputs {
  const numbers = new Map(labels.map((name, i) => [name, i]));
  const words: string[][] = [];
  const data: LabelledInputs = { inputs: [], labels: [], ...(type === "tokens" && { words }) };
  for (const row of rows) {
    const { text, pair, label, where } = row;
    if (type === "tokens") {
      const own = Array.isArray(text)
        ? text.map(String)
        : textOf(text, source.text, where).split(/\s+/).filter(Boolean);
      words.push(own);
      data.inputs.push(own.join(" "));
    } else {
      const first = textOf(text, source.text, where);
      data.inputs.push(source.pair === undefined ? first : { text: first, pair: textOf(pair, source.pair, where) });
    }
    if (type === "regression") {
      if (!isNumeric(label))
        throw new Error(`${where}: expected a number in column ${source.label}, got ${JSON.stringify(label)}`);
      data.labels.push(Number(label));
      continue;
    }
    const found = namesIn(row, type, source.separator).map((name) => {
      const number = numbers.get(name);
      if (number !== undefined) return number;
      throw new Error(
        `${where}: expected a label of the training data (${labels.slice(0, 20).join(", ")}), got ${name}`,
      );
    });
    if (type === "tokens" && found.length !== words.at(-1)!.length) {
      throw new Error(`${where}: expected a label for each of ${words.at(-1)!.length} words, got ${found.length}`);
    }
    data.labels.push(type === "single" ? found[0]! : found);
  }
  return data;
}

function textOf(value: unknown, column: string, where: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${where}: expected text in column ${column}, got ${JSON.stringify(value) ?? "nothing"}`);
}
