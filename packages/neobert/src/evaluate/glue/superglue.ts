// SuperGLUE (Wang et al. 2019, arXiv 1905.00537) as data: every task read as classification of texts or pairs. Records come
// from the Hub (aps/super_glue, flat, classes as numbers) or from the benchmark's own JSON lines (nested, classes as words).
// Candidates of COPA and ReCoRD, and answers of MultiRC, are pairs of their own. AX-b and AX-g are answered by RTE's model.

import type { DataRecord } from "../../data/read/records.js";
import { labelOf } from "./glue.js";
import {
  type Answered,
  accuracyOf,
  choiceAccuracyOf,
  genderParity,
  macroF1Of,
  matthewsOf,
  multircScores,
  recordMeans,
} from "./glue-metrics.js";
import type { Benchmark, BenchmarkTask, Example, Predictions } from "./glue-task.js";

const hubSplits = { train: ["train"], validation: ["validation"], test: ["test"] };
const jsonl = { train: ["train.jsonl"], validation: ["val.jsonl"], test: ["test.jsonl"] };
const truth = ["false", "true"];
const entailment = ["entailment", "not_entailment"];

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

/** JSON lines with a record a question; `shown` is the label as the benchmark wants it. */
const jsonLines = (file: string, shown: (label: number) => string | number): BenchmarkTask["submission"] => {
  const line = ({ id }: Example, answer: number) => JSON.stringify({ idx: id, label: shown(answer) });
  return {
    files: [file],
    format: (examples, predictions) => `${examples.map((one, i) => line(one, predictions[i]!)).join("\n")}\n`,
  };
};

/** The chosen candidate of each question, in the questions' order. */
const chosen = (examples: readonly Example[], predictions: Predictions) =>
  examples.filter((_, i) => predictions[i] === 1);

const accuracyAlone = ([part]: readonly Answered[]) => ({ accuracy: accuracyOf(part!) });

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

const tasks: BenchmarkTask[] = [
  {
    id: "boolq",
    name: "BoolQ",
    kind: "classification",
    labels: truth,
    metrics: ["accuracy"],
    splits: hubSplits,
    local: { folder: "BoolQ", files: jsonl },
    examples: plain(truth, (record) => ({ text: text(record, "question"), pair: text(record, "passage") })),
    score: accuracyAlone,
    submission: jsonLines("BoolQ.jsonl", (label) => truth[label]!),
  },
  {
    id: "cb",
    name: "CB",
    kind: "classification",
    metrics: ["accuracy", "f1"],
    splits: hubSplits,
    labels: ["entailment", "contradiction", "neutral"],
    local: { folder: "CB", files: jsonl },
    examples: plain(["entailment", "contradiction", "neutral"], premises),
    score: ([part]) => ({ accuracy: accuracyOf(part!), f1: macroF1Of(part!) }),
    submission: jsonLines("CB.jsonl", (label) => ["entailment", "contradiction", "neutral"][label]!),
  },
  {
    id: "copa",
    name: "COPA",
    kind: "classification",
    labels: ["wrong", "right"],
    metrics: ["accuracy"],
    splits: hubSplits,
    local: { folder: "COPA", files: jsonl },
    examples: copaCandidates,
    score: ([part]) => ({ accuracy: choiceAccuracyOf(part!) }),
    submission: {
      files: ["COPA.jsonl"],
      format: (examples, predictions) =>
        `${chosen(examples, predictions)
          .map(({ id, candidate }) => JSON.stringify({ idx: id, label: Number(candidate) }))
          .join("\n")}\n`,
    },
  },
  {
    id: "multirc",
    name: "MultiRC",
    kind: "classification",
    labels: truth,
    metrics: ["f1a", "exactMatch"],
    splits: hubSplits,
    local: { folder: "MultiRC", files: jsonl },
    examples: multircAnswers,
    score: ([part]) => multircScores(part!),
    submission: { files: ["MultiRC.jsonl"], format: multircLines },
  },
  {
    id: "record",
    name: "ReCoRD",
    kind: "classification",
    labels: ["wrong", "right"],
    metrics: ["f1", "exactMatch"],
    splits: hubSplits,
    local: { folder: "ReCoRD", files: jsonl },
    examples: recordCandidates,
    score: ([part]) => recordMeans(part!),
    submission: {
      files: ["ReCoRD.jsonl"],
      format: (examples, predictions) =>
        `${chosen(examples, predictions)
          .map(({ id, candidate }) => JSON.stringify({ idx: id, label: candidate }))
          .join("\n")}\n`,
    },
  },
  {
    id: "rte",
    name: "RTE",
    kind: "classification",
    labels: entailment,
    metrics: ["accuracy"],
    splits: hubSplits,
    local: { folder: "RTE", files: jsonl },
    examples: plain(entailment, premises),
    score: accuracyAlone,
    submission: jsonLines("RTE.jsonl", (label) => entailment[label]!),
  },
  {
    id: "wic",
    name: "WiC",
    kind: "classification",
    labels: truth,
    metrics: ["accuracy"],
    splits: hubSplits,
    local: { folder: "WiC", files: jsonl },
    examples: plain(truth, (record) => ({
      text: `${text(record, "word")}: ${text(record, "sentence1")}`,
      pair: text(record, "sentence2"),
    })),
    score: accuracyAlone,
    submission: jsonLines("WiC.jsonl", (label) => truth[label]!),
  },
  {
    id: "wsc",
    name: "WSC",
    kind: "classification",
    labels: truth,
    metrics: ["accuracy"],
    splits: hubSplits,
    local: { folder: "WSC", files: jsonl },
    examples: plain(truth, (record) => ({ text: markedSpans(record) })),
    score: accuracyAlone,
    submission: jsonLines("WSC.jsonl", (label) => ["False", "True"][label]!),
  },
  {
    id: "axb",
    name: "AX-b",
    kind: "classification",
    labels: entailment,
    metrics: ["matthews"],
    splits: { test: ["test"] },
    answeredBy: "rte",
    isExtra: true,
    local: { folder: "AX-b", files: { test: ["AX-b.jsonl"] } },
    examples: plain(entailment, (record) => ({ text: text(record, "sentence1"), pair: text(record, "sentence2") })),
    score: ([part]) => ({ matthews: matthewsOf(part!) }),
    submission: jsonLines("AX-b.jsonl", (label) => entailment[label]!),
  },
  {
    id: "axg",
    name: "AX-g",
    kind: "classification",
    labels: entailment,
    metrics: ["accuracy"],
    splits: { test: ["test"] },
    answeredBy: "rte",
    isExtra: true,
    local: { folder: "AX-g", files: { test: ["AX-g.jsonl"] } },
    examples: plain(entailment, premises),
    score: ([part]) => ({ accuracy: accuracyOf(part!), genderParity: genderParity(part!) }),
    submission: jsonLines("AX-g.jsonl", (label) => entailment[label]!),
  },
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
  const lines = Array.from(paragraphs, ([idx, questions]) =>
    JSON.stringify({ idx, passage: { questions: Array.from(questions, ([idx, answers]) => ({ idx, answers })) } }),
  );
  return `${lines.join("\n")}\n`;
}

export const superglue: Benchmark = {
  id: "superglue",
  title: "SuperGLUE",
  hub: { name: "aps/super_glue" },
  tasks,
};
