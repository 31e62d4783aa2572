// A task's data in the form that its evaluator takes, out of rows with mteb's columns. Data sets differ in whether a row is a
// text, a pair, or a whole list of them; both forms are read.

import { exactText } from "../../data/read/json-values.js";
import { shown } from "../../files/checked.js";
import { type Document, DocumentStore } from "../evaluators/documents.js";
import { type MtebTask, partsOf, type TaskType } from "./mteb-tasks.js";
import { numberOf, type Row, readRows, type Source, streamRows } from "./source.js";
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
  const parts: Record<string, Row[]> = {};
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
  for await (const { query, document, score } of streamRows(qrels!)) {
    const id = idOf(query, task);
    if (!judgements.has(id)) judgements.set(id, new Map());
    judgements.get(id)!.set(idOf(document, task), Math.trunc(numberOf(score, task.name)));
  }
  if (judgements.size === 0) throw noRows(task, "qrels");
  const judged: Document[] = [];
  let asked = 0;
  for await (const { id, text } of streamRows(queries!)) {
    asked++;
    const query = { id: idOf(id, task), text: textOf(text, task) };
    if (judgements.has(query.id)) judged.push(query);
  }
  if (asked === 0) throw noRows(task, "queries");
  const documents = new DocumentStore();
  for await (const { id, title, text } of streamRows(corpus!)) {
    documents.add({ id: idOf(id, task), text: `${title ?? ""} ${textOf(text, task)}` });
  }
  if (documents.length === 0) throw noRows(task, "corpus");
  return { type: "Retrieval", corpus: documents, queries: judged, judgements };
}

const readers: Record<Exclude<TaskType, "Retrieval">, (parts: Record<string, Row[]>, task: MtebTask) => TaskData> = {
  Classification: ({ train, test }, task) => {
    const sides = [train!, test!].map(
      (rows): LabelledPart => ({
        texts: rows.map(({ text }) => textOf(text, task)),
        labels: rows.map(({ label }) => labelOf(label, task)),
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
  Clustering: ({ test }, task) => {
    const lists = Array.isArray(test![0]!.sentences);
    const sets = lists ? test! : [listsOf(test!, ["sentences", "labels"])];
    return {
      type: "Clustering",
      sets: sets.map(({ sentences, labels }) => ({
        sentences: textsOf(sentences, task),
        labels: listOf(labels, task).map((label) => labelOf(label, task)),
      })),
    };
  },
  PairClassification: ({ test }, task) => {
    const { sentence1, sentence2, labels } = listsOf(test!, ["sentence1", "sentence2", "labels"]);
    return {
      type: "PairClassification",
      sentences1: textsOf(sentence1, task),
      sentences2: textsOf(sentence2, task),
      labels: numbersOf(labels, task),
    };
  },
  Reranking: ({ test }, task) => {
    const samples = "document" in test![0]! ? groupByQuery(test!, task) : test!;
    return {
      type: "Reranking",
      samples: samples.map(({ query, positive, negative }) => ({
        query: Array.isArray(query) ? textsOf(query, task) : textOf(query, task),
        positive: textsOf(positive, task),
        negative: textsOf(negative, task),
      })),
    };
  },
  STS: ({ test }, task) => ({
    type: "STS",
    sentences1: test!.map(({ sentence1 }) => textOf(sentence1, task)),
    sentences2: test!.map(({ sentence2 }) => textOf(sentence2, task)),
    scores: test!.map(({ score }) => numberOf(score, task.name)),
    min: task.scoreRange[0],
    max: task.scoreRange[1],
  }),
  Summarization: ({ test }, task) => ({
    type: "Summarization",
    samples: test!.map(({ human, machine, relevance }) => {
      const [min, max] = task.scoreRange;
      const scaled = numbersOf(relevance, task).map((score) => (score - min) / (max - min));
      return { human: textsOf(human, task), machine: textsOf(machine, task), relevance: scaled };
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

/** Lists over all rows: of rows that hold a value each, or lists of values. */
function listsOf(rows: readonly Row[], names: readonly string[]): Row {
  return Object.fromEntries(names.map((name) => [name, rows.flatMap((row) => row[name])]));
}

/** Rows of a query, a document and whether it is relevant, as a sample for each query in the order they come. */
function groupByQuery(rows: readonly Row[], task: MtebTask): Row[] {
  const samples = new Map<string, { query: string; positive: unknown[]; negative: unknown[] }>();
  for (const { query, document, label } of rows) {
    const text = textOf(query, task);
    if (!samples.has(text)) samples.set(text, { query: text, positive: [], negative: [] });
    samples.get(text)![numberOf(label, task.name) > 0 ? "positive" : "negative"].push(document);
  }
  return [...samples.values()];
}

function textOf(value: unknown, { name }: MtebTask): string {
  if (typeof value === "string") return value;
  throw new Error(`${name}: expected texts in its text columns, got ${shown(value)}`);
}

function listOf(value: unknown, { name }: MtebTask): unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${name}: expected a list, got ${shown(value)}`);
}

const textsOf = (value: unknown, task: MtebTask) => listOf(value, task).map((text) => textOf(text, task));
const numbersOf = (value: unknown, task: MtebTask) => listOf(value, task).map((one) => numberOf(one, task.name));

function labelOf(value: unknown, { name }: MtebTask): Label {
  if (typeof value === "string" || (typeof value === "number" && !Number.isNaN(value))) return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint") return exactText(value, name);
  throw new Error(`${name}: expected texts or numbers as labels, got ${shown(value)}`);
}

function idOf(value: unknown, { name }: MtebTask): string {
  return exactText(typeof value === "boolean" ? null : value, `${name}: ids`);
}
