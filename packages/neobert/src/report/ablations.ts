// The ablation series as the paper's figure 1 has it: one change a row, the chain of what was kept as a line, what was
// tried and given up beside it. Every seed is a dot, the standard deviation over seeds a whisker.

import * as Plot from "@observablehq/plot";
import { across, type Chart, chartSvg, colorOf, type SvgOptions } from "./chart.js";
import type { Ablations } from "./formats.js";

const ROW_HEIGHT = 46;

export interface AblationRow {
  /** "M1" */
  name: string;
  change: string;
  branch: boolean;
  /** In percent. */
  mean: number;
  std: number;
  seeds: number[];
  /** Percent of the score of the run that it follows; undefined for the first. */
  relative: number | undefined;
  heldOutLoss: number | undefined;
}

/** The runs in their order, scores in percent, each against the run that it follows. */
export function ablationRows({ runs }: Ablations): AblationRow[] {
  let before: number | undefined;
  return runs.map(({ id, change, branch, seeds, mean, std, heldOut }) => {
    const relative = before === undefined ? undefined : 100 * (mean / before - 1);
    if (!branch) before = mean;
    return {
      name: id.toUpperCase(),
      change,
      branch,
      mean: 100 * mean,
      std: 100 * std,
      relative,
      seeds: seeds.map(({ average }) => 100 * average),
      heldOutLoss: heldOut?.loss,
    };
  });
}

export const signed = (value: number, digits = 1) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

/** The chart of a series. */
export function ablationChart(data: Ablations): Chart {
  const rows = ablationRows(data);
  const seeds = Math.max(...rows.map(({ seeds }) => seeds.length));
  const chain = rows.filter(({ branch }) => !branch);
  const values = rows.flatMap(({ mean, std, seeds }) => [mean - std, mean + std, ...seeds]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.5, 0.06 * (high - low));
  const domain = [low - margin, high + margin];
  const marks = `; dots: ${seeds} seeds, whisker: standard deviation`;
  const label = ({ mean, std, relative }: AblationRow) =>
    `${mean.toFixed(1)}${seeds > 1 ? ` ± ${std.toFixed(1)}` : ""}${relative === undefined ? "" : ` (${signed(relative)} %)`}`;
  const halo = { fill: "currentColor", stroke: "var(--paper)", strokeWidth: 4 };
  const at = { y: "name", dy: 9 } as const;
  return {
    title: `Ablations, ${data.scale}: GLUE average by change`,
    description: rows.map((row) => `${row.name}${row.branch ? " (discarded)" : ""} ${label(row)}`).join(", "),
    legend: [
      { name: "kept", series: 0, mark: "dot" },
      ...(chain.length < rows.length ? [{ name: "discarded", series: 1, mark: "ring" as const }] : []),
    ],
    plot: (width) => ({
      height: rows.length * ROW_HEIGHT + 56,
      marginTop: 6,
      marginLeft: 12,
      marginRight: 16,
      marginBottom: 44,
      x: { ...across(`GLUE average, percent${seeds > 1 && width > 500 ? marks : ""}`, width), domain },
      y: { domain: rows.map(({ name }) => name), axis: null, type: "point", padding: 0.5 },
      marks: [
        Plot.gridX({ ticks: width / 90, strokeOpacity: 0.15 }),
        Plot.line(chain, { x: "mean", ...at, stroke: colorOf(0), strokeOpacity: 0.45, strokeWidth: 1.5 }),
        Plot.ruleY(rows, {
          x1: ({ mean, std }) => mean - std,
          x2: ({ mean, std }) => mean + std,
          ...at,
          stroke: ({ branch }) => (branch ? "b" : "a"),
          strokeWidth: 2,
        }),
        Plot.dot(
          rows.flatMap(({ name, branch, seeds }) => seeds.map((score) => ({ name, branch, score }))),
          { x: "score", ...at, r: 2.5, fill: ({ branch }) => (branch ? "b" : "a"), fillOpacity: 0.6 },
        ),
        Plot.dot(rows, {
          x: "mean",
          ...at,
          r: 6,
          strokeWidth: 2,
          stroke: ({ branch }) => (branch ? "b" : "a"),
          fill: ({ branch }) => (branch ? "p" : "a"),
          title: (row) => `${row.name}: ${row.change}\n${label(row)}`,
        }),
        Plot.text(rows, {
          text: ({ name, change }) => `${name}  ${change}`,
          y: "name",
          dy: -10,
          frameAnchor: "left",
          // Characters of about 6 px, less the room of the score at the right.
          lineWidth: (width - 180) / 12,
          textOverflow: "ellipsis-end",
          ...halo,
        }),
        Plot.text(rows, {
          text: label,
          y: "name",
          dy: -10,
          frameAnchor: "right",
          fontVariant: "tabular-nums",
          ...halo,
        }),
      ],
      color: { type: "ordinal", domain: ["a", "b", "p"], range: [colorOf(0), colorOf(1), "var(--paper)"] },
    }),
  };
}

/** The paper's figure 1 for a series run here, as an SVG file's text. `data` is the content of `ablations.json`. */
export function ablationFigure(data: Ablations, options: Pick<SvgOptions, "width"> = {}): string {
  return `${chartSvg(ablationChart(data), { ...options, standalone: true })}\n`;
}
