// The page: one file, nothing fetched, light and dark by the reader's setting, readable on a phone. Every chart stands
// twice, for wide and for narrow screens, and has its numbers in a table below it.

import { type Chart, chartSvg, colorRules, escapeXml } from "./chart.js";

export interface Table {
  columns: string[];
  rows: TableRow[];
  /** What must be known to read it. */
  note?: string;
}
export interface TableRow {
  cells: string[];
  /** Somebody else's numbers. */
  published?: boolean;
}

const WIDE = 880;
const NARROW = 360;

/** A chart with its numbers behind a fold. */
export function figure(chart: Chart, table: Table): string {
  return [
    `<figure><figcaption>${escapeXml(chart.title)}</figcaption>`,
    `<div class="wide">${chartSvg(chart, { width: WIDE })}</div><div class="narrow">${chartSvg(chart, { width: NARROW })}</div>`,
    `<details><summary>Numbers</summary>${tableHtml(table)}</details></figure>`,
  ].join("");
}

export function tableHtml({ columns, rows, note }: Table): string {
  const cell = (tag: string, text: string, column: number, rest = "") =>
    `<${tag}${rest}${column === 0 ? ' class="first"' : ""}>${escapeXml(text)}</${tag}>`;
  const head = columns.map((name, i) => cell("th", name, i, ' scope="col"')).join("");
  const body = rows.map(({ cells, published }) => {
    const inner = cells.map((text, i) => (i === 0 ? cell("th", text, i, ' scope="row"') : cell("td", text, i)));
    return `<tr${published ? ' class="published"' : ""}>${inner.join("")}</tr>`;
  });
  const table = `<table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`;
  // Reachable by keyboard, since it may have to be scrolled.
  return `<div class="scroll" tabindex="0" role="region" aria-label="table">${table}</div>${note ? paragraph(note) : ""}`;
}

export const paragraph = (text: string) => `<p>${escapeXml(text)}</p>`;

export interface Section {
  title: string;
  html: string;
}

export function pageHtml(title: string, intro: string, sections: readonly Section[]): string {
  const links = sections.map(({ title }, i) => `<a href="#s${i}">${escapeXml(title)}</a>`);
  const body = sections.map(
    ({ title, html }, i) => `<section id="s${i}"><h2>${escapeXml(title)}</h2>${html}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${escapeXml(title)}</title><link rel="icon" href="data:,">
<style>${colorRules(":root")}${style}</style></head>
<body><header><h1>${escapeXml(title)}</h1>${paragraph(intro)}<nav aria-label="Sections">${links.join(" ")}</nav></header>
<main>${body.join("\n")}</main></body></html>
`;
}

const style = `
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:58rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.25rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--muted)}h3{font-size:1.05rem;margin:1.5rem 0 .3rem}
p{margin:.5rem 0;max-width:46rem}nav a{display:inline-block;margin:0 1rem .3rem 0}a{color:var(--s0)}
figure{margin:1.2rem 0}figcaption{font-weight:600;margin-bottom:.3rem}
.chart{display:block;width:100%;height:auto;overflow:visible}.narrow{display:none}
@media (max-width:40rem){.wide{display:none}.narrow{display:block}}
summary{cursor:pointer;color:var(--muted);padding:.2rem 0}
.scroll{overflow-x:auto;max-height:32rem;overflow-y:auto;margin:.4rem 0}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums;min-width:50%}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid color-mix(in srgb,var(--muted) 35%,transparent);white-space:nowrap;font-weight:400}
thead th{font-weight:600;position:sticky;top:0;background:var(--paper)}.first{text-align:left}
.published th,.published td{color:var(--muted);font-style:italic}
pre{font-size:.8rem;overflow-x:auto;padding:.6rem;border:1px solid color-mix(in srgb,var(--muted) 35%,transparent)}
@media print{details>*{display:block}}
`;
