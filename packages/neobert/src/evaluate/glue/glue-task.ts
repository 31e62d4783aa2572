// A task of GLUE or SuperGLUE as data: where its examples lie, how a record becomes texts, what its classes are called, how
// its answers are scored and how they are handed in. Every task is a classification or a regression of texts or pairs; one
// that chooses among candidates (COPA, ReCoRD) scores each as a pair of its own, in a group.

import type { DataRecord } from "../../data/read/records.js";

export interface Example {
  text: string;
  /** The second text of a pair. */
  pair?: string;
  /** Number of the class, or the score of a regression; undefined in test sets that keep it secret. */
  label?: number;
  /** What the benchmark calls it when answers are handed in. */
  id: number;
  /** File and row that it was read from, for errors. */
  where?: string;
  /** The question that this candidate answers, where several examples make one question. */
  group?: number;
  /** The candidate as it is handed in. */
  candidate?: string;
  /** The right answers of a question of ReCoRD. */
  answers?: readonly string[];
  /** Place among the parts of a larger question: paragraph, question, answer in MultiRC. */
  path?: readonly [paragraph: number, question: number, answer: number];
}

/** One answer for each example: the class, the score, or for candidates 1 where it is the one chosen and 0 elsewhere. */
export type Predictions = ArrayLike<number>;

export type TaskMetrics = Record<string, number>;

export type Split = "train" | "validation" | "test";

/** The files of one split of a local folder in the benchmark's own form, in the order of `parts`. */
export interface LocalFiles {
  /** Folder under the benchmark's; without extension `.gz`, which is understood too. */
  folder: string;
  files: Partial<Record<Split, readonly string[]>>;
  /** Files of a split that have no line of column names: the columns are 0, 1, 2 ... */
  withoutHeader?: readonly Split[];
}

export interface BenchmarkTask {
  /** The configuration's name on the Hub, and the key in result files. */
  id: string;
  /** The name in papers. */
  name: string;
  kind: "classification" | "regression";
  /** Names of the classes by number, as on the Hub. */
  labels: readonly string[];
  /** Names of the splits' parts on the Hub: MNLI's validation has two. */
  splits: Partial<Record<Split, readonly string[]>>;
  local: LocalFiles;
  /** The examples of a record of either origin; `row` is its number in its file, from 0. */
  examples(record: DataRecord, row: number): Example[];
  /** Names of the scores, which are the official ones; the task's single number is their mean. */
  metrics: readonly string[];
  /** The scores of each part of a split, from 0 to 1 (correlations from -1). */
  score(parts: readonly { examples: readonly Example[]; predictions: Predictions }[]): TaskMetrics;
  /** Whether the paper starts it from the best MNLI checkpoint. */
  startsFromMnli?: boolean;
  /** The task whose model answers it, where it has no training data. */
  answeredBy?: string;
  /** Left out of the average. */
  isExtra?: boolean;
  /** The files of answers to the test set, one for each of its parts. */
  submission: { files: readonly string[]; format(examples: readonly Example[], predictions: Predictions): string };
}

export interface Benchmark {
  id: "glue" | "superglue";
  title: string;
  /** Data set on the Hub. */
  hub: { name: string };
  tasks: readonly BenchmarkTask[];
}

/** The task's single number: the mean of its official scores. */
export function mainScore(task: Pick<BenchmarkTask, "metrics">, scores: TaskMetrics): number {
  return task.metrics.reduce((sum, name) => sum + scores[name]!, 0) / task.metrics.length;
}

/** What a model's outputs answer: the highest class, the value, or the best candidate of each group. Outputs [n, width]. */
export function predictionsOf(examples: readonly Example[], outputs: ArrayLike<number>, width: number): Float64Array {
  const predictions = new Float64Array(examples.length);
  const at = (row: number, column: number) => outputs[row * width + column]!;
  if (width === 1) return predictions.map((_, row) => at(row, 0));
  if (examples[0]?.group === undefined) {
    return predictions.map((_, row) => {
      let best = 0;
      for (let column = 1; column < width; column++) if (at(row, column) > at(row, best)) best = column;
      return best;
    });
  }
  const best = new Map<number, number>();
  const margin = (row: number) => at(row, 1) - at(row, 0);
  for (const [row, { group }] of examples.entries()) {
    const leader = best.get(group!);
    if (leader === undefined || margin(row) > margin(leader)) best.set(group!, row);
  }
  for (const row of best.values()) predictions[row] = 1;
  return predictions;
}

/** The task of this name, in any case and with or without hyphens; throws naming the known ones. */
export function taskOf({ title, tasks }: Benchmark, name: string): BenchmarkTask {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, "");
  const found = tasks.find(({ id, name: known }) => [id, known].some((one) => plain(one) === plain(name)));
  if (found) return found;
  throw new Error(`${title}: expected one of the tasks ${tasks.map(({ id }) => id).join(", ")}, got ${name}`);
}
