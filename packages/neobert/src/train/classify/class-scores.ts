// How well each label is told from the others, on the held-out texts: precision, recall and F1 a label, and which labels were
// taken for which. Of the best evaluation they are in the run's folder, `scores.json`, which the report draws.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.js";
import type { Examples, LabelledWords } from "./examples.js";
import { IGNORED, type Problem } from "./problem.js";
import { highest } from "./problem-scores.js";

export interface LabelScore {
  label: string;
  precision: number;
  recall: number;
  f1: number;
  /** Texts, or words, that have the label. */
  count: number;
}

export interface ClassScores {
  /** The step that the model was evaluated after. */
  step: number;
  labels: LabelScore[];
  /** How often row i's label was given label j; absent where a text may have several. */
  confusion?: number[][];
}

const scoresFile = (out: string) => join(out, "scores.json");
const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);

/**
 * Of numbers and answers, which have no labels to tell apart, undefined. A word that the model does not see is given O, or no
 * label where there is no O, as in the scores of all labels together.
 */
export function classScoresOf(
  problem: Problem,
  logits: readonly Float32Array[],
  examples: Examples,
  step: number,
): ClassScores | undefined {
  const { type, labels } = problem;
  if (type === "regression" || type === "spans") return undefined;
  const L = labels.length;
  const [hits, actual, given] = [0, 1, 2].map(() => new Array<number>(L).fill(0)) as [number[], number[], number[]];
  const confusion = labels.map(() => new Array<number>(L).fill(0));
  const count = (label: number, isTrue: boolean, isGiven: boolean) => {
    actual[label]! += Number(isTrue);
    given[label]! += Number(isGiven);
    hits[label]! += Number(isTrue && isGiven);
  };
  const meet = (expected: number, got: number) => {
    confusion[expected]![got]!++;
    count(expected, true, got === expected);
    if (got !== expected) count(got, false, true);
  };
  const unseen = labels.indexOf("O");
  const meetWords = (row: Float32Array, { labels: expected, tokens }: LabelledWords) => {
    for (const [word, label] of expected.entries()) {
      const token = tokens[word];
      const got = token === undefined ? unseen : highest(row.subarray(token * L, (token + 1) * L));
      if (label !== IGNORED && got >= 0) meet(label, got);
      else if (label !== IGNORED) count(label, true, false);
    }
  };
  for (const [text, row] of logits.entries()) {
    if (type === "tokens") meetWords(row, examples.words(text));
    else if (type === "single") meet(examples.targets(text)[0]!, highest(row));
    else for (const [at, target] of examples.targets(text).entries()) count(at, target === 1, row[at]! > 0);
  }
  const scores = labels.map((label, i) => ({
    label,
    precision: share(hits[i]!, given[i]!),
    recall: share(hits[i]!, actual[i]!),
    f1: share(2 * hits[i]!, actual[i]! + given[i]!),
    count: actual[i]!,
  }));
  return { step, labels: scores, ...(type !== "multi" && { confusion }) };
}

export function writeClassScores(out: string, scores: ClassScores): void {
  writeFileAtomic(scoresFile(out), `${JSON.stringify(scores)}\n`);
}

export function readClassScores(out: string): ClassScores | undefined {
  return existsSync(scoresFile(out)) ? JSON.parse(readFileSync(scoresFile(out), "utf8")) : undefined;
}

/** More labels than this make a matrix that no terminal holds. */
const MOST_SHOWN = 12;

/** Tables of text: the labels' scores, and the confusion matrix where it is small. */
export function classScoreLines({ labels, confusion }: ClassScores): string[] {
  const width = Math.max(...labels.slice(0, 1000).map(({ label }) => label.length), 5);
  const cell = (value: string) => value.padStart(10);
  const lines = [
    ["label".padEnd(width), ...["precision", "recall", "F1", "held out"].map(cell)].join(""),
    ...labels.map(({ label, precision, recall, f1, count }) =>
      [label.padEnd(width), ...[precision, recall, f1].map((value) => cell(value.toFixed(2))), cell(`${count}`)].join(
        "",
      ),
    ),
  ];
  if (!confusion || labels.length > MOST_SHOWN) return lines;
  const names = labels.map(({ label }) => (label.length > 9 ? `${label.slice(0, 8)}.` : label));
  return [
    ...lines,
    "",
    `${"true".padEnd(width)}${cell("given:")}`,
    ["".padEnd(width), ...names.map(cell)].join(""),
    ...confusion.map((row, i) => [labels[i]!.label.padEnd(width), ...row.map((times) => cell(`${times}`))].join("")),
  ];
}
