// Runs as their commands leave them, in small, and the page made of them, parsed again.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ablationFigure, ablationRows } from "./ablations.js";
import { comparisonTable } from "./comparison.js";
import type { Ablations } from "./formats.js";
import { pseudoPerplexityFigure } from "./pseudo-perplexity.js";
import { mtebCategories, publishedGlue, publishedMteb } from "./published.js";
import { readRuns } from "./read-run.js";
import { reportHtml, writeReport } from "./report.js";
import { thinned } from "./training.js";

let root: string;
const at = (...parts: string[]) => join(root, ...parts);
function put(path: string, content: unknown): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), typeof content === "string" ? content : JSON.stringify(content));
}

const run = (id: string, scores: number[], branch = false): Ablations["runs"][number] => {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return {
    id,
    change: `change of ${id} <&>`,
    branch,
    mean,
    std: 0.01,
    heldOut: { loss: 3.5 },
    seeds: scores.map((average, seed) => ({ seed, tasks: { cola: average }, average })),
  };
};
const ablations: Ablations = {
  scale: "mini",
  versions: { neobert: "0.1.0" },
  runs: [run("m0", [0.5, 0.52]), run("m3", [0.4, 0.42], true), run("m4", [0.6, 0.62])],
};
const comparison = {
  scale: "mini",
  versions: {},
  models: [
    { name: "NeoBERT|x", parameters: 8.9e6, categories: { STS: 0.5, Retrieval: null }, tasks: {}, mean: 0.45 },
    { name: "BERT", parameters: 1.1e8, categories: { STS: 0.512, Retrieval: 0.2 }, tasks: {}, mean: 0.44 },
  ],
};
const pppl = {
  model: "out/neo/model",
  versions: { neobert: "0.1.0" },
  settings: { trainedLength: 128, sample: 8 },
  texts: [{ tokens: 60, pseudoPerplexity: 6 }],
  points: [64, 128, 256].map((length, i) => ({ length, texts: 5, median: 6 - i, q25: 5 - i, q75: 8 - i })),
};
const step = (step: number) => ({
  step,
  loss: 8 - step / 20,
  lr: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 5000,
  tokens: 100,
  tokensSeen: 100 * step,
  seconds: { data: 1, forward: 3, backward: 5, optimizer: 1 },
});
const result = (task: string, score: number) => ({
  task_name: task,
  mteb_version: "1.34.14",
  dataset_revision: "x",
  evaluation_time: 1,
  kg_co2_emissions: null,
  scores: { test: [{ main_score: score, hf_subset: "default", languages: ["eng-Latn"] }] },
});

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "neobert-report-"));
  const lines = [4, 8, 12].map(step).map((line) => JSON.stringify(line));
  lines.splice(2, 0, JSON.stringify({ step: 8, validation: { loss: 7.77, accuracy: 0.1 } }));
  put("run/metrics.jsonl", `${lines.join("\n")}\n{"step":16,"lo`);
  put("run/run.yaml", "out: run\noptimizer:\n  lr: 0.001\n  name: </pre><script>\n");
  put("run/latest", "step-00000012");
  put("run/checkpoints/step-00000012/training/state.json", { record: { dtype: "bf16", threads: 2 } });
  put("other/metrics.jsonl", `${JSON.stringify(step(4))}\n`);
  put("ablations/ablations.json", ablations);
  put("compare/compare.json", comparison);
  put("pppl/pppl.json", pppl);
  const cola = { best: { learningRate: 1e-5 }, mean: 0.61, std: 0.02 };
  put("glue/glue.json", {
    benchmark: "glue",
    model: "out/neo/model",
    versions: {},
    settings: {},
    average: 0.61,
    missing: ["mnli"],
    tasks: {
      cola: { ...cola, seeds: [0.59, 0.63].map((main, seed) => ({ seed, scores: { matthews: main }, main })) },
    },
  });
  const folder = "mteb/org__model/abc";
  put(`${folder}/model_meta.json`, { name: "org/model" });
  put(`${folder}/STSBenchmark.json`, result("STSBenchmark", 0.8203));
  put(`${folder}/SICK-R.json`, result("SICK-R", 0.7758));
  // As Python writes what is not a number.
  put(`${folder}/Own.json`, JSON.stringify(result("Own", 0.5)).replace('"main_score":0.5', '"main_score": NaN'));
});
afterAll(() => rmSync(root, { recursive: true }));

const everything = () => ["run", "other", "ablations", "compare", "pppl", "glue", "mteb"].map((name) => at(name));
const parsed = (html: string) => parseHTML(html).document;

describe("the page", () => {
  test("fetches nothing: no script, style sheet, picture or address outside it", () => {
    const page = parsed(reportHtml(everything()));
    for (const one of page.querySelectorAll("script, img, iframe, object, link")) {
      expect(`${one.tagName} ${one.getAttribute("href") ?? ""}`).toBe("LINK data:,");
    }
    expect(reportHtml(everything()).replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(
      /https?:|url\((?!#)|@import/,
    );
  });

  test("has a section for every kind of run, each chart named, for wide and narrow screens, with a table beside it", () => {
    const page = parsed(reportHtml(everything()));
    expect([...page.querySelectorAll("h2")].map(({ textContent }) => textContent)).toEqual([
      "Training runs",
      "Pseudo-perplexity",
      "MTEB (English, v1)",
      "Encoders compared",
      "GLUE (development set)",
      "Ablations",
      "Settings and versions",
    ]);
    const figures = [...page.querySelectorAll("figure")];
    expect(figures).toHaveLength(9);
    for (const one of figures) {
      const charts = [...one.querySelectorAll("svg")];
      expect(charts.map((chart) => chart.getAttribute("viewBox")!.split(" ")[2])).toEqual(["880", "360"]);
      for (const chart of charts) {
        expect(chart.getAttribute("role")).toBe("img");
        expect(chart.getAttribute("aria-label")).toContain(one.querySelector("figcaption")!.textContent);
        expect(chart.innerHTML).not.toMatch(/NaN|undefined|Infinity/);
      }
      expect(one.querySelectorAll("table tbody tr").length).toBeGreaterThan(0);
    }
  });

  test("shows text of runs as text, whatever is in it", () => {
    const html = reportHtml(everything());
    expect(html).not.toContain("<script>");
    expect(parsed(html).querySelector("pre")!.textContent).toContain("name: </pre><script>");
    expect(html).toContain("change of m0 &lt;&amp;&gt;");
  });

  test("marks every published row as published, and only those", () => {
    const page = parsed(reportHtml(everything()));
    const marked = [...page.querySelectorAll("tr.published th")].map(({ textContent }) => textContent);
    expect(marked).toHaveLength(2 * publishedMteb.length + publishedGlue.length); // MTEB, comparison; GLUE
    expect(marked.every((name) => name!.endsWith(" (published)"))).toBe(true);
    const own = [...page.querySelectorAll("tr:not(.published) th")].map(({ textContent }) => textContent);
    expect(own.filter((name) => name!.includes("published)"))).toEqual(["Full size (published)"]); // a column
  });

  test("says of how many tasks a mean of MTEB is, and shows one without a score as such", () => {
    const page = parsed(reportHtml([at("mteb")]));
    const row = [...page.querySelectorAll("figure tbody tr")][0]!;
    expect([...row.querySelectorAll("th, td")].map(({ textContent }) => textContent)).toEqual([
      "model",
      "–",
      "–",
      "–",
      "–",
      "–",
      "79.8 (2 of 10)",
      "–",
      "79.8 (2 of 56)",
    ]);
    expect(page.querySelector("svg")!.textContent).toContain("STS (2 of 10 tasks)");
    const tasks = [...page.querySelectorAll("section > details tbody tr")].map(({ textContent }) => textContent);
    expect(tasks).toEqual(["Own–", "SICK-R77.6", "STSBenchmark82.0"]);
  });
});

test("a training run is read with its held-out scores, up to a line that is still being written", () => {
  const [found] = readRuns(at("run"));
  expect(found).toMatchObject({
    kind: "training",
    name: "run",
    settings: { optimizer: { lr: 0.001 } },
    versions: { dtype: "bf16", threads: 2 },
    validation: [{ step: 8, scores: { loss: 7.77, accuracy: 0.1 } }],
  });
  expect(found!.kind === "training" && found!.steps.map(({ step }) => step)).toEqual([4, 8, 12]);
});

test("a classifier's page shows each pair of labels with its count, darker the more of the row it has, and a table", () => {
  put("classifier/metrics.jsonl", { step: 1, loss: 1, lr: 1, tokensPerSecond: 1, tokensSeen: 1 });
  const label = (label: string, f1: number, count: number) => ({ label, precision: f1, recall: f1, f1, count });
  const labels = [label("peace", 0.75, 11), label("<war>", 0.625, 7)];
  put("classifier/scores.json", {
    step: 30,
    labels,
    confusion: [
      [8, 3],
      [2, 5],
    ],
  });
  const { document } = parseHTML(reportHtml([at("classifier")]));
  const figures = [...document.querySelectorAll("figure")].filter(({ textContent }) =>
    textContent!.includes("after step 30"),
  );
  expect(figures).toHaveLength(1);
  const [svg] = figures[0]!.querySelectorAll("svg");
  const shades = [...svg!.querySelectorAll("rect")].map((cell) => Number(cell.getAttribute("fill-opacity")));
  expect(shades).toHaveLength(4);
  expect(shades[0]).toBeGreaterThan(shades[3]!);
  expect(shades[1]).toBeLessThan(shades[3]!);
  const counts = [...svg!.querySelectorAll("text")]
    .map(({ textContent }) => textContent)
    .filter((text) => /^\d+$/.test(text!));
  expect(counts).toEqual(["8", "3", "2", "5"]);
  expect(figures[0]!.querySelector("tbody")!.textContent).toContain("peace0.7500.7500.75011");
  expect(document.querySelectorAll("war")).toHaveLength(0);
});

test("a confusion of many labels has them in their order, the ends of long names, and no count of 0 or warning", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  put("intents/metrics.jsonl", { step: 1, loss: 1, lr: 1, tokensPerSecond: 1, tokensSeen: 1 });
  const names = Array.from({ length: 12 }, (_, i) => `a_long_name_of_an_intent_${i}`);
  const labels = names.map((label) => ({ label, precision: 1, recall: 1, f1: 1, count: 7 }));
  const confusion = names.map((_, i) => names.map((_, j) => (i === j ? 7 : 0)));
  put("intents/scores.json", { step: 40, labels, confusion });
  const { document } = parseHTML(reportHtml([at("intents")]));
  const figures = [...document.querySelectorAll("figure")];
  const svg = figures.find(({ textContent }) => textContent!.includes("after step 40"))!.querySelector("svg")!;
  const texts = [...svg.querySelectorAll("text")].map(({ textContent }) => textContent!);
  const ends = names.map((_, i) => `a_long_…${`of_an_intent_${i}`.slice(-8)}`);
  expect(texts.filter((text) => text.includes("…"))).toEqual([...ends, ...ends]);
  expect(texts.filter((text) => /^\d+$/.test(text))).toEqual(Array(12).fill("7"));
  expect(texts.join("")).not.toContain("\u26a0");
  // Squares: as wide as high.
  const [cell] = svg.querySelectorAll("rect");
  expect(Number(cell!.getAttribute("width"))).toBeCloseTo(Number(cell!.getAttribute("height")), 1);
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

const wholeLine = { step: 1, loss: 1, lr: 1, tokensPerSecond: 1, tokensSeen: 1 };

test.each([
  ["a list", [], "expected object, got []"],
  ["a step that is a text", { step: "1", loss: 1 }, 'step: expected number, got "1"'],
  ["a rate that is null", { step: 1, loss: 1, lr: null }, "lr: expected number, got null"],
  ["times that are a list", { ...wholeLine, seconds: [1] }, "seconds: expected record, got [1]"],
  ["scores that are a text", { step: 1, validation: "good" }, 'validation: expected record, got "good"'],
])("metrics with %s are named by file, line and field", (_, line, complaint) => {
  put("damaged/metrics.jsonl", `${JSON.stringify(wholeLine)}\n${JSON.stringify(line)}`);
  expect(() => reportHtml([at("damaged")])).toThrow(
    `${at("damaged/metrics.jsonl")}:2: ${complaint}\nTake the line out`,
  );
});

test("times of a step named as what every object has are none of its parts", () => {
  put("times/metrics.jsonl", { ...wholeLine, seconds: { constructor: 5, toString: 7, forward: 1 } });
  const html = reportHtml([at("times")]);
  expect(html).not.toMatch(/NaN|native code/);
});

test("results of evaluations of another form are named by file and field", () => {
  for (const [file, content, complaint] of [
    ["pppl.json", { model: "m", texts: {} }, "texts: expected array, got {}"],
    ["glue.json", { benchmark: "glue", model: "m", tasks: [] }, "tasks: expected record, got []"],
    ["scores.json", { step: 1, labels: [{ label: 5 }] }, "labels.0.label: expected string, got 5"],
  ] as const) {
    const folder = `form-${file}`;
    put(`${folder}/metrics.jsonl`, wholeLine);
    put(`${folder}/${file}`, content);
    const found = () => reportHtml([at(folder)]);
    expect(found, file).toThrow(`${file}: ${complaint}\nWrite it anew with`);
  }
});

test("folders of no known kind are refused, saying what was looked for", () => {
  put("unknown/notes.txt", "");
  expect(() => reportHtml([at("unknown")])).toThrow(
    /expected a run's folder, got .*unknown without any of metrics.jsonl, glue/,
  );
  expect(() => reportHtml([at("nowhere")])).toThrow(/which is not there/);
  expect(() => reportHtml([at("unknown/notes.txt")])).toThrow(/which is a file/);
  expect(() => reportHtml([])).toThrow(/at least one folder/);
  put("broken/pppl.json", { ...pppl, points: [{ length: "long" }] });
  expect(() => writeReport([at("broken")], at("page.html"))).toThrow(/broken.pppl\.json: points\.0\.length: .*number/);
});

test("a long run is thinned to means of neighbours, whose mean is the run's", () => {
  const steps = Array.from({ length: 10_000 }, (_, i) => ({ ...step(i), loss: Math.sin(i) }));
  const curve = thinned(steps);
  expect(curve.length).toBeLessThanOrEqual(400);
  const mean = (points: { loss: number }[]) => points.reduce((sum, { loss }) => sum + loss, 0) / points.length;
  expect(mean(curve)).toBeCloseTo(mean(steps), 10);
  expect(thinned(steps.slice(0, 300))).toEqual(steps.slice(0, 300));
});

test("an ablation is measured against the last run that was kept, not against a discarded one", () => {
  const rows = ablationRows(ablations);
  expect(rows.map(({ relative }) => relative?.toFixed(2))).toEqual([undefined, "-19.61", "19.61"]); // of 0.51
});

test("figures are files of their own: one SVG with title, background and colours for light and dark", () => {
  for (const svg of [
    ablationFigure(ablations),
    pseudoPerplexityFigure([pppl, { ...pppl, model: "b" }], { width: 400 }),
  ]) {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^>]*role="img"/);
    expect(svg).toContain("prefers-color-scheme:dark");
    expect(svg).toContain('fill="var(--paper)"');
    expect(svg).not.toMatch(/NaN|undefined|<script/);
    const used = new Set([...svg.matchAll(/var\((--\w+)\)/g)].map(([, name]) => name!));
    for (const name of used) expect(svg).toContain(`${name}:#`);
  }
});

test("the comparison table is Markdown with the best of each column in bold and published rows marked", () => {
  expect(comparisonTable(comparison)).toBe(
    [
      "| Model      | Parameters |     Retr |      STS |     Mean |",
      "| ---------- | ---------: | -------: | -------: | -------: |",
      "| NeoBERT\\|x |       8.9M |        – |     50.0 | **45.0** |",
      "| BERT       |       110M | **20.0** | **51.2** |     44.0 |",
      "",
    ].join("\n"),
  );
  const lines = comparisonTable(comparison, { published: true }).split("\n");
  expect(lines.filter((line) => line.includes("(published)"))).toHaveLength(publishedMteb.length);
  expect(lines.find((line) => line.startsWith("| NeoBERT 4096 (published)"))).toMatch(/61\.6 .* 51\.3 \|$/);
});

test("published means are those of the published categories over the 56 tasks", () => {
  const total = mtebCategories.reduce((sum, { tasks }) => sum + tasks, 0);
  expect(total).toBe(56);
  for (const { name, scores, mean } of publishedMteb) {
    const sum = scores.reduce((sum, score, i) => sum + score * mtebCategories[i]!.tasks, 0);
    expect(Math.abs(sum / total - mean), name).toBeLessThan(0.16); // rounded scores
  }
});
