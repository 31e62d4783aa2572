// A chart as an SVG: drawn by Observable Plot on a document in memory, so the result is static, small and needs no
// script. Colours are CSS variables with a light and a dark value each; the legend is part of the picture, as Plot's own
// would be HTML beside it.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

export interface LegendEntry {
  name: string;
  /** Number of the series; see `colorOf`. */
  series: number;
  mark?: "line" | "dot" | "ring";
}

export interface Chart {
  title: string;
  /** One or two sentences for those who do not see it. */
  description: string;
  legend?: LegendEntry[];
  /** Plot's options for a width in pixels, without width and document. */
  plot(width: number): Plot.PlotOptions;
}

export interface SvgOptions {
  /** Pixels; default 720. */
  width?: number;
  /** As a file of its own: with title, colours and background; default false, as a part of the report's page. */
  standalone?: boolean;
}

const LIGHT = {
  paper: "#ffffff",
  ink: "#1f2328",
  muted: "#59636e",
  s0: "#0b62a8",
  s1: "#b84300",
  s2: "#00705a",
  s3: "#8c3f88",
  s4: "#7a5c00",
  s5: "#4d5560",
};
const DARK: typeof LIGHT = {
  paper: "#0f1319",
  ink: "#e8edf2",
  muted: "#9aa7b4",
  s0: "#5eb1f2",
  s1: "#f0924c",
  s2: "#38c7a5",
  s3: "#dd92d6",
  s4: "#dcc04a",
  s5: "#aeb8c2",
};
const SERIES = 6;
const LEGEND_ROW = 20;
const TITLE_HEIGHT = 30;

/** A series' colour, the same in every chart of a page. */
export const colorOf = (series: number) => `var(--s${series % SERIES})`;
/** Tells series of one colour apart. */
export const dashOf = (series: number) => ["none", "6,3", "2,3"][Math.floor(series / SERIES) % 3]!;

const variables = (colors: typeof LIGHT) =>
  Object.entries(colors)
    .map(([name, value]) => `--${name}:${value}`)
    .join(";");

/** A horizontal axis: its label in the middle below it, marks as close as their numbers allow. */
export const across = (label: string, width: number) =>
  ({ label, labelAnchor: "center", labelArrow: "none", ticks: width / 90 }) as const;

/** The colours as style rules: those of the reader's setting, light or dark. */
export const colorRules = (selector: string) =>
  `${selector}{${variables(LIGHT)}}@media (prefers-color-scheme:dark){${selector}{${variables(DARK)}}}`;

/** The chart as an `<svg>` element, as wide as what holds it. */
export function chartSvg(chart: Chart, { width = 720, standalone = false }: SvgOptions = {}): string {
  const { document } = parseHTML("<html></html>");
  const drawing = Plot.plot({
    style: { fontSize: "12px" },
    ...chart.plot(width),
    width,
    document,
  } as Plot.PlotOptions) as unknown as Drawing;
  drawing.querySelector("style")?.remove(); // it would hold for the whole page, and sets a white background
  const legend = legendOf(chart.legend ?? [], width);
  const titleHeight = standalone ? TITLE_HEIGHT : 0;
  const top = titleHeight + legend.height;
  const height = Number(drawing.getAttribute("height")) + top;
  const title = escapeXml(chart.title);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    ` role="img" aria-label="${title}. ${escapeXml(chart.description)}" font-family="system-ui, sans-serif" font-size="12"`,
    ` fill="currentColor" text-anchor="middle" style="color:var(--ink)">`,
    standalone ? `<style>${colorRules(".chart")}</style><rect width="100%" height="100%" fill="var(--paper)"/>` : "",
    standalone ? `<text x="12" y="20" font-size="14" font-weight="600" text-anchor="start">${title}</text>` : "",
    legend.svg && `<g transform="translate(0,${titleHeight})">${legend.svg}</g>`,
    `<g transform="translate(0,${top})">${drawing.innerHTML.replace(/(\d+\.\d\d)\d+/g, "$1")}</g></svg>`,
  ].join("");
}

/** What is used of the element that Plot gives; this package is compiled without the browser's types. */
interface Drawing {
  innerHTML: string;
  getAttribute(name: string): string | null;
  querySelector(selector: string): { remove(): void } | null;
}

/** Swatches and names in rows. No text can be measured here: widths are estimates on the large side. */
function legendOf(entries: readonly LegendEntry[], width: number): { svg: string; height: number } {
  const left = 12;
  let [x, row] = [left, 0];
  const parts = entries.map(({ name, series, mark = "line" }) => {
    const longest = Math.floor((width - 2 * left - 28) / 6.6);
    const shown = name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
    const needed = 28 + shown.length * 6.6 + 14;
    if (x > left && x + needed > width) [x, row] = [left, row + 1];
    const y = row * LEGEND_ROW + 12;
    const color = `style="color:${colorOf(series)}"`;
    const swatch =
      mark === "line"
        ? `<line x1="${x}" x2="${x + 20}" y1="${y}" y2="${y}" stroke="currentColor" stroke-width="2.5" stroke-dasharray="${dashOf(series)}" ${color}/>`
        : `<circle cx="${x + 12}" cy="${y}" r="5" stroke="currentColor" stroke-width="2" fill="${mark === "dot" ? "currentColor" : "none"}" ${color}/>`;
    const text = `<text x="${x + 26}" y="${y}" dy="0.35em" text-anchor="start">${escapeXml(shown)}</text>`;
    x += needed;
    return swatch + text;
  });
  return { svg: parts.join(""), height: entries.length > 0 ? (row + 1) * LEGEND_ROW + 6 : 0 };
}

export function escapeXml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
