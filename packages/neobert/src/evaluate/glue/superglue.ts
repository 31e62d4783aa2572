// SuperGLUE (Wang et al. 2019, arXiv 1905.00537) as data: every task read as classification of texts or pairs. Records come
// from the Hub (aps/super_glue, flat, classes as numbers) or from the benchmark's own JSON lines (nested, classes as words).
// Candidates of COPA and ReCoRD, and answers of MultiRC, are pairs of their own. AX-b and AX-g are answered by RTE's model.

import type { DataRecord } from "../../data/read/records.js";
import { labelOf } from "./glue.js";
import {
  accuracyOf,
  choiceAccuracyOf,
  genderParity,
  macroF1Of,
  matthewsOf,
  multircScores,
  recordMeans,
} from "./glue-metrics.js";
import type { Benchmark, BenchmarkTask, Example, Predictions } from "./glue-task.js";

type Format = BenchmarkTask["submission"]["format"];

const truth = ["false", "true"];
const entailment = ["entailment", "not_entailment"];
const threeWay = ["entailment", "contradiction", "neutral"];

const text = (record: DataRecord, key: string): string => {
  if (typeof record[key] === "string") return record[key];
  throw new Error(`superglue: expected text under ${key}, got ${Object.keys(record).join(", ")}`);
};
const inside = (value: unknown) => (value ?? {}) as DataRecord;
const list = (value: unknown) => (value ?? []) as DataRecord[];
const withLabel = (label: number | undefined) => (label === undefined ? {} : { label });

/** One example a record, its texts made by `texts`. */
function plain(labels: readonly string[], texts: (record: DataRecord) => { text: string; pair?: string }) {
  return (record: DataRecord, row: number): Example[] => [
    { ...texts(record), ...withLabel(labelOf(record.label, labels)), id: Number(record.idx ?? row) },
  ];
}

const linesOf = (records: readonly object[]) => `${records.map((record) => JSON.stringify(record)).join("\n")}\n`;

/** A line an example; `shown` are its labels as the benchmark wants them. */
const lineEach =
  (shown: readonly string[]): Format =>
  (examples, predictions) =>
    linesOf(examples.map(({ id }, i) => ({ idx: id, label: shown[predictions[i]!]! })));

/** A line a question with its chosen candidate, in the questions' order. */
const lineChosen =
  (label: (candidate: string) => string | number): Format =>
  (examples, predictions) => {
    const chosen = examples.filter((_, i) => predictions[i] === 1);
    return linesOf(chosen.map(({ id, candidate }) => ({ idx: id, label: label(candidate!) })));
  };

function copaCandidates(record: DataRecord, row: number): Example[] {
  const label = labelOf(record.label, ["0", "1"]);
  const id = Number(record.idx ?? row);
  const asked = record.question === "cause" ? "What was the cause of this?" : "What happened as a result?";
  return ["choice1", "choice2"].map((key, choice) => ({
    text: `${text(record, "premise")} ${asked}`,
    pair: text(record, key),
    ...withLabel(label === undefined ? undefined : Number(label === choice)),
    id,
    group: row,
    candidate: String(choice),
  }));
}

function multircAnswers(record: DataRecord, row: number): Example[] {
  if (typeof record.paragraph === "string") {
    const { paragraph = row, question = 0, answer = 0 } = inside(record.idx) as Record<string, number>;
    return [
      {
        text: `${record.paragraph} ${text(record, "question")}`,
        pair: text(record, "answer"),
        ...withLabel(labelOf(record.label, truth)),
        id: paragraph,
        path: [paragraph, question, answer],
      },
    ];
  }
  const passage = inside(record.passage);
  const paragraph = Number(record.idx ?? row);
  return list(passage.questions).flatMap((question) =>
    list(question.answers).map((answer) => ({
      text: `${text(passage, "text")} ${text(question, "question")}`,
      pair: text(answer, "text"),
      ...withLabel(labelOf(answer.label, truth)),
      id: paragraph,
      path: [paragraph, Number(question.idx), Number(answer.idx)] as const,
    })),
  );
}

/** A pair for each entity of the passage, put into the place of the query's @placeholder. */
function recordCandidates(record: DataRecord, row: number): Example[] {
  const passage = typeof record.passage === "string" ? record.passage : text(inside(record.passage), "text");
  const candidates = (query: string, entities: string[], answers: string[] | undefined, id: number, group: number) =>
    [...new Set(entities)].map((candidate) => ({
      // The passage's headings are sentences of their own; @highlight marks where they begin.
      text: passage.replace(/(\.)?\n@highlight\n/g, ". "),
      pair: query.replaceAll("@placeholder", candidate),
      ...withLabel(answers && Number(answers.includes(candidate))),
      id,
      group,
      candidate,
      ...(answers && { answers }),
    }));
  if (Array.isArray(record.entities)) {
    const { query = row } = inside(record.idx) as Record<string, number>;
    const answers = record.answers as string[] | undefined;
    return candidates(
      text(record, "query"),
      record.entities as string[],
      answers?.length ? answers : undefined,
      query,
      row,
    );
  }
  const entities = list(inside(record.passage).entities).map(({ start, end }) =>
    [...passage].slice(Number(start), Number(end) + 1).join(""),
  );
  return list(record.qas).flatMap((question) => {
    const answers =
      question.answers === undefined ? undefined : list(question.answers).map((answer) => text(answer, "text"));
    const id = Number(question.idx);
    return candidates(text(question, "query"), entities, answers as string[] | undefined, id, id);
  });
}

/** The text with the noun phrase between asterisks and the pronoun between underscores. */
function markedSpans(record: DataRecord): string {
  const { span1_index, span1_text, span2_index, span2_text } = record.target ? inside(record.target) : record;
  const words = text(record, "text").split(/\s+/);
  const spans = [
    { start: Number(span1_index), length: String(span1_text).split(/\s+/).length, mark: "*" },
    { start: Number(span2_index), length: String(span2_text).split(/\s+/).length, mark: "_" },
  ];
  for (const { start, length, mark } of spans) {
    const last = Math.min(start + length, words.length) - 1;
    words[start] = `${mark} ${words[start]}`;
    words[last] = `${words[last]} ${mark}`;
  }
  return words.join(" ");
}

const premises = (record: DataRecord) => ({ text: text(record, "premise"), pair: text(record, "hypothesis") });

type Given = Pick<BenchmarkTask, "id" | "name" | "labels" | "examples"> & Partial<BenchmarkTask> & { format?: Format };

/** Unless said: scored by accuracy, its files and its answers named as it is, with its labels. */
function task({ format, ...given }: Given): BenchmarkTask {
  const { name, labels } = given;
  return {
    kind: "classification",
    metrics: ["accuracy"],
    score: ([part]) => ({ accuracy: accuracyOf(part!) }),
    splits: { train: ["train"], validation: ["validation"], test: ["test"] },
    local: { folder: name, files: { train: ["train.jsonl"], validation: ["val.jsonl"], test: ["test.jsonl"] } },
    submission: { files: [`${name}.jsonl`], format: format ?? lineEach(labels) },
    ...given,
  };
}

/** A set for diagnosis, which RTE's model answers. */
function diagnostic(given: Given): BenchmarkTask {
  const local = { folder: given.name, files: { test: [`${given.name}.jsonl`] } };
  return task({ splits: { test: ["test"] }, answeredBy: "rte", isExtra: true, local, ...given });
}

const tasks: BenchmarkTask[] = [
  task({
    id: "boolq",
    name: "BoolQ",
    labels: truth,
    examples: plain(truth, (record) => ({ text: text(record, "question"), pair: text(record, "passage") })),
  }),
  task({
    id: "cb",
    name: "CB",
    labels: threeWay,
    metrics: ["accuracy", "f1"],
    examples: plain(threeWay, premises),
    score: ([part]) => ({ accuracy: accuracyOf(part!), f1: macroF1Of(part!) }),
  }),
  task({
    id: "copa",
    name: "COPA",
    labels: ["wrong", "right"],
    examples: copaCandidates,
    score: ([part]) => ({ accuracy: choiceAccuracyOf(part!) }),
    format: lineChosen(Number),
  }),
  task({
    id: "multirc",
    name: "MultiRC",
    labels: truth,
    metrics: ["f1a", "exactMatch"],
    examples: multircAnswers,
    score: ([part]) => multircScores(part!),
    format: multircLines,
  }),
  task({
    id: "record",
    name: "ReCoRD",
    labels: ["wrong", "right"],
    metrics: ["f1", "exactMatch"],
    examples: recordCandidates,
    score: ([part]) => recordMeans(part!),
    format: lineChosen(String),
  }),
  task({ id: "rte", name: "RTE", labels: entailment, examples: plain(entailment, premises) }),
  task({
    id: "wic",
    name: "WiC",
    labels: truth,
    examples: plain(truth, (record) => ({
      text: `${text(record, "word")}: ${text(record, "sentence1")}`,
      pair: text(record, "sentence2"),
    })),
  }),
  task({
    id: "wsc",
    name: "WSC",
    labels: truth,
    examples: plain(truth, (record) => ({ text: markedSpans(record) })),
    format: lineEach(["False", "True"]),
  }),
  diagnostic({
    id: "axb",
    name: "AX-b",
    labels: entailment,
    metrics: ["matthews"],
    examples: plain(entailment, (record) => ({ text: text(record, "sentence1"), pair: text(record, "sentence2") })),
    score: ([part]) => ({ matthews: matthewsOf(part!) }),
  }),
  diagnostic({
    id: "axg",
    name: "AX-g",
    labels: entailment,
    examples: plain(entailment, premises),
    score: ([part]) => ({ accuracy: accuracyOf(part!), genderParity: genderParity(part!) }),
  }),
];

/** A line a paragraph, with its questions and their answers inside. */
function multircLines(examples: readonly Example[], predictions: Predictions): string {
  const paragraphs = new Map<number, Map<number, { idx: number; label: number }[]>>();
  for (const [i, { path }] of examples.entries()) {
    const [paragraph, question, answer] = path!;
    const questions = paragraphs.get(paragraph) ?? new Map<number, { idx: number; label: number }[]>();
    paragraphs.set(paragraph, questions);
    questions.set(question, [...(questions.get(question) ?? []), { idx: answer, label: predictions[i]! }]);
  }
  return linesOf(
    Array.from(paragraphs, ([idx, questions]) => {
      return { idx, passage: { questions: Array.from(questions, ([idx, answers]) => ({ idx, answers })) } };
    }),
  );
}

export const superglue: Benchmark = { id: "superglue", title: "SuperGLUE", hub: { name: "aps/super_glue" }, tasks };
