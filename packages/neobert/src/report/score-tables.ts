// Scores by task or category, a bar a model: own ones full, published ones hollow, the spread over seeds as a whisker. MTEB,
// GLUE and comparisons are drawn by it.

import * as Plot from "@observablehq/plot";
import { summarize } from "../evaluate/mteb/mteb-summary.js";
import { mtebTasks } from "../evaluate/mteb/mteb-tasks.js";
import { across, type Chart, colorOf } from "./chart.js";
import { comparisonRows } from "./comparison.js";
import type { Comparison, Glue } from "./formats.js";
import { figure, type Section, type Table, type TableRow, tableHtml } from "./html.js";
import { mtebCategories, publishedGlue, publishedGlueTasks, publishedMteb } from "./published.js";
import type { MtebResults } from "./read-run.js";

interface ScoredSeries {
  name: string;
  /** In percent, one a group. */
  values: (number | null)[];
  errors?: (number | null)[];
  published?: boolean;
}

const LANE = 17;
const HEAD = 22;
const GAP = 8;
/** Published rows that are drawn; the table has all. */
const drawn = ["BERT base", "NeoBERT 4096"];

const one = (value: number | null | undefined) => (typeof value === "number" ? value.toFixed(1) : "–");

function barChart(title: string, groups: readonly string[], series: readonly ScoredSeries[]): Chart {
  const groupHeight = HEAD + LANE * series.length + GAP;
  const bars = groups.flatMap((group, g) =>
    series.flatMap(({ name, values, errors, published = false }, s) => {
      const value = values[g];
      if (typeof value !== "number") return [];
      const top = g * groupHeight + HEAD + s * LANE;
      const error = errors?.[g] ?? 0;
      const shown = `${one(value)}${error > 0 ? ` ± ${one(error)}` : ""}`;
      return [{ group, name, value, error, shown, published, series: s, top, middle: top + LANE / 2 - 1 }];
    }),
  );
  type Bar = (typeof bars)[number];
  const low = Math.min(0, ...bars.map(({ value, error }) => value - error));
  const high = Math.max(1, ...bars.map(({ value, error }) => value + error));
  const nameOf = ({ name, published }: ScoredSeries) => (published ? `${name} (published)` : name);
  return {
    title,
    description: series
      .map(
        (one_, s) =>
          `${nameOf(one_)}: ${bars
            .filter(({ series }) => series === s)
            .map(({ group, shown }) => `${group} ${shown}`)
            .join(", ")}`,
      )
      .join("; "),
    legend: series.map((one_, s) => ({ name: nameOf(one_), series: s, mark: one_.published ? "ring" : "dot" })),
    plot: (width) => ({
      height: groups.length * groupHeight + 48,
      marginLeft: 12,
      marginRight: 20,
      marginTop: 4,
      marginBottom: 44,
      // With room for the numbers.
      x: { ...across("percent", width), domain: [low, low + (high - low) * (width > 500 ? 1.12 : 1.35)] },
      y: { axis: null, domain: [0, groups.length * groupHeight], reverse: true },
      color: { type: "identity" },
      marks: [
        Plot.gridX({ ticks: width / 90, strokeOpacity: 0.15 }),
        Plot.rect(bars, {
          x1: 0,
          x2: "value",
          y1: "top",
          y2: ({ top }: Bar) => top + LANE - 4,
          strokeWidth: 1.5,
          fill: (bar: Bar) => (bar.published ? "var(--paper)" : colorOf(bar.series)),
          stroke: (bar: Bar) => colorOf(bar.series),
          title: ({ group, name, shown, published }: Bar) =>
            `${group}: ${name}${published ? " (published)" : ""} ${shown}`,
        }),
        Plot.link(
          bars.filter(({ error }) => error > 0),
          {
            x1: ({ value, error }: Bar) => value - error,
            x2: ({ value, error }: Bar) => value + error,
            y1: "middle",
            y2: "middle",
            stroke: () => "var(--ink)",
            strokeWidth: 1.5,
          },
        ),
        Plot.text(bars, {
          x: ({ value, error }: Bar) => Math.max(0, value + error),
          y: "middle",
          text: "shown",
          textAnchor: "start",
          dx: 5,
          fontVariant: "tabular-nums",
          fontSize: 11,
        }),
        Plot.text(
          groups.map((group, g) => ({ group, y: g * groupHeight + 11 })),
          { text: "group", y: "y", frameAnchor: "left", fontWeight: 600 },
        ),
        Plot.ruleX([0]),
      ],
    }),
  };
}

/** MTEB by category against the paper's table 4, and every task in a table. */
export function mtebSection(runs: readonly MtebResults[]): Section {
  const summaries = runs.map(({ name, results }) => {
    const outcomes = results.flatMap(({ task_name, scores }) => {
      const task = mtebTasks.find(({ name }) => name === task_name) ?? { name: task_name };
      const entries = Object.values(scores).flat();
      const found = entries.map(({ main_score }) => main_score).filter((score) => score !== null);
      if (found.length < entries.length || found.length === 0) return [];
      return [
        {
          task: task as (typeof mtebTasks)[number],
          score: found.reduce((sum, score) => sum + score, 0) / found.length,
        },
      ];
    });
    return summarize({ about: { name }, outcomes });
  });
  const wasRun = mtebCategories.filter(({ type }) =>
    summaries.some(({ categories }) => categories.some((one_) => one_.type === type && one_.scored > 0)),
  );
  const places = wasRun.map((category) => mtebCategories.indexOf(category));
  const categoryOf = (summary: (typeof summaries)[number], type: string) =>
    summary.categories.find((one_) => one_.type === type)!;
  const own = summaries.map((summary) => ({
    name: summary.name,
    values: wasRun.map(({ type }) => categoryOf(summary, type).mean),
  }));
  const others = publishedMteb
    .filter(({ name }) => drawn.includes(name))
    .map(({ name, scores }) => ({ name, values: places.map((place) => scores[place]!), published: true }));
  const partial = summaries.some(({ scored }) => scored < mtebTasks.length);
  const cell = (mean: number | null, scored: number, of: number) =>
    mean === null ? "–" : `${one(mean)}${scored < of ? ` (${scored} of ${of})` : ""}`;
  const rows: TableRow[] = [
    ...summaries.map((summary) => ({
      cells: [
        summary.name,
        ...mtebCategories.map(({ type }) => {
          const { mean, scored, of } = categoryOf(summary, type);
          return cell(mean, scored, of);
        }),
        cell(summary.mean, summary.scored, mtebTasks.length),
      ],
    })),
    ...publishedMteb.map(({ name, scores, mean }) => ({
      cells: [`${name} (published)`, ...[...scores, mean].map((score) => one(score))],
      published: true,
    })),
  ];
  // One without a score is shown as such.
  const tasks = [...new Set(runs.flatMap(({ results }) => results.map(({ task_name }) => task_name)))].sort();
  const chart = barChart(
    "MTEB by category: mean of main scores",
    wasRun.map(({ type, tasks }) => {
      const counts = summaries.map((summary) => categoryOf(summary, type).scored).filter((scored) => scored > 0);
      const [least, most] = [Math.min(...counts), Math.max(...counts)];
      return least === tasks ? type : `${type} (${least === most ? most : `${least} to ${most}`} of ${tasks} tasks)`;
    }),
    [...own, ...others],
  );
  const table: Table = {
    columns: ["Model", ...mtebCategories.map(({ short }) => short), "Mean"],
    rows,
    note:
      "Published: NeoBERT paper (arXiv 2502.19587v2), table 4, after 2,000 steps of contrastive fine-tuning." +
      (partial ? " Where a part of a category's tasks was run, the mean is over those alone and not comparable." : ""),
  };
  return {
    title: "MTEB (English, v1)",
    html: [
      // Where tasks of other benchmarks alone were run there is nothing to draw.
      wasRun.length > 0 ? figure(chart, table) : tableHtml(table),
      `<details><summary>Every task</summary>${tableHtml({
        columns: ["Task", ...summaries.map(({ name }) => name)],
        rows: tasks.map((task) => ({ cells: [task, ...summaries.map(({ tasks }) => one(tasks[task]))] })),
      })}</details>`,
    ].join("\n"),
  };
}

/** GLUE or SuperGLUE with the spread over seeds; for GLUE against the paper's table 3. */
export function glueSection(benchmark: string, runs: readonly { name: string; data: Glue }[]): Section {
  const isGlue = benchmark === "glue";
  const found = [...new Set(runs.flatMap(({ data }) => Object.keys(data.tasks)))];
  const order: readonly string[] = publishedGlueTasks;
  const rank = (task: string) => (order.includes(task) ? order.indexOf(task) : order.length);
  const tasks = isGlue ? found.sort((a, b) => rank(a) - rank(b)) : found;
  const published = isGlue ? publishedGlue : [];
  const series: ScoredSeries[] = [
    ...runs.map(({ name, data }) => ({
      name,
      values: tasks.map((task) => (data.tasks[task] ? 100 * data.tasks[task].mean : null)),
      errors: tasks.map((task) => (data.tasks[task] ? 100 * data.tasks[task].std : null)),
    })),
    ...published
      .filter(({ name }) => drawn.includes(name))
      .map(({ name, scores }) => ({
        name,
        values: tasks.map((task) => scores[order.indexOf(task)] ?? null),
        published: true,
      })),
  ];
  const columns = isGlue ? [...new Set([...publishedGlueTasks, ...tasks])] : tasks;
  const missing = runs.flatMap(({ name, data }) =>
    data.missing.length > 0 ? [`${name}: ${data.missing.join(", ")}`] : [],
  );
  const title = isGlue ? "GLUE (development set)" : "SuperGLUE";
  const seeds = Math.max(0, ...runs.flatMap(({ data }) => Object.values(data.tasks).map(({ seeds }) => seeds.length)));
  return {
    title,
    html: [
      figure(
        barChart(
          `${title}: mean over ${seeds === 1 ? "one seed" : `${seeds} seeds, whisker: standard deviation`}`,
          tasks,
          series,
        ),
        {
          columns: ["Model", ...columns, "Average"],
          rows: [
            ...runs.map(({ name, data }) => ({
              cells: [
                name,
                ...columns.map((task) => {
                  const score = data.tasks[task];
                  if (!score) return "–";
                  return score.seeds.length > 1
                    ? `${one(100 * score.mean)} ± ${one(100 * score.std)}`
                    : one(100 * score.mean);
                }),
                `${typeof data.average === "number" ? one(100 * data.average) : "–"}${data.missing.length > 0 ? " (of those run)" : ""}`,
              ],
            })),
            ...published.map(({ name, scores, mean }) => ({
              cells: [`${name} (published)`, ...columns.map((task) => one(scores[order.indexOf(task)])), one(mean)],
              published: true,
            })),
          ],
          note: [
            ...(isGlue
              ? ["Published: NeoBERT paper (arXiv 2502.19587v2), table 3; baselines from their own papers."]
              : []),
            ...(missing.length > 0 ? [`Not run: ${missing.join("; ")}.`] : []),
          ].join(" "),
        },
      ),
      `<details><summary>Chosen settings</summary>${tableHtml({
        columns: ["Model", "Task", "Settings", "Seeds"],
        rows: runs.flatMap(({ name, data }) =>
          Object.entries(data.tasks).map(([task, { best = {}, seeds }]) => ({
            cells: [
              name,
              task,
              Object.entries(best)
                .map(([key, value]) => `${key} ${value}`)
                .join(", "),
              seeds.map(({ seed, main }) => `${seed}: ${one(100 * main)}`).join(", "),
            ],
          })),
        ),
      })}</details>`,
    ].join("\n"),
  };
}

/** The encoders under one recipe, as the paper's table 4. */
export function comparisonSection(runs: readonly { name: string; data: Comparison }[]): Section {
  const html = runs.map(({ data }) => {
    const types = mtebCategories.filter(({ type }) => data.models.some(({ categories }) => type in categories));
    const chart = barChart(
      `Encoders after the same fine-tuning, ${data.scale}`,
      types.map(({ type }) => type),
      data.models.map(({ name, categories }) => ({
        name,
        values: types.map(({ type }) => {
          const score = categories[type];
          return typeof score === "number" ? 100 * score : null;
        }),
      })),
    );
    return figure(chart, {
      ...comparisonRows(data, { published: true }),
      note: "Published: NeoBERT paper (arXiv 2502.19587v2), table 4: full size, all 56 tasks.",
    });
  });
  return { title: "Encoders compared", html: html.join("\n") };
}
