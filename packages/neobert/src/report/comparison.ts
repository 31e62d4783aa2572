// The encoders after the same fine-tuning and evaluation, as the paper's table 4 has them: one row a model, MTEB's
// categories and the mean over tasks in percent. Published rows can stand below, marked.

import type { Comparison } from "./formats.js";
import { mtebCategories, publishedMteb } from "./published.js";

export interface ScoreTable {
  columns: string[];
  /** Cells as shown; "–" where there is no score. */
  rows: { cells: string[]; published: boolean }[];
}

export const percent = (value: number | null | undefined, digits = 1) =>
  typeof value === "number" ? (100 * value).toFixed(digits) : "–";

/** The rows of table 4: the models', and the published ones where asked for. */
export function comparisonRows({ models }: Comparison, { published = false } = {}): ScoreTable {
  const found = mtebCategories.filter(({ type }) => models.some(({ categories }) => type in categories));
  const categories = published ? mtebCategories : found;
  return {
    columns: ["Model", "Parameters", ...categories.map(({ short }) => short), "Mean"],
    rows: [
      ...models.map(({ name, parameters, categories: scores, mean }) => ({
        cells: [
          name,
          parameterCount(parameters),
          ...categories.map(({ type }) => percent(scores[type])),
          percent(mean),
        ],
        published: false,
      })),
      ...(published ? publishedMteb : []).map(({ name, scores, mean }) => ({
        cells: [`${name} (published)`, "–", ...scores.map((score) => score.toFixed(1)), mean.toFixed(1)],
        published: true,
      })),
    ],
  };
}

export function parameterCount(parameters: number): string {
  return parameters >= 1e8 ? `${Math.round(parameters / 1e6)}M` : `${(parameters / 1e6).toFixed(1)}M`;
}

/**
 * The comparison as a Markdown table, best score of each column in bold. `data` is the content of `compare.json`; with
 * `published` the paper's rows (other sizes, other training) follow, marked.
 */
export function comparisonTable(data: Comparison, options: { published?: boolean } = {}): string {
  const { columns, rows } = comparisonRows(data, options);
  const own = rows.filter(({ published }) => !published);
  const best = columns.map((_, column) =>
    column < 2 ? Number.NaN : Math.max(...own.map(({ cells }) => Number(cells[column])).filter(Number.isFinite)),
  );
  const lines = rows.map(({ cells, published }) =>
    cells.map((cell, column) => {
      const escaped = column === 0 ? cell.replaceAll("|", "\\|") : cell;
      return !published && own.length > 1 && Number(cell) === best[column] ? `**${escaped}**` : escaped;
    }),
  );
  const widths = columns.map((_, column) => Math.max(3, ...[columns, ...lines].map((cells) => cells[column]!.length)));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return `${[columns, rule, ...lines].map(line).join("\n")}\n`;
}
