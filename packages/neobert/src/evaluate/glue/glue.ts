// GLUE (Wang et al. 2019, arXiv 1804.07461) as data. Records come from the Hub (nyu-mll/glue, parquet, classes as numbers)
// or from a folder as the benchmark hands it out (TSV without quotes, classes as numbers or words, other column names). The
// average is over eight tasks, as in the NeoBERT paper: WNLI and the diagnostic set are extras.

import type { DataRecord } from "../../data/read/records.js";
import { type Answered, accuracyOf, correlationsOf, f1Of, matthewsOf } from "./glue-metrics.js";
import type { Benchmark, BenchmarkTask, Example, Predictions, Split } from "./glue-task.js";

const tsv = { train: ["train.tsv"], validation: ["dev.tsv"], test: ["test.tsv"] };
const entailment = ["entailment", "not_entailment"];

/** The first of some columns that the record has. */
function textOf(record: DataRecord, columns: readonly string[]): string {
  for (const column of columns) if (typeof record[column] === "string") return record[column];
  throw new Error(`glue: expected a column ${columns.join(" or ")}, got ${Object.keys(record).join(", ")}`);
}

/** The class of a name or number; the Hub marks secret ones by -1, the benchmark's own files leave them out. */
export function labelOf(value: unknown, labels: readonly string[]): number | undefined {
  if (value === undefined || value === null || value === "" || value === -1 || value === "-1") return undefined;
  const named = labels.indexOf(String(value).toLowerCase());
  const label = named >= 0 ? named : Number(value);
  if (Number.isInteger(label) && label >= 0 && label < labels.length) return label;
  throw new Error(`expected a label of ${labels.join(", ")}, got ${JSON.stringify(value)}`);
}

interface Columns {
  text: readonly string[];
  pair?: readonly string[];
  label?: readonly string[];
}

/** Reads records by their columns; several names for a column are those of the different origins. */
function byColumns({ text, pair, label = ["label"] }: Columns, labels: readonly string[], kind: BenchmarkTask["kind"]) {
  return (record: DataRecord, row: number): Example[] => {
    const column = label.find((name) => record[name] !== undefined);
    const value = column === undefined ? undefined : record[column];
    const score = value === undefined || value === "" || Number(value) < 0 ? undefined : Number(value);
    const known = kind === "regression" ? score : labelOf(value, labels);
    const id = Number(record.idx ?? record.index ?? row);
    return [
      {
        text: textOf(record, text),
        id,
        ...(pair && { pair: textOf(record, pair) }),
        ...(known !== undefined && { label: known }),
      },
    ];
  };
}

type Given = Pick<BenchmarkTask, "id" | "name" | "labels"> &
  Columns &
  Partial<BenchmarkTask> & { answers?: "words"; files?: readonly string[] };

/** Unless said: a classification scored by its one metric, with the files of its name. */
function task({ text, pair, label, answers, files, ...given }: Given): BenchmarkTask {
  const { name, labels, kind = "classification", metrics = ["accuracy"] } = given;
  return {
    kind,
    metrics,
    score: ([part]) => Object.fromEntries(metrics.map((metric) => [metric, scores[metric]!(part!)])),
    splits: { train: ["train"], validation: ["validation"], test: ["test"] },
    local: { folder: name, files: tsv },
    ...given,
    examples: byColumns({ text, ...(pair && { pair }), ...(label && { label }) }, labels, kind),
    submission: {
      files: files ?? [`${name}.tsv`],
      format: (examples, predictions) => table(examples, predictions, kind, answers && labels),
    },
  };
}

/** "index<TAB>prediction": class words where the benchmark wants them, else numbers; a similarity stays from 0 to 5. */
function table(
  examples: readonly Example[],
  predictions: Predictions,
  kind: BenchmarkTask["kind"],
  words: readonly string[] | undefined,
): string {
  const shown = (value: number) => {
    if (kind === "regression") return Math.min(5, Math.max(0, value)).toFixed(3);
    return words ? words[value]! : String(value);
  };
  const lines = examples.map((_, i) => `${i}\t${shown(predictions[i]!)}`);
  return `${["index\tprediction", ...lines].join("\n")}\n`;
}

const scores: Record<string, (part: Answered) => number> = { accuracy: accuracyOf, f1: f1Of, matthews: matthewsOf };
const matched = (split: Split | "dev") => [`${split}_matched`, `${split}_mismatched`];

const tasks: BenchmarkTask[] = [
  task({
    id: "cola",
    name: "CoLA",
    labels: ["unacceptable", "acceptable"],
    metrics: ["matthews"],
    text: ["sentence", "3"],
    label: ["label", "1"],
    local: { folder: "CoLA", files: tsv, withoutHeader: ["train", "validation"] },
  }),
  task({ id: "sst2", name: "SST-2", labels: ["negative", "positive"], text: ["sentence"] }),
  task({
    id: "mrpc",
    name: "MRPC",
    labels: ["not_equivalent", "equivalent"],
    metrics: ["accuracy", "f1"],
    startsFromMnli: true,
    text: ["sentence1", "#1 String"],
    pair: ["sentence2", "#2 String"],
    label: ["label", "Quality"],
  }),
  task({
    id: "stsb",
    name: "STS-B",
    kind: "regression",
    labels: [],
    metrics: ["pearson", "spearman"],
    startsFromMnli: true,
    text: ["sentence1"],
    pair: ["sentence2"],
    label: ["label", "score"],
    score: ([part]) => correlationsOf(part!),
  }),
  task({
    id: "qqp",
    name: "QQP",
    labels: ["not_duplicate", "duplicate"],
    metrics: ["accuracy", "f1"],
    text: ["question1"],
    pair: ["question2"],
    label: ["label", "is_duplicate"],
  }),
  task({
    id: "mnli",
    name: "MNLI",
    labels: ["entailment", "neutral", "contradiction"],
    metrics: ["accuracyMatched", "accuracyMismatched"],
    score: ([first, second]) => ({ accuracyMatched: accuracyOf(first!), accuracyMismatched: accuracyOf(second!) }),
    text: ["premise", "sentence1"],
    pair: ["hypothesis", "sentence2"],
    label: ["label", "gold_label"],
    splits: { train: ["train"], validation: matched("validation"), test: matched("test") },
    local: {
      folder: "MNLI",
      files: {
        train: ["train.tsv"],
        validation: matched("dev").map((name) => `${name}.tsv`),
        test: matched("test").map((name) => `${name}.tsv`),
      },
    },
    answers: "words",
    files: ["MNLI-m.tsv", "MNLI-mm.tsv"],
  }),
  task({
    id: "qnli",
    name: "QNLI",
    labels: entailment,
    text: ["question"],
    pair: ["sentence"],
    startsFromMnli: true,
    answers: "words",
  }),
  task({
    id: "rte",
    name: "RTE",
    labels: entailment,
    text: ["sentence1"],
    pair: ["sentence2"],
    startsFromMnli: true,
    answers: "words",
  }),
  task({
    id: "wnli",
    name: "WNLI",
    labels: ["not_entailment", "entailment"],
    isExtra: true,
    text: ["sentence1"],
    pair: ["sentence2"],
  }),
  task({
    id: "ax",
    name: "AX",
    labels: ["entailment", "neutral", "contradiction"],
    metrics: ["matthews"],
    isExtra: true,
    answeredBy: "mnli",
    answers: "words",
    text: ["premise", "sentence1"],
    pair: ["hypothesis", "sentence2"],
    splits: { test: ["test"] },
    local: { folder: "diagnostic", files: { test: ["diagnostic.tsv"] } },
  }),
];

export const glue: Benchmark = { id: "glue", title: "GLUE", hub: { name: "nyu-mll/glue" }, tasks };
