// Pseudo-perplexity by length, as the paper's figures 2 and 6: the median of each bin of lengths as a line, the middle half
// of its texts as a band, and where each model's training length ends.

import * as Plot from "@observablehq/plot";
import { across, type Chart, chartSvg, colorOf, dashOf, type SvgOptions } from "./chart.js";
import type { PseudoPerplexity } from "./formats.js";

const HEIGHT = 340;
const grouped = (value: number) => value.toLocaleString("en-US");

/** The longest text that the model was trained on, where the file says it. */
export const trainedLengthOf = ({ settings }: PseudoPerplexity) =>
  typeof settings.trainedLength === "number" ? settings.trainedLength : undefined;

/** One line a model. `names` are the legend's; default the models' own. */
export function pseudoPerplexityChart(
  models: readonly PseudoPerplexity[],
  names = models.map(({ model }) => model),
): Chart {
  const points = models.flatMap(({ points }, series) => points.map((point) => ({ ...point, series: `${series}` })));
  const all = points.flatMap(({ q25, q75, median }) => [q25, q75, median]).filter((value) => value > 0);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const lengths = [...new Set(points.map(({ length }) => length))].sort((a, b) => a - b);
  // Lengths that double want a logarithmic axis.
  const isLog = lengths.length < 3 || lengths.at(-1)! / lengths[0]! > 1.5 * lengths.length;
  const trained = models.flatMap((model, series) => {
    const length = trainedLengthOf(model);
    return length !== undefined && length >= lengths[0]! && length <= lengths.at(-1)!
      ? [{ length, series: `${series}` }]
      : [];
  });
  return {
    title: "Pseudo-perplexity by length",
    description: models
      .map(({ points }, i) => {
        const [first, last] = [points[0]!, points.at(-1)!];
        return `${names[i]}: median ${shown(first.median)} at up to ${first.length} tokens, ${shown(last.median)} at up to ${last.length}`;
      })
      .join("; "),
    legend: models.map((model, series) => {
      const length = trainedLengthOf(model);
      return { name: `${names[series]}${length ? `, trained to ${grouped(length)}` : ""}`, series };
    }),
    plot: (width) => ({
      height: HEIGHT,
      marginTop: 22,
      marginLeft: 54,
      marginRight: 24,
      marginBottom: 44,
      x: {
        ...across("tokens of a text, at most", width),
        ...(isLog ? { type: "log", base: 2, ticks: spaced(lengths, width), tickFormat: grouped } : { type: "linear" }),
      },
      y: {
        label: "pseudo-perplexity",
        labelArrow: "none",
        grid: true,
        ...(high / low > 8 ? { type: "log", tickFormat: grouped, ticks: 5 } : { zero: high / low > 2, nice: true }),
      },
      color: { type: "ordinal", domain: models.map((_, i) => `${i}`), range: models.map((_, i) => colorOf(i)) },
      marks: [
        Plot.ruleX(trained, { x: "length", stroke: "series", strokeDasharray: "3,3", strokeWidth: 1.5 }),
        Plot.areaY(points, { x: "length", y1: "q25", y2: "q75", z: "series", fill: "series", fillOpacity: 0.15 }),
        ...models.map((_, series) =>
          Plot.line(
            points.filter((point) => point.series === `${series}`),
            { x: "length", y: "median", stroke: "series", strokeWidth: 2, strokeDasharray: dashOf(series) },
          ),
        ),
        Plot.dot(points, {
          x: "length",
          y: "median",
          fill: "series",
          r: 3.5,
          title: ({ length, texts, median, q25, q75 }) =>
            `up to ${length} tokens, ${texts} texts\nmedian ${shown(median)}, middle half ${shown(q25)} to ${shown(q75)}`,
        }),
      ],
    }),
  };
}

/** As many of the lengths as have room for their names, the last one always. */
function spaced(lengths: readonly number[], width: number): number[] {
  const step = Math.ceil(lengths.length / Math.max(2, Math.floor(width / 62)));
  return lengths.filter((_, i) => (lengths.length - 1 - i) % step === 0);
}

/** Three figures that matter. */
export function shown(value: number): string {
  return value >= 100 ? grouped(Math.round(value)) : value.toPrecision(3);
}

/** The paper's figures 2 and 6 for models scored here, as an SVG file's text; `models` are contents of `pppl.json`. */
export function pseudoPerplexityFigure(
  models: readonly PseudoPerplexity[],
  { names, ...options }: Pick<SvgOptions, "width"> & { names?: string[] } = {},
): string {
  return `${chartSvg(pseudoPerplexityChart(models, names), { ...options, standalone: true })}\n`;
}
