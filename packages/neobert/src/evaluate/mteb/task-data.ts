// A task's data in the form that its evaluator takes, out of rows with mteb's columns. Data sets differ in whether a row is a
// text, a pair, or a whole list of them; both forms are read.

import { exactText } from "../../data/read/json-values.js";
import { shown } from "../../files/checked.js";
import { type Document, DocumentStore } from "../evaluators/documents.js";
import { type MtebTask, partsOf, type TaskType } from "./mteb-tasks.js";
import { numberOf, readRows, type Source, streamRows, type TaskRow } from "./source.js";
import { stratifiedSample } from "./stratified.js";

type Label = string | number;
export interface LabelledPart {
  texts: string[];
  labels: Label[];
}

export type TaskData =
  | { type: "Classification"; train: LabelledPart; test: LabelledPart }
  | { type: "Clustering"; sets: { sentences: string[]; labels: Label[] }[] }
  | { type: "PairClassification"; sentences1: string[]; sentences2: string[]; labels: number[] }
  | { type: "Reranking"; samples: { query: string | string[]; positive: string[]; negative: string[] }[] }
  | { type: "Retrieval"; corpus: DocumentStore; queries: Document[]; judgements: Map<string, Map<string, number>> }
  | { type: "STS"; sentences1: string[]; sentences2: string[]; scores: number[]; min: number; max: number }
  | { type: "Summarization"; samples: { human: string[]; machine: string[]; relevance: number[] }[] };

/** The parts of a task's data by name, each from one source or from several side by side. */
export type TaskSources = Readonly<Record<string, Source | readonly Source[]>>;

/** Reads a task's data. Rejects naming the file, the row and the column that is missing or of another kind. */
export async function readTaskData(task: MtebTask, sources: TaskSources): Promise<TaskData> {
  if (task.type === "Retrieval") return readRetrieval(task, sources);
  const parts: Record<string, TaskRow[]> = {};
  for (const part of partsOf(task.type)) {
    parts[part] = await readRows(sources[part]!);
    if (parts[part].length === 0) throw noRows(task, part);
  }
  return readers[task.type](parts, task);
}

const noRows = ({ name }: MtebTask, part: string) => new Error(`${name}: expected rows in its part ${part}, got none`);

/** Row by row: a corpus may have millions of documents, and queries that nobody has judged are many. */
async function readRetrieval(task: MtebTask, { corpus, queries, qrels }: TaskSources): Promise<TaskData> {
  const judgements = new Map<string, Map<string, number>>();
  for await (const row of streamRows(qrels!)) {
    const id = idOf(row, "query");
    if (!judgements.has(id)) judgements.set(id, new Map());
    judgements.get(id)!.set(idOf(row, "document"), Math.trunc(scoreOf(row, "score")));
  }
  if (judgements.size === 0) throw noRows(task, "qrels");
  const judged: Document[] = [];
  let asked = 0;
  for await (const row of streamRows(queries!)) {
    asked++;
    const query = { id: idOf(row, "id"), text: textOf(row, "text") };
    if (judgements.has(query.id)) judged.push(query);
  }
  if (asked === 0) throw noRows(task, "queries");
  const documents = new DocumentStore();
  for await (const row of streamRows(corpus!)) {
    documents.add({ id: idOf(row, "id"), text: `${row.values.title ?? ""} ${textOf(row, "text")}` });
  }
  if (documents.length === 0) throw noRows(task, "corpus");
  return { type: "Retrieval", corpus: documents, queries: judged, judgements };
}

const readers: Record<
  Exclude<TaskType, "Retrieval">,
  (parts: Record<string, TaskRow[]>, task: MtebTask) => TaskData
> = {
  Classification: ({ train, test }, task) => {
    const sides = [train!, test!].map(
      (rows): LabelledPart => ({
        texts: rows.map((row) => textOf(row, "text")),
        labels: rows.map((row) => labelOf(row, "label")),
      }),
    ) as [LabelledPart, LabelledPart];
    const numeric = sides.every(({ labels }) =>
      labels.every((label) => /^-?\d+$/.test(String(label)) && Number.isSafeInteger(Number(label))),
    );
    const [trainSide, testSide] = numeric
      ? (sides.map(({ texts, labels }) => ({ texts, labels: labels.map(Number) })) as [LabelledPart, LabelledPart])
      : sides;
    return { type: "Classification", train: trainSide, test: cut(testSide, task.testRows) };
  },
  Clustering: ({ test }) => {
    const sets = test!.map((row) => {
      checkAligned(row, "sentences", "labels");
      return { sentences: each(row, "sentences", textOf), labels: each(row, "labels", labelOf) };
    });
    const together = {
      sentences: sets.flatMap(({ sentences }) => sentences),
      labels: sets.flatMap(({ labels }) => labels),
    };
    return { type: "Clustering", sets: Array.isArray(test![0]!.values.sentences) ? sets : [together] };
  },
  PairClassification: ({ test }) => {
    for (const row of test!) checkAligned(row, "sentence1", "sentence2", "labels");
    return {
      type: "PairClassification",
      sentences1: test!.flatMap((row) => each(row, "sentence1", textOf)),
      sentences2: test!.flatMap((row) => each(row, "sentence2", textOf)),
      labels: test!.flatMap((row) => each(row, "labels", scoreOf)),
    };
  },
  Reranking: ({ test }) => ({
    type: "Reranking",
    samples:
      "document" in test![0]!.values
        ? groupByQuery(test!)
        : test!.map((row) => ({
            query: Array.isArray(row.values.query) ? each(row, "query", textOf) : textOf(row, "query"),
            positive: listOf(row, "positive", textOf),
            negative: listOf(row, "negative", textOf),
          })),
  }),
  STS: ({ test }, task) => ({
    type: "STS",
    sentences1: test!.map((row) => textOf(row, "sentence1")),
    sentences2: test!.map((row) => textOf(row, "sentence2")),
    scores: test!.map((row) => scoreOf(row, "score")),
    min: task.scoreRange[0],
    max: task.scoreRange[1],
  }),
  Summarization: ({ test }, task) => ({
    type: "Summarization",
    samples: test!.map((row) => {
      checkAligned(row, "machine", "relevance");
      const [min, max] = task.scoreRange;
      const scaled = listOf(row, "relevance", scoreOf).map((score) => (score - min) / (max - min));
      return { human: listOf(row, "human", textOf), machine: listOf(row, "machine", textOf), relevance: scaled };
    }),
  }),
};

/** The number of texts that are encoded at most, for a bar. */
export function countTexts(data: TaskData, task: MtebTask): number {
  switch (data.type) {
    case "Classification": {
      const labels = new Set(data.train.labels).size;
      return data.test.texts.length + 10 * Math.min(data.train.texts.length, labels * task.samplesPerLabel);
    }
    case "Clustering":
      return data.sets.reduce((sum, { sentences }) => sum + sentences.length, 0);
    case "PairClassification":
    case "STS":
      return 2 * data.sentences1.length;
    case "Reranking":
      return data.samples.reduce(
        (sum, { query, positive, negative }) => sum + [query].flat().length + positive.length + negative.length,
        0,
      );
    case "Retrieval":
      return data.corpus.length + data.queries.length;
    case "Summarization":
      return data.samples.reduce((sum, { human, machine }) => sum + human.length + machine.length, 0);
  }
}

function cut(side: LabelledPart, rows: number | undefined): LabelledPart {
  if (rows === undefined || rows >= side.texts.length) return side;
  const chosen = stratifiedSample(side.labels, rows);
  return { texts: chosen.map((i) => side.texts[i]!), labels: chosen.map((i) => side.labels[i]!) };
}

/** Rows of a query, a document and whether it is relevant, as a sample for each query in the order they come. */
function groupByQuery(rows: readonly TaskRow[]) {
  const samples = new Map<string, { query: string; positive: string[]; negative: string[] }>();
  for (const row of rows) {
    const query = textOf(row, "query");
    if (!samples.has(query)) samples.set(query, { query, positive: [], negative: [] });
    samples.get(query)![scoreOf(row, "label") > 0 ? "positive" : "negative"].push(textOf(row, "document"));
  }
  return [...samples.values()];
}

type Reader<Value> = (row: TaskRow, column: string) => Value;

/** The values of a row's list, or the one that stands there by itself. */
function each<Value>({ values, where }: TaskRow, column: string, read: Reader<Value>): Value[] {
  return [values[column]].flat().map((value) => read({ values: { [column]: value }, where }, column));
}

/** Throws where lists that stand side by side are of other lengths. */
function checkAligned({ values, where }: TaskRow, ...columns: string[]): void {
  const counts = columns.map((column) => [values[column]].flat().length);
  if (new Set(counts).size === 1) return;
  throw new Error(
    `${where}: expected as many of each of ${columns.join(", ")}, got ${counts.join(", ")}\nMend that row.`,
  );
}

function listOf<Value>(row: TaskRow, column: string, read: Reader<Value>): Value[] {
  if (Array.isArray(row.values[column])) return each(row, column, read);
  throw unlike(row, column, "a list");
}

function textOf(row: TaskRow, column: string): string {
  const value = row.values[column];
  if (typeof value === "string") return value;
  throw unlike(row, column, "a text");
}

const scoreOf = ({ values, where }: TaskRow, column: string) => numberOf(values[column], `${where}: ${column}`);

function labelOf(row: TaskRow, column: string): Label {
  const value = row.values[column];
  if (typeof value === "string" || (typeof value === "number" && !Number.isNaN(value))) return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint") return exactText(value, `${row.where}: ${column}`);
  throw unlike(row, column, "a text or a number as label");
}

function idOf({ values, where }: TaskRow, column: string): string {
  const value = values[column];
  return exactText(typeof value === "boolean" ? null : value, `${where}: ${column}`);
}

function unlike({ values, where }: TaskRow, column: string, wanted: string): Error {
  return new Error(
    `${where}: ${column}: expected ${wanted}, got ${shown(values[column])}\nMend that row, or name the right column.`,
  );
}
