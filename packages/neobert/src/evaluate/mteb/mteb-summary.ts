// Results as tables: a model's tasks by category, and several models side by side. A mean says what it is over; the mean of
// the benchmark is given when all its 56 tasks have a score, and a task that failed is never left out in silence.

import type { MtebReport, TaskOutcome } from "./evaluate-mteb.js";
import { mtebTasks, type TaskType, taskTypes } from "./mteb-tasks.js";

export interface Summary {
  name: string;
  /** By type: the mean of the benchmark's tasks that have a score (x 100), and how many of how many. */
  categories: { type: TaskType; mean: number | null; scored: number; of: number }[];
  /** Main scores x 100 by task, the benchmark's and others. */
  tasks: Record<string, number>;
  /** The mean over the benchmark's tasks that have a score, and how many they are of the 56. */
  mean: number | null;
  scored: number;
  failures: { task: string; message: string }[];
}

const benchmark = new Set(mtebTasks.map(({ name }) => name));
const meanOf = (scores: readonly number[]) =>
  scores.length === 0 ? null : scores.reduce((sum, score) => sum + score, 0) / scores.length;

export function summarize({ about, outcomes }: MtebReport): Summary {
  const tasks = Object.fromEntries(
    outcomes.flatMap(({ task, score }) => (score === undefined ? [] : [[task.name, 100 * score]])),
  ) as Record<string, number>;
  const scoresOf = (names: readonly string[]) => names.flatMap((name) => (name in tasks ? [tasks[name]!] : []));
  const categories = taskTypes.map((type) => {
    const names = mtebTasks.filter((task) => task.type === type).map(({ name }) => name);
    const scores = scoresOf(names);
    return { type, mean: meanOf(scores), scored: scores.length, of: names.length };
  });
  const all = scoresOf([...benchmark]);
  const failures = outcomes.flatMap(({ task, error }) => (error ? [{ task: task.name, message: error.message }] : []));
  return { name: about.name, categories, tasks, mean: meanOf(all), scored: all.length, failures };
}

const points = (value: number | null | undefined) => (value == null ? "-" : value.toFixed(2));

/** A task's line in the log: `STSBenchmark   82.03  12.1 s`. */
export function outcomeLine({ task, score, timing, kept, error }: TaskOutcome): string {
  const name = task.name.padEnd(40);
  if (error) return `${name} failed: ${error.message}`;
  const time = kept ? "kept" : `${timing!.seconds.toFixed(1)} s`;
  return `${name} ${points(100 * score!).padStart(6)}  ${task.mainScore.padEnd(16)} ${time.padStart(9)}`;
}

/** The models' categories and means as lines of a table, then their failures. */
export function summaryLines(summaries: readonly Summary[]): string[] {
  const rows: string[][] = [["", ...summaries.map(({ name }) => name)]];
  const wasRun = taskTypes.filter((_, i) => summaries.some(({ categories }) => categories[i]!.scored > 0));
  for (const type of wasRun) {
    const cells = summaries.map(({ categories }) => {
      const { mean, scored, of } = categories.find((category) => category.type === type)!;
      return scored === of ? points(mean) : `${points(mean)} (${scored} of ${of})`;
    });
    rows.push([type, ...cells]);
  }
  if (summaries.some(({ scored }) => scored > 0)) {
    const cells = summaries.map(({ mean, scored }) =>
      scored === benchmark.size ? points(mean) : `${points(mean)} (${scored} of ${benchmark.size})`,
    );
    rows.push(["Mean of MTEB tasks", ...cells]);
  }
  const own = [...new Set(summaries.flatMap(({ tasks }) => Object.keys(tasks)))].filter(
    (name) => !benchmark.has(name) && !isPart(name),
  );
  for (const name of own) rows.push([`${name} (not of MTEB)`, ...summaries.map(({ tasks }) => points(tasks[name]))]);
  const lines = aligned(rows);
  const shared = [...benchmark].filter((name) => summaries.every(({ tasks }) => name in tasks));
  if (summaries.length > 1 && summaries.some(({ scored }) => scored !== shared.length)) {
    const means = summaries.map(({ name, tasks }) => `${name} ${points(meanOf(shared.map((task) => tasks[task]!)))}`);
    lines.push(`Over the ${shared.length} tasks that every model has: ${means.join(", ")}`);
  } else if (summaries.some(({ scored }) => scored > 0 && scored < benchmark.size)) {
    lines.push(`The mean of MTEB (English, v1) is over all ${benchmark.size} tasks; this one is not.`);
  }
  for (const { name, failures } of summaries) {
    for (const { task, message } of failures) lines.push(`failed: ${name}: ${task}: ${message}`);
  }
  return lines;
}

/** Every task that any model has, a line each. */
export function comparisonLines(summaries: readonly Summary[]): string[] {
  const names = [
    ...new Set(
      summaries.flatMap(({ tasks, failures }) => [...Object.keys(tasks), ...failures.map(({ task }) => task)]),
    ),
  ];
  return aligned([
    ["", ...summaries.map(({ name }) => name)],
    ...names.map((name) => [name, ...summaries.map(({ tasks }) => points(tasks[name]))]),
  ]);
}

const parts = new Set(mtebTasks.flatMap(({ subtasks = [] }) => subtasks.map(({ name }) => name)));
const isPart = (name: string) => parts.has(name);

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2)))
      .join("")
      .trimEnd(),
  );
}
