// What the series of runs (ablations.mjs, compare.mjs) say about their results: tables, differences against their noise,
// the machine, and the section of a page in docs/ that a run fills.

import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";

export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;

/** A Markdown table; the first columns are text, the others numbers. */
export function table(head, rows, textColumns = 2) {
  const isText = (column) => column < textColumns;
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (isText(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(" | ")} |`;
  const rule = widths.map((width, i) => (isText(i) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return `${[head, rule, ...rows].map(line).join("\n")}\n`;
}

/**
 * The difference of two means over seeds, in percent, and whether it exceeds two standard errors of it. A single seed
 * says nothing of noise.
 */
export function difference(before, after) {
  const [n, m] = [before.seeds.length, after.seeds.length];
  const standardError = Math.sqrt(before.std ** 2 / n + after.std ** 2 / m);
  const value = after.mean - before.mean;
  return { points: 100 * value, isBeyondNoise: Math.min(n, m) > 1 && Math.abs(value) > 2 * standardError };
}

/** "2 cores of an AMD EPYC, libtorch 2.9.1, Node v20.19.0" */
export function machine({ libtorch }) {
  return `${availableParallelism()} cores of ${cpus()[0].model.trim()}, libtorch ${libtorch}, Node ${process.version}.`;
}

/** Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->` in a page. */
export function writeSection(page, name, text) {
  const before = readFileSync(page, "utf8");
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [before.indexOf(open), before.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`${page}: expected ${open} and ${close}, got no such section`);
  writeFileSync(page, `${before.slice(0, from + open.length)}\n\n${text}\n${before.slice(to)}`);
}
