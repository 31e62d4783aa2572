// What a classifier took its held-out texts for: a square a pair of labels, its shade the share of the true label's texts.

import * as Plot from "@observablehq/plot";
import type { Chart } from "./chart.js";
import type { ClassScoresFile } from "./formats.js";
import { figure, type Table } from "./html.js";

/** Squares of more labels could not be told apart. */
const MOST_LABELS = 40;
const MOST_LETTERS = 16;
/** Counts in squares of more labels would run into each other; their shades tell. */
const MOST_COUNTED = 20;

/** The figure of a run's class scores, of all its labels a table row. */
export function confusionFigure(run: string, { labels, confusion, step }: ClassScoresFile): string {
  const table: Table = {
    columns: ["Label", "Precision", "Recall", "F1", "Held out"],
    rows: labels.map(({ label, precision, recall, f1, count }) => ({
      cells: [label, ...[precision, recall, f1].map((value) => value.toFixed(3)), `${count}`],
    })),
  };
  const title = `${run}: labels of the held-out texts after step ${step}`;
  if (!confusion || labels.length > MOST_LABELS) return figure(f1Chart(title, labels), table);
  return figure(confusionChart(title, labels, confusion), table);
}

type Labels = ClassScoresFile["labels"];

/** Names of intents and tags often begin alike, so the end of a long one is kept. */
function shortLabel(label: string): string {
  const letters = Array.from(label);
  if (letters.length <= MOST_LETTERS) return label;
  return [...letters.slice(0, MOST_LETTERS / 2 - 1), "…", ...letters.slice(-MOST_LETTERS / 2)].join("");
}

const describe = (labels: Labels) => labels.map(({ label, f1 }) => `${label}: F1 ${f1.toFixed(2)}`).join("; ");

function confusionChart(title: string, labels: Labels, confusion: number[][]): Chart {
  const cells = confusion.flatMap((row, i) => {
    const all = row.reduce((sum, count) => sum + count, 0);
    return row.map((count, j) => ({ truth: `${i}`, given: `${j}`, count, share: all === 0 ? 0 : count / all }));
  });
  const name = (place: string) => shortLabel(labels[Number(place)]!.label);
  const domain = labels.map((_, i) => `${i}`);
  const [left, top, right] = [120, 100, 80]; // the names of columns lean to the right
  return {
    title: `${title} (rows: true, columns: given)`,
    description: describe(labels),
    plot(width) {
      const size = Math.min(56, (width - left - right) / labels.length);
      const fontSize = size < 36 ? "10px" : "12px";
      const counts = labels.length > MOST_COUNTED ? [] : cells.filter(({ count }) => count > 0);
      return {
        height: top + size * labels.length + 10,
        marginLeft: left,
        marginTop: top,
        marginBottom: 10,
        marginRight: width - left - size * labels.length, // squares, not strips
        padding: 0.06,
        style: { fontSize },
        x: { type: "band", domain, axis: "top", label: null, tickFormat: name, tickRotate: -45 },
        y: { type: "band", domain, label: null, tickFormat: name },
        marks: [
          Plot.cell(cells, {
            x: "given",
            y: "truth",
            fill: "var(--s0)",
            fillOpacity: ({ share }) => 0.06 + 0.6 * share,
          }),
          Plot.text(counts, { x: "given", y: "truth", text: ({ count }) => `${count}`, fill: "var(--ink)" }),
        ],
      };
    },
  };
}

function f1Chart(title: string, labels: Labels): Chart {
  const worst = [...labels].sort((a, b) => a.f1 - b.f1).slice(0, MOST_LABELS);
  return {
    title: labels.length > MOST_LABELS ? `${title}: the ${MOST_LABELS} of lowest F1` : `${title}: F1`,
    description: describe(worst),
    plot: () => ({
      height: 60 + 20 * worst.length,
      marginLeft: 110,
      x: { domain: [0, 1], label: "F1", labelArrow: "none", grid: true },
      y: {
        type: "band",
        label: null,
        domain: worst.map((_, i) => `${i}`),
        tickFormat: (i: string) => shortLabel(worst[Number(i)]!.label),
      },
      marks: [Plot.barX(worst, { x: "f1", y: (_: unknown, i: number) => `${i}`, fill: "var(--s0)" })],
    }),
  };
}
