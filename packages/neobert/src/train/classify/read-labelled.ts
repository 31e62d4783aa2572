// Labelled texts out of files of records, and what kind of problem they are. Labels are read as the kind wants them: a name
// or number, a list of names (also one text with separators between them, or as Python or JSON write a list, or a column of
// 0 and 1 for each), a number, or a list as long as the text's words. Spellings of one number are one label.

import { Permutation, randomStreams } from "../../data/random.js";
import { exactText } from "../../data/read/json-values.js";
import { fetchSources } from "../../data/read/read.js";
import { type QuoteStyle, type RecordRow, readRecords, valueAt } from "../../data/read/records.js";
import { shortened, shown } from "../../files/checked.js";
import type { LabelledInputs } from "./examples.js";
import type { Problem, ProblemType } from "./problem.js";
import { isSpanRecord, labelledSpans, type SpanColumns } from "./read-spans.js";

export interface LabelledSource extends SpanColumns {
  train: string | string[];
  validation?: string | string[] | undefined;
  /** Share of the training texts that is held out where there is no validation file. */
  validationFraction: number;
  text: string;
  /** Several columns hold 0 or 1 each and name the labels. */
  label: string | string[];
  pair?: string | undefined;
  type: ProblemType | "auto";
  /** Stands between labels where a text has several in one field. */
  separator: string;
  header: boolean;
  quotes?: QuoteStyle | undefined;
}

export interface LabelledData {
  problem: Problem;
  train: LabelledInputs;
  validation: LabelledInputs | undefined;
}

interface LabelledRow {
  text: unknown;
  pair: unknown;
  label: unknown;
  where: string;
}

/** Reads all files. Throws naming file, row and column where something is missing or of the wrong kind. */
export async function readLabelled(source: LabelledSource, seed: number, signal?: AbortSignal): Promise<LabelledData> {
  const records = await readAll(source.train, source, signal);
  if (records.length === 0) throw new Error(`${source.train}: expected labelled texts, got none`);
  let [learnt, kept]: [RecordRow[], RecordRow[]] = [records, []];
  if (source.validation !== undefined) kept = await readAll(source.validation, source, signal);
  else [learnt, kept] = holdOut(records, source.validationFraction, seed);
  const [{ record }] = records as [RecordRow];
  const looksAsked = valueAt(record, source.text) === undefined && isSpanRecord(record, source);
  if (source.type === "spans" || (source.type === "auto" && looksAsked)) {
    return {
      problem: { type: "spans", labels: ["start", "end"] },
      train: labelledSpans(learnt, source),
      validation: kept.length > 0 ? labelledSpans(kept, source) : undefined,
    };
  }
  const rowOf = (one: RecordRow) => labelledRow(one, source);
  const [train, held] = [learnt.map(rowOf), kept.map(rowOf)];
  const rows = source.validation === undefined ? [...train, ...held] : train;
  if (source.type !== "single" && source.type !== "regression") readListsInTexts(rows, held, source.type);
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
  };
}

async function readAll(
  files: string | string[],
  { header, quotes }: LabelledSource,
  signal: AbortSignal | undefined,
): Promise<RecordRow[]> {
  const records: RecordRow[] = [];
  for (const file of await fetchSources(files, signal ? { signal } : {})) {
    for await (const row of readRecords(file, { header, quotes })) {
      signal?.throwIfAborted();
      records.push(row);
    }
  }
  return records;
}

function labelledRow({ record, where }: RecordRow, { text, label, pair }: LabelledSource): LabelledRow {
  const get = (column: string) => {
    const value = valueAt(record, column);
    if (value !== undefined) return value;
    throw new Error(
      `${where}: expected a column ${column}, got ${shortened(Object.keys(record).join(", "))}\nName it with \`text\`, \`label\` or \`pair\`.`,
    );
  };
  const several = Array.isArray(label) && label.length > 1 ? label : undefined;
  const found = several?.filter((column) => isOne(get(column), `${where}: column ${column}`));
  return {
    text: get(text),
    label: found ?? get([label].flat()[0]!),
    pair: pair === undefined ? undefined : get(pair),
    where,
  };
}

function isOne(value: unknown, where: string): boolean {
  const name = typeof value === "object" ? "" : String(value).trim().toLowerCase();
  if (/^(1(\.0*)?|true)$/.test(name)) return true;
  if (/^(0(\.0*)?|false)$/.test(name)) return false;
  throw new Error(
    `${where}: expected 0 or 1, got ${shown(value)}\nSeveral label columns tell which labels a text has.`,
  );
}

/** Lists that a CSV has as texts, `['joy', 'fear']`, become lists where every label is one. */
function readListsInTexts(rows: LabelledRow[], held: LabelledRow[], type: LabelledSource["type"]): void {
  const isList = (value: unknown) => typeof value === "string" && /^\s*\[.*\]\s*$/s.test(value);
  const all = [...new Set([...rows, ...held])]; // held-out rows may stand among the others
  if (!rows.every(({ label }) => isList(label))) return;
  const other = all.find(({ label }) => !isList(label));
  if (other) throw new Error(`${other.where}: expected a list of labels as in the others, got ${shown(other.label)}`);
  const listed = type !== "multi" && all.every(({ text }) => isList(text));
  for (const row of all) {
    row.label = itemsOf(row.label as string);
    if (listed) row.text = itemsOf(row.text as string);
  }
}

/** The items of a list as Python, numpy or JSON write it: in quotes of either kind, or bare. */
function itemsOf(list: string): string[] {
  const items = list
    .trim()
    .slice(1, -1)
    .matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,'"]+)/gs);
  return Array.from(items, ([, single, double, bare]) => bare ?? (single ?? double)!.replace(/\\(.)/gs, "$1"));
}

function holdOut(rows: RecordRow[], fraction: number, seed: number): [train: RecordRow[], held: RecordRow[]] {
  const count = fraction === 0 ? 0 : Math.max(1, Math.round(rows.length * fraction));
  if (count >= rows.length)
    throw new Error(`finetune classify: expected texts left to learn from, got ${rows.length} in all`);
  const order = new Permutation(rows.length, seed, randomStreams.labelledHeldOut, 0);
  const chosen = new Set(Array.from({ length: count }, (_, i) => order.at(i)));
  return [rows.filter((_, i) => !chosen.has(i)), rows.filter((_, i) => chosen.has(i))];
}

function isNumeric(value: unknown): boolean {
  return (
    typeof value === "bigint" ||
    (typeof value === "number" && Number.isFinite(value)) ||
    (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
  );
}

/** Lists of words with labels, lists of labels, numbers with a fraction, and else one label a text. */
function inferType(rows: LabelledRow[]): ProblemType {
  if (rows.every(({ text, label }) => Array.isArray(text) && Array.isArray(label))) return "tokens";
  if (rows.some(({ label }) => Array.isArray(label))) return "multi";
  const isFraction = (label: unknown) => !isNumeric(label) || !Number.isInteger(Number(label));
  const labels = rows.map(({ label }) => label);
  return labels.every(isNumeric) && labels.some(isFraction) ? "regression" : "single";
}

/** A row's labels by name. */
function namesIn({ label, where }: LabelledRow, type: ProblemType, separator: string): string[] {
  const nameOf = (value: unknown) => exactText(value, `${where}: label`).trim();
  if (type === "single") {
    const name = nameOf(label);
    if (name === "") throw new Error(`${where}: expected a label, got none\nLeave out texts without one.`);
    return [name];
  }
  if (Array.isArray(label)) return label.map(nameOf);
  const text = label === null ? "" : nameOf(label);
  return (type === "tokens" ? text.split(/\s+/) : text.split(separator)).map((one) => one.trim()).filter(Boolean);
}

/**
 * What spellings of one label share: numbers their value (0 and 0.0), truth values their letters (True and true), other
 * names their characters, however composed. Whole numbers beyond 2^53 keep their digits.
 */
function keysFor(names: readonly string[]): (name: string) => string {
  const areTruths = names.every((name) => /^(true|false)$/i.test(name));
  if (areTruths) return (name) => name.toLowerCase();
  if (!names.every(isNumeric)) return (name) => name.normalize();
  return (name) => (isNumeric(name) && Math.abs(Number(name)) <= Number.MAX_SAFE_INTEGER ? String(Number(name)) : name);
}

/** The labels: each as it is spelled, or as its key where there are several spellings. */
function labelNames(rows: LabelledRow[], type: ProblemType, { separator, label }: LabelledSource): string[] {
  if (type === "multi" && Array.isArray(label) && label.length > 1) return [...label];
  const spellings = [...new Set(rows.flatMap((row) => namesIn(row, type, separator)))];
  const keyOf = keysFor(spellings);
  const found = new Map<string, string>();
  for (const name of spellings) found.set(keyOf(name), found.has(keyOf(name)) ? keyOf(name) : name);
  const names = [...found.values()];
  const least = type === "multi" ? 1 : 2;
  if (names.length < least) {
    throw new Error(
      `finetune classify: expected at least ${least} labels in column ${label}, got ${shortened(names.join(", ")) || "none"}`,
    );
  }
  const byText = (a: string, b: string) => (a < b ? -1 : 1);
  if (names.every(isNumeric)) return names.sort((a, b) => Number(a) - Number(b) || byText(a, b));
  // O first, B-X before I-X, as is usual for tags.
  return names.sort((a, b) => Number(b === "O") - Number(a === "O") || byText(a, b));
}

function labelled(rows: LabelledRow[], { type, labels }: Problem, source: LabelledSource): LabelledInputs {
  const keyOf = keysFor(labels);
  const numbers = new Map(labels.map((name, i) => [keyOf(name), i]));
  const words: string[][] = [];
  const places = rows.map(({ where }) => where);
  const data: LabelledInputs = { inputs: [], labels: [], places, ...(type === "tokens" && { words }) };
  for (const row of rows) {
    const { text, pair, label, where } = row;
    if (type === "tokens") {
      const own = Array.isArray(text)
        ? text.map((word) => exactText(word, `${where}: column ${source.text}`))
        : textOf(text, source.text, where).split(/\s+/).filter(Boolean);
      words.push(own);
      data.inputs.push(own.join(" "));
    } else {
      const first = textOf(text, source.text, where);
      data.inputs.push(source.pair === undefined ? first : { text: first, pair: textOf(pair, source.pair, where) });
    }
    if (type === "regression") {
      if (!isNumeric(label))
        throw new Error(`${where}: expected a number in column ${source.label}, got ${shown(label)}`);
      data.labels.push(Number(label));
      continue;
    }
    const found = namesIn(row, type, source.separator).map((name) => {
      const number = numbers.get(keyOf(name));
      if (number !== undefined) return number;
      throw new Error(
        `${where}: expected a label of the training data (${shortened(labels.slice(0, 20).join(", "))}), got ${shortened(name)}`,
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
  throw new Error(`${where}: expected text in column ${column}, got ${shown(value)}`);
}
