// Training runs laid over one another: loss and held-out loss, learning rate, tokens a second, and where the time went.

import * as Plot from "@observablehq/plot";
import { across, type Chart, colorOf, dashOf } from "./chart.js";
import { confusionFigure } from "./confusion.js";
import { figure, type Section, type Table } from "./html.js";
import type { StepMetrics, TrainingRun } from "./read-run.js";

const MOST_POINTS = 400;
const HEIGHT = 300;

const grouped = (value: number) => Math.round(value).toLocaleString("en-US");

export function trainingSection(runs: readonly TrainingRun[]): Section {
  const curves = runs.map(({ steps }) => thinned(steps));
  const rows = (value: (point: StepMetrics) => string): Table => ({
    columns: ["Run", "Step", "Tokens", "Value"],
    rows: runs.flatMap(({ name }, i) =>
      every(curves[i]!, 20).map((point) => ({
        cells: [name, grouped(point.step), grouped(point.tokensSeen), value(point)],
      })),
    ),
  });
  const heldOut = runs.flatMap(({ validation }, series) =>
    validation.flatMap(({ step, scores }) => (scores.loss === undefined ? [] : [{ series, step, loss: scores.loss }])),
  );
  const loss = lineChart("Loss", "mean cross entropy in nats", runs, curves, ({ loss }) => loss, heldOut);
  const hasTime = runs.some(({ steps }) => steps.some(({ tokensPerSecond }) => tokensPerSecond > 0));
  return {
    title: runs.length > 1 ? "Training runs" : `Training run ${runs[0]!.name}`,
    html: [
      figure(loss, lossTable(runs, curves)),
      figure(
        lineChart("Learning rate", "learning rate", runs, curves, ({ lr }) => lr),
        rows(({ lr }) => lr.toExponential(2)),
      ),
      ...(hasTime
        ? [
            figure(
              lineChart("Tokens a second", "tokens/s", runs, curves, ({ tokensPerSecond }) => tokensPerSecond),
              rows(({ tokensPerSecond }) => grouped(tokensPerSecond)),
            ),
            figure(...timeChart(runs)),
          ]
        : []),
      ...runs.flatMap(({ name, classScores }) => (classScores ? [confusionFigure(name, classScores)] : [])),
    ].join("\n"),
  };
}

/** Means over as many neighbouring lines as leave a few hundred points. */
export function thinned(steps: readonly StepMetrics[]): StepMetrics[] {
  const size = Math.ceil(steps.length / MOST_POINTS);
  if (size <= 1) return [...steps];
  return Array.from({ length: Math.ceil(steps.length / size) }, (_, i) => {
    const part = steps.slice(i * size, (i + 1) * size);
    const mean = (of: (point: StepMetrics) => number) => part.reduce((sum, point) => sum + of(point), 0) / part.length;
    return {
      ...part.at(-1)!,
      step: mean(({ step }) => step),
      loss: mean(({ loss }) => loss),
      lr: mean(({ lr }) => lr),
      tokensPerSecond: mean(({ tokensPerSecond }) => tokensPerSecond),
    };
  });
}

function every<T>(values: readonly T[], most: number): T[] {
  const step = Math.ceil(values.length / most);
  return values.filter((_, i) => i === values.length - 1 || i % step === 0);
}

function lossTable(runs: readonly TrainingRun[], curves: readonly StepMetrics[][]): Table {
  const names = [...new Set(runs.flatMap(({ validation }) => validation.flatMap(({ scores }) => Object.keys(scores))))];
  const rows = runs.flatMap(({ name, validation }, i) => {
    const scored = new Map(validation.map(({ step, scores }) => [step, scores]));
    const points = new Map(every(curves[i]!, 12).map((point) => [point.step, point.loss]));
    const steps = [...new Set([...points.keys(), ...scored.keys()])].sort((a, b) => a - b);
    return steps.map((step) => ({
      cells: [
        name,
        grouped(step),
        points.get(step)?.toFixed(4) ?? "",
        ...names.map((key) => scored.get(step)?.[key]?.toFixed(4) ?? ""),
      ],
    }));
  });
  return { columns: ["Run", "Step", "Loss", ...names.map((key) => `Held-out ${key}`)], rows };
}

function lineChart(
  title: string,
  label: string,
  runs: readonly TrainingRun[],
  curves: readonly StepMetrics[][],
  valueAt: (point: StepMetrics) => number,
  heldOut: { series: number; step: number; loss: number }[] = [],
): Chart {
  const summary = runs.map(({ name }, i) => {
    const points = curves[i]!;
    const ends = [points[0], points.at(-1)].map((point) => (point ? valueAt(point).toPrecision(3) : "none"));
    return `${name}: from ${ends[0]} to ${ends[1]}`;
  });
  return {
    title: heldOut.length > 0 ? `${title} (rings: held-out text)` : title,
    description: summary.join("; "),
    ...(runs.length > 1 && { legend: runs.map(({ name }, series) => ({ name, series })) }),
    plot: (width) => ({
      height: HEIGHT,
      marginLeft: 56,
      marginTop: 26,
      marginRight: 20,
      marginBottom: 42,
      x: { ...across("step", width), ticks: width / 100, tickFormat: grouped },
      y: {
        label,
        labelArrow: "none",
        grid: true,
        ticks: 6,
        zero: title !== "Loss",
        nice: true,
        tickFormat: axisNumber,
      },
      marks: [
        ...curves.map((points, i) =>
          Plot.line(points, {
            x: "step",
            y: valueAt,
            stroke: colorOf(i),
            strokeWidth: 1.8,
            strokeDasharray: dashOf(i),
            curve: "linear",
          }),
        ),
        Plot.dot(heldOut, {
          x: "step",
          y: "loss",
          r: 4.5,
          strokeWidth: 2,
          fill: "var(--paper)",
          stroke: ({ series }: { series: number }) => colorOf(series),
          title: ({ step, loss }: { step: number; loss: number }) => `step ${step}: held-out ${loss.toFixed(4)}`,
        }),
      ],
      color: { type: "identity" },
    }),
  };
}

const axisNumber = (value: number) =>
  value !== 0 && Math.abs(value) < 0.01 ? value.toExponential().replace("e-", "e−") : value.toLocaleString("en-US");

/** Shares of the time by what it was spent on, a bar a run. */
function timeChart(runs: readonly TrainingRun[]): [Chart, Table] {
  const kinds = [...new Set(runs.flatMap(({ steps }) => steps.flatMap(({ seconds }) => Object.keys(seconds))))];
  const totals = runs.map(({ name, steps }, run) => {
    const seconds = kinds.map((kind) =>
      steps.reduce((sum, { seconds }) => sum + (Object.hasOwn(seconds, kind) ? seconds[kind]! : 0), 0),
    );
    const all = seconds.reduce((sum, value) => sum + value, 0);
    return { name, run: `${run}`, seconds, all: Math.max(all, Number.MIN_VALUE) };
  });
  const parts = totals.flatMap(({ name, run, seconds, all }) =>
    seconds.map((value, i) => ({ name, run, kind: kinds[i]!, series: i, share: (100 * value) / all })),
  );
  const chart: Chart = {
    title: "Time of a step by what it was spent on",
    description: totals
      .map(
        ({ name, seconds, all }) =>
          `${name}: ${kinds.map((kind, i) => `${kind} ${Math.round((100 * seconds[i]!) / all)} %`).join(", ")}`,
      )
      .join("; "),
    legend: kinds.map((name, series) => ({ name, series, mark: "dot" })),
    plot: (width) => ({
      height: 52 + 50 * runs.length,
      marginLeft: 12,
      marginRight: 20,
      marginTop: 6,
      marginBottom: 42,
      x: { ...across("percent of the time", width), domain: [0, 100] },
      y: { axis: null, domain: totals.map(({ run }) => run), padding: 0.1 },
      color: { type: "identity" },
      marks: [
        Plot.barX(parts, {
          x: "share",
          y: "run",
          insetTop: 18,
          fill: ({ series }: { series: number }) => colorOf(series),
          title: ({ kind, share }: { kind: string; share: number }) => `${kind}: ${share.toFixed(1)} %`,
        }),
        Plot.text(totals, { text: "name", y: "run", frameAnchor: "left", dy: -16 }),
      ],
    }),
  };
  return [
    chart,
    {
      columns: ["Run", ...kinds.map((kind) => `${kind}, s`), "all, s"],
      rows: totals.map(({ name, seconds, all }) => ({
        cells: [name, ...[...seconds, all].map((value) => value.toFixed(1))],
      })),
    },
  ];
}
