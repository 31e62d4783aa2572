// `writeReport`: folders of runs and evaluations to one self-contained HTML page.

import { stringify } from "yaml";
import { writeFileAtomic } from "../files/atomic.js";
import { packageVersion } from "../files/package.js";
import { ablationChart, ablationRows, signed } from "./ablations.js";
import { escapeXml } from "./chart.js";
import { figure, pageHtml, paragraph, type Section, tableHtml } from "./html.js";
import { pseudoPerplexityChart, shown, trainedLengthOf } from "./pseudo-perplexity.js";
import { publishedAblations } from "./published.js";
import { type ReportedRun, readRuns } from "./read-run.js";
import { comparisonSection, glueSection, mtebSection } from "./score-tables.js";
import { trainingSection } from "./training.js";

export interface ReportOptions {
  /** The page's heading; default "Report". */
  title?: string;
  /** Its date; default now. */
  date?: Date;
}

/** Writes the page of these folders to `file`. Throws where one of them is of no known kind, naming what was expected. */
export function writeReport(folders: readonly string[], file: string, options: ReportOptions = {}): void {
  writeFileAtomic(file, reportHtml(folders, options));
}

/** The page as text. */
export function reportHtml(
  folders: readonly string[],
  { title = "Report", date = new Date() }: ReportOptions = {},
): string {
  if (folders.length === 0) throw new Error("report: expected at least one folder of a run, got none");
  const runs = distinctNames(folders.flatMap(readRuns));
  const intro = `${countOf(runs)}; written by neobert ${packageVersion()} on ${date.toISOString().slice(0, 10)}.`;
  return pageHtml(title, intro, sectionsOf(runs));
}

function sectionsOf(runs: readonly ReportedRun[]): Section[] {
  const of = <K extends ReportedRun["kind"]>(kind: K) =>
    runs.filter((run): run is Extract<ReportedRun, { kind: K }> => run.kind === kind);
  const when = <T>(found: T[], make: (found: T[]) => Section): Section[] => (found.length > 0 ? [make(found)] : []);
  const benchmarks = [...new Set(of("glue").map(({ data }) => data.benchmark))];
  const runsOf = (benchmark: string) => of("glue").filter(({ data }) => data.benchmark === benchmark);
  return [
    ...when(of("training"), trainingSection),
    ...when(of("pppl"), pseudoPerplexitySection),
    ...when(of("mteb"), mtebSection),
    ...when(of("comparison"), comparisonSection),
    ...benchmarks.map((benchmark) => glueSection(benchmark, runsOf(benchmark))),
    ...when(of("ablations"), ablationSection),
    settingsSection(runs),
  ];
}

function pseudoPerplexitySection(runs: readonly Extract<ReportedRun, { kind: "pppl" }>[]): Section {
  const [models, names] = [runs.map(({ data }) => data), runs.map(({ name }) => name)];
  const chart = pseudoPerplexityChart(models, names);
  const table = {
    columns: ["Model", "Tokens up to", "Texts", "Median", "25 %", "75 %"],
    rows: runs.flatMap(({ name, data }) =>
      data.points.map(({ length, texts, median, q25, q75 }) => ({
        cells: [name, length.toLocaleString("en-US"), `${texts}`, ...[median, q25, q75].map(shown)],
      })),
    ),
    note: runs
      .map(({ name, data }) => {
        const trained = trainedLengthOf(data);
        const { sample } = data.settings;
        const masked = typeof sample === "number" ? `${sample} tokens of each text masked` : "every token masked";
        return `${name}: ${masked}${trained === undefined ? "" : `, trained on up to ${trained.toLocaleString("en-US")} tokens`}.`;
      })
      .join(" "),
  };
  return {
    title: "Pseudo-perplexity",
    html: `${paragraph("Every token masked alone; lower is better. Line: median of the texts of a bin; band: their middle half.")}${figure(chart, table)}`,
  };
}

function ablationSection(runs: readonly Extract<ReportedRun, { kind: "ablations" }>[]): Section {
  const html = runs.map(({ data }) => {
    const rows = ablationRows(data).map((row) => ({
      cells: [
        row.name,
        row.change,
        row.mean.toFixed(1),
        row.std.toFixed(1),
        `${row.seeds.length}`,
        row.relative === undefined ? "" : `${signed(row.relative)} %`,
        row.branch ? "discarded" : "kept",
        row.heldOutLoss?.toFixed(3) ?? "–",
        publishedAblations[row.name.toLowerCase()]?.toFixed(1) ?? "–",
      ],
    }));
    return figure(ablationChart(data), {
      columns: [
        "Run",
        "Change",
        "GLUE average",
        "std",
        "Seeds",
        "Relative",
        "",
        "Held-out loss",
        "Full size (published)",
      ],
      rows,
      note: "Published: NeoBERT paper (arXiv 2502.19587v2), figure 1, a million steps each.",
    });
  });
  return { title: "Ablations", html: html.join("\n") };
}

/** What each run was made with: its settings as YAML, versions as a table. */
function settingsSection(runs: readonly ReportedRun[]): Section {
  const parts = runs.map((run) => {
    const data = "data" in run ? run.data : run;
    const settings = "settings" in data ? data.settings : {};
    const { versions } = data;
    const heading = `<h3>${escapeXml(run.name)}: ${kinds[run.kind][0]}</h3>`;
    const entries = Object.entries(versions);
    const table = tableHtml({
      columns: ["Made with", ""],
      rows: entries.map(([key, value]) => ({
        cells: [key, typeof value === "object" ? JSON.stringify(value) : `${value}`],
      })),
    });
    const yaml = Object.keys(settings).length > 0 ? `<pre tabindex="0">${escapeXml(stringify(settings))}</pre>` : "";
    return `${heading}${entries.length > 0 ? table : ""}${yaml && `<details><summary>Settings</summary>${yaml}</details>`}`;
  });
  return { title: "Settings and versions", html: parts.join("\n") };
}

const kinds: Record<ReportedRun["kind"], [string, string]> = {
  training: ["training run", "training runs"],
  mteb: ["set of MTEB results", "sets of MTEB results"],
  glue: ["set of fine-tuning results", "sets of fine-tuning results"],
  pppl: ["set of pseudo-perplexity", "sets of pseudo-perplexity"],
  ablations: ["ablation series", "ablation series"],
  comparison: ["comparison", "comparisons"],
};

function countOf(runs: readonly ReportedRun[]): string {
  const counts = new Map<ReportedRun["kind"], number>();
  for (const { kind } of runs) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${count} ${kinds[kind][count === 1 ? 0 : 1]}`).join(", ");
}

/** Runs of one kind and name are numbered. */
function distinctNames(runs: readonly ReportedRun[]): ReportedRun[] {
  const seen = new Map<string, number>();
  return runs.map((run) => {
    const key = `${run.kind} ${run.name}`;
    const number = (seen.get(key) ?? 0) + 1;
    seen.set(key, number);
    return number === 1 ? run : { ...run, name: `${run.name} (${number})` };
  });
}
