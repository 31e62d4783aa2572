// A folder to what it is, told by the files that it holds: a training run, MTEB results, GLUE, pseudo-perplexity, an
// ablation series, a comparison.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { checked } from "../files/checked.js";
import { readJsonObject, readTextFile } from "../files/input-file.js";
import { latestCheckpoint } from "../files/run-folder.js";
import { parseYaml } from "../files/yaml.js";
import {
  type Ablations,
  type ClassScoresFile,
  type Comparison,
  formats,
  type Glue,
  type PseudoPerplexity,
  readFormat,
  type TaskResultFile,
} from "./formats.js";

const number = z.number();
const metricsLine = z.looseObject({
  step: number,
  loss: z.unknown().optional(),
  validation: z.record(z.string(), z.unknown()).nullish(),
});
const stepLine = z.looseObject({
  ...{ step: number, loss: number, lr: number, tokensPerSecond: number, tokensSeen: number },
  seconds: z.record(z.string(), number).default({}),
});

/** A line of `metrics.jsonl` of a step. */
export type StepMetrics = z.output<typeof stepLine>;

export interface TrainingRun {
  kind: "training";
  name: string;
  steps: StepMetrics[];
  validation: { step: number; scores: Record<string, number> }[];
  settings: Record<string, unknown>;
  versions: Record<string, unknown>;
  /** Of a classifier that has been evaluated. */
  classScores?: ClassScoresFile;
}

export interface MtebResults {
  kind: "mteb";
  name: string;
  results: TaskResultFile[];
  settings: Record<string, unknown>;
  versions: Record<string, unknown>;
}

export type ReportedRun =
  | TrainingRun
  | MtebResults
  | { kind: "glue"; name: string; data: Glue }
  | { kind: "pppl"; name: string; data: PseudoPerplexity }
  | { kind: "ablations"; name: string; data: Ablations }
  | { kind: "comparison"; name: string; data: Comparison };

/** What a folder holds, MTEB's several models singly. Throws where it is none of the known kinds. */
export function readRuns(folder: string): ReportedRun[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Error(
      `report: expected a folder, got ${folder}, which is ${existsSync(folder) ? "a file" : "not there"}`,
    );
  }
  const found: ReportedRun[] = [];
  const name = basename(resolve(folder));
  const whenThere = (file: string, read: (path: string) => ReportedRun) => {
    const path = join(folder, file);
    if (existsSync(path)) found.push(read(path));
  };
  whenThere("metrics.jsonl", () => readTrainingRun(folder, name));
  for (const file of ["glue.json", "superglue.json"]) {
    whenThere(file, (path) => {
      const data = readFormat(path, formats.glue);
      return { kind: "glue", name: shortName(data.model), data };
    });
  }
  whenThere("pppl.json", () => {
    const data = readPseudoPerplexity(folder);
    return { kind: "pppl", name: shortName(data.model), data };
  });
  whenThere("ablations.json", (path) => ({ kind: "ablations", name, data: readFormat(path, formats.ablations) }));
  whenThere("compare.json", (path) => ({ kind: "comparison", name, data: readFormat(path, formats.comparison) }));
  found.push(...resultFolders(folder).map(readMteb));
  if (found.length > 0) return found;
  throw new Error(
    `report: expected a run's folder, got ${folder} without any of metrics.jsonl, glue.json, superglue.json, pppl.json, ` +
      "ablations.json, compare.json, MODEL/REVISION/model_meta.json\nName the folders that pretrain, finetune and evaluate write.",
  );
}

/** What `evaluate pppl` wrote into a folder. Throws where it is not there or of another form. */
export function readPseudoPerplexity(folder: string): PseudoPerplexity {
  return readFormat(join(folder, "pppl.json"), formats.pseudoPerplexity);
}

/** The last part of a path or of a name on the Hub; of `RUN/model` that of the run. */
export function shortName(model: string): string {
  const parts = model.split(/[/\\]/).filter((part) => part !== "");
  return (parts.at(-1) === "model" ? parts.at(-2) : parts.at(-1)) ?? model;
}

function readTrainingRun(folder: string, name: string): TrainingRun {
  const steps: StepMetrics[] = [];
  const validation: TrainingRun["validation"] = [];
  const metricsFile = join(folder, "metrics.jsonl");
  const wayOut = "Take the line out, or copy the folder again.";
  for (const [index, line] of readTextFile(metricsFile).split("\n").entries()) {
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      continue; // the last line of a run that is being written
    }
    const record = checked(json, metricsLine, { where: `${metricsFile}:${index + 1}`, wayOut });
    if (record.validation) {
      const scores = Object.entries(record.validation).filter(([, value]) => typeof value === "number");
      validation.push({ step: record.step, scores: Object.fromEntries(scores) as Record<string, number> });
    } else if (typeof record.loss === "number")
      steps.push(checked(json, stepLine, { where: `${metricsFile}:${index + 1}`, wayOut }));
  }
  const settingsFile = join(folder, "run.yaml");
  const yaml = existsSync(settingsFile) ? parseYaml(readTextFile(settingsFile), settingsFile) : {};
  const form = { where: settingsFile, wayOut: "Copy the folder again." };
  const settings = checked(yaml ?? {}, z.record(z.string(), z.unknown()), form);
  const scoresFile = join(folder, "scores.json");
  return {
    kind: "training",
    name,
    steps,
    validation,
    settings,
    versions: recordOf(folder),
    ...(existsSync(scoresFile) && { classScores: readFormat(scoresFile, formats.classScores) }),
  };
}

/** The machine's part of a run (type, threads, versions), as its newest checkpoint has it. */
function recordOf(folder: string): Record<string, unknown> {
  const checkpoint = latestCheckpoint(folder);
  const file = checkpoint && join(checkpoint, "training/state.json");
  return file && existsSync(file) ? (readJsonObject<{ record?: Record<string, unknown> }>(file).record ?? {}) : {};
}

/** Folders of mteb's layout in this one: itself, its children and theirs. */
function resultFolders(folder: string, depth = 2): string[] {
  if (existsSync(join(folder, "model_meta.json"))) return [folder];
  if (depth === 0) return [];
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names.flatMap((entry) => resultFolders(join(folder, entry.name), depth - 1)).sort();
}

function readMteb(folder: string): MtebResults {
  const names = readdirSync(folder).filter(
    (name) => name.endsWith(".json") && !["model_meta.json", "neobert.json"].includes(name),
  );
  const about = join(folder, "neobert.json");
  const { settings = {}, versions = {} } = existsSync(about)
    ? readJsonObject<Pick<Partial<MtebResults>, "settings" | "versions">>(about)
    : {};
  const name = basename(dirname(resolve(folder)))
    .split("__")
    .at(-1)!;
  const results = names.sort().map((name) => readFormat(join(folder, name), formats.taskResult));
  return { kind: "mteb", name, results, settings, versions };
}
