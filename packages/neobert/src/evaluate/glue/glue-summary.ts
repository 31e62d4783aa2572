// What fine-tuning on a benchmark has found so far: the chosen point of each task's grid, its seeds with their mean and
// spread, the average, and what was not run. Pure functions; `glue.json` is `Summary` as it stands.

import { type Benchmark, type BenchmarkTask, mainScore, type TaskMetrics } from "./glue-task.js";
import type { GridPoint } from "./grid.js";

/** One finished run. */
export interface FinishedRun {
  task: string;
  point: GridPoint;
  seed: number;
  scores: TaskMetrics;
  /** Step of the best evaluation, and of the last. */
  bestStep: number;
  steps: number;
}

export interface TaskSummary {
  name: string;
  metrics: readonly string[];
  best: GridPoint;
  /** The model it began with: the one given, or one that had learnt MNLI. */
  startsFrom: "model" | "mnli";
  seeds: { seed: number; scores: TaskMetrics; main: number }[];
  mean: number;
  /** Deviation of the seeds (n - 1), 0 for a single one. */
  std: number;
  /** Every point that was tried, by the first seed. */
  tried: (GridPoint & { main: number })[];
}

export interface BenchmarkSummary {
  benchmark: Benchmark["id"];
  model: string;
  versions: Record<string, string>;
  settings: Record<string, unknown>;
  tasks: Record<string, TaskSummary>;
  /** Mean of the tasks' means, over those that were run; null before the first. */
  average: number | null;
  /** Tasks of the average that were not run, or not to their end. */
  missing: string[];
}

const isSame = (a: GridPoint, b: GridPoint) =>
  a.learningRate === b.learningRate && a.batchSize === b.batchSize && a.weightDecay === b.weightDecay;

/** The point with the best main score by the runs of `seed`, the first of equals; undefined where there is none. */
export function bestPoint(task: BenchmarkTask, runs: readonly FinishedRun[], seed: number): GridPoint | undefined {
  let best: FinishedRun | undefined;
  for (const run of runs) {
    if (run.task !== task.id || run.seed !== seed) continue;
    if (!best || mainScore(task, run.scores) > mainScore(task, best.scores)) best = run;
  }
  return best?.point;
}

export function summarizeTask(
  task: BenchmarkTask,
  runs: readonly FinishedRun[],
  { firstSeed, startsFrom }: { firstSeed: number; startsFrom: TaskSummary["startsFrom"] },
): TaskSummary | undefined {
  const best = bestPoint(task, runs, firstSeed);
  if (!best) return undefined;
  const own = runs.filter((run) => run.task === task.id);
  const seeds = own
    .filter(({ point }) => isSame(point, best))
    .map(({ seed, scores }) => ({ seed, scores, main: mainScore(task, scores) }))
    .sort((a, b) => a.seed - b.seed);
  const tried = own
    .filter(({ seed }) => seed === firstSeed)
    .map(({ point, scores }) => ({ ...point, main: mainScore(task, scores) }));
  const { mean, std } = spread(seeds.map(({ main }) => main));
  return { name: task.name, metrics: task.metrics, best, startsFrom, seeds, mean, std, tried };
}

export function spread(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)) };
}

/** The benchmark's average over the tasks that were run, and the names of those that it lacks. */
export function averageOf(
  { tasks }: Benchmark,
  found: Record<string, TaskSummary>,
): Pick<BenchmarkSummary, "average" | "missing"> {
  const counted = tasks.filter(({ isExtra }) => !isExtra);
  const means = counted.flatMap(({ id }) => found[id]?.mean ?? []);
  const missing = counted.filter(({ id }) => !found[id]).map(({ id }) => id);
  return { average: means.length === 0 ? null : means.reduce((sum, mean) => sum + mean, 0) / means.length, missing };
}

/** The summary as a table of text, scores times 100; what the average lacks is said under it. */
export function summaryTable({
  tasks,
  average,
  missing,
}: Pick<BenchmarkSummary, "tasks" | "average" | "missing">): string {
  const shown = (value: number) => (100 * value).toFixed(1);
  const rows = Object.values(tasks).map(({ name, metrics, best, seeds, mean, std, startsFrom }) => {
    const parts = metrics.map(
      (metric) => `${metric} ${shown(spread(seeds.map(({ scores }) => scores[metric]!)).mean)}`,
    );
    const { learningRate, batchSize, weightDecay } = best;
    const point = `${batchSize}, ${learningRate.toExponential()}, ${weightDecay.toExponential()}`;
    const score = seeds.length > 1 ? `${shown(mean)} ± ${shown(std)}` : shown(mean);
    return [name, score, String(seeds.length), parts.join(", "), point, startsFrom === "mnli" ? "MNLI" : ""];
  });
  if (average !== null)
    rows.push([missing.length > 0 ? "average of these" : "average", shown(average), "", "", "", ""]);
  const head = ["task", "score", "seeds", "by metric", "batch, rate, decay", "started from"];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  const note = missing.length > 0 ? `\nNot in the average, as not run: ${missing.join(", ")}.` : "";
  return `${[line(head), rule, ...rows.map(line)].join("\n")}\n${note}`;
}
