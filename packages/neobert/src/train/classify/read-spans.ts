// Questions with the places of their answers in a context, out of records as SQuAD has them. Answers are an object of lists
// (`{ text: [...], answer_start: [...] }`), a list of objects, or a text with its start in a column of its own; no answer is
// an empty list or text. Starts count code points, as Python does; here they become UTF-16 places.

import type { DataRecord, RecordRow } from "../../data/read/records.js";
import { shortened, shown } from "../../files/checked.js";
import type { LabelledInputs } from "./examples.js";

/** Columns of questions and answers. */
export interface SpanColumns {
  question: string;
  context: string;
  answers: string;
  answerStart: string;
}

interface GivenAnswer {
  text: unknown;
  start: unknown;
}

/** Whether a record is a question with its answers. */
export const isSpanRecord = (record: DataRecord, { question, context, answers }: SpanColumns) =>
  [question, context, answers].every((column) => Object.hasOwn(record, column));

/** The questions of records. Throws naming the record where an answer does not stand at its place. */
export function labelledSpans(rows: readonly RecordRow[], columns: SpanColumns): LabelledInputs {
  const places = rows.map(({ where }) => where);
  const data = { inputs: [], labels: [], answers: [], places } as Omit<Required<LabelledInputs>, "words">;
  for (const { record, where } of rows) {
    const text = textIn(record, columns.question, where);
    const pair = textIn(record, columns.context, where);
    const answers = answersIn(record, columns, where).map((answer) => placeOf(answer, pair, where));
    data.inputs.push({ text, pair });
    data.labels.push(answers[0] ? [answers[0].start, answers[0].end] : []);
    data.answers.push(answers.map(({ text }) => text));
  }
  return data;
}

function valueIn(record: DataRecord, column: string, where: string): unknown {
  if (Object.hasOwn(record, column)) return record[column];
  throw new Error(
    `${where}: expected a column ${column}, got ${shortened(Object.keys(record).join(", "))}\n` +
      "Name it with `question`, `context`, `answers` or `answerStart`.",
  );
}

function textIn(record: DataRecord, column: string, where: string): string {
  const value = valueIn(record, column, where);
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`${where}: expected text in column ${column}, got ${shown(value)}`);
}

function answersIn(record: DataRecord, { answers, answerStart }: SpanColumns, where: string): GivenAnswer[] {
  const value = valueIn(record, answers, where);
  if (value === null || value === undefined || value === "") return [];
  if (typeof value === "string") return [{ text: value, start: valueIn(record, answerStart, where) }];
  if (Array.isArray(value)) return value.map((one) => ({ text: Object(one).text, start: Object(one).answer_start }));
  const { text, answer_start: starts } = Object(value) as { text?: unknown; answer_start?: unknown };
  if (Array.isArray(text) && Array.isArray(starts) && text.length === starts.length) {
    return text.map((text, i) => ({ text, start: starts[i] }));
  }
  throw new Error(
    `${where}: expected answers as { text: [...], answer_start: [...] } of equal length, or a text, got ${shown(value)}`,
  );
}

/** The answer without spaces around it, and its place in UTF-16 units. */
function placeOf({ text: given, start }: GivenAnswer, context: string, where: string) {
  const codePoints = typeof start === "string" && start.trim() !== "" ? Number(start) : start;
  if (typeof given !== "string" || given.trim() === "" || !Number.isInteger(codePoints) || Number(codePoints) < 0) {
    throw new Error(`${where}: expected an answer with a text and its start, got ${shown({ text: given, start })}`);
  }
  let place = 0;
  for (let i = 0; i < Number(codePoints) && place < context.length; i++) {
    place += context.codePointAt(place)! > 0xffff ? 2 : 1;
  }
  const there = context.slice(place, place + given.length);
  if (there !== given) {
    throw new Error(
      `${where}: expected the answer ${shown(given)} at ${codePoints} of its context, got ${shown(there)}\n` +
        "Starts count characters (code points) from 0.",
    );
  }
  const text = given.trim();
  const begin = place + given.indexOf(text);
  return { text, start: begin, end: begin + text.length };
}
