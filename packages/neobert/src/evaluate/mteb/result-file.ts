// Result files in mteb 1.34's own layout, `OUT/MODEL/REVISION/TASK.json`, which mteb reads (`TaskResult.from_disk`), with
// `model_meta.json` beside them; and `neobert.json`, which says what the numbers were made with and how long it took.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../files/atomic.js";
import { checked, shortened } from "../../files/checked.js";
import { readJsonFile } from "../../files/input-file.js";
import { packageVersion } from "../../files/package.js";
import type { Scores } from "../evaluators/types.js";
import type { MtebTask } from "./mteb-tasks.js";

/** The version of mteb that the tasks, their scores and these files follow. */
export const MTEB_VERSION = "1.34.14";

/** mteb's TaskResult. Scores are 0 .. 1. */
export interface TaskResult {
  dataset_revision: string;
  task_name: string;
  mteb_version: string;
  /** Split -> an entry for each subset. */
  scores: Record<string, (Scores & { hf_subset: string; languages: string[] })[]>;
  /** Seconds. */
  evaluation_time: number;
  kg_co2_emissions: null;
}

export interface ModelAbout {
  name: string;
  /** The commit on the Hub, where the model is from there. */
  revision?: string | undefined;
  parameters?: number | undefined;
  maxTokens?: number | undefined;
  dimension?: number | undefined;
  similarity?: string | undefined;
  isApi?: boolean | undefined;
}

/** What must be the same for results to stand side by side in one folder. */
export type Settings = Record<string, string | number | boolean | null>;

export interface TaskTiming {
  seconds: number;
  /** The part of it that the model took. */
  encodeSeconds: number;
}

export function resultOf(task: MtebTask, scores: Scores, seconds: number): TaskResult {
  return {
    dataset_revision: task.hub?.revision ?? "no_revision_available",
    task_name: task.name,
    mteb_version: MTEB_VERSION,
    scores: { [task.split]: [{ ...scores, hf_subset: task.subset, languages: ["eng-Latn"] }] },
    evaluation_time: seconds,
    kg_co2_emissions: null,
  };
}

/** The main score, 0 .. 1: the mean over the result's subsets. */
export function mainScoreOf({ scores }: TaskResult): number {
  const entries = Object.values(scores).flat();
  return entries.reduce((sum, { main_score }) => sum + main_score, 0) / entries.length;
}

/** What neobert.json beside the results holds. */
interface ModelRecord {
  versions: Record<string, string>;
  settings: Settings;
  tasks: Record<string, TaskTiming>;
}

const setting = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const recordSchema = z.looseObject({
  versions: z.record(z.string(), z.string()),
  settings: z.record(z.string(), setting),
  tasks: z.record(z.string(), z.looseObject({ seconds: z.number(), encodeSeconds: z.number() })),
});
/** A score that is not a number is null. */
const resultSchema = z.looseObject({
  scores: z.record(z.string(), z.array(z.looseObject({ main_score: z.number().nullable() }))),
});

/** The folder of one model's results, with what it was made with checked against what it is now. */
export class ResultFolder {
  readonly path: string;
  readonly #record: ModelRecord;

  /** Throws where the folder holds results of other weights or settings, unless `replace` is set. */
  constructor(out: string, about: ModelAbout, settings: Settings, replace = false) {
    this.path = join(out, fileName(about.name), about.revision ?? "no_revision_available");
    mkdirSync(this.path, { recursive: true });
    const file = join(this.path, "neobert.json");
    const versions = { neobert: packageVersion(), mteb: MTEB_VERSION, node: process.version };
    this.#record = { versions, settings, tasks: {} };
    if (existsSync(file)) {
      const wayOut = "Choose another `out`, or delete the file.";
      const before = checked(readJsonFile(file), recordSchema, { where: file, wayOut });
      const changed = Object.keys({ ...before.settings, ...settings }).filter(
        (key) => settingIn(before.settings, key) !== settingIn(settings, key),
      );
      if (changed.length > 0 && replace) {
        for (const name of readdirSync(this.path)) if (name.endsWith(".json")) rmSync(join(this.path, name));
      } else if (changed.length > 0) {
        const list = changed.map(
          (key) => `${key} ${settingIn(before.settings, key)} (now ${settingIn(settings, key)})`,
        );
        throw new Error(
          `${this.path}: expected results of the same model and settings, got ${shortened(list.join(", "))}\n` +
            "Choose another `out`, or compute all of them again with `force`.",
        );
      }
      if (changed.length === 0) this.#record.tasks = before.tasks;
    }
    this.#save();
    writeJson(join(this.path, "model_meta.json"), modelMeta(about));
  }

  read(task: MtebTask): TaskResult | undefined {
    const file = join(this.path, `${fileName(task.name)}.json`);
    if (!existsSync(file)) return undefined;
    const wayOut = "Delete the file: it is computed again.";
    return checked(readJsonFile(file), resultSchema, { where: file, wayOut }) as unknown as TaskResult;
  }

  write(task: MtebTask, result: TaskResult, timing: TaskTiming): void {
    writeJson(join(this.path, `${fileName(task.name)}.json`), { ...result, scores: rounded(result.scores) });
    // Other parts of the same run write there too.
    const found = recordSchema.safeParse(readJsonFile(join(this.path, "neobert.json")));
    this.#record.tasks = { ...found.data?.tasks, ...this.#record.tasks };
    this.#record.tasks[task.name] = { seconds: timing.seconds, encodeSeconds: timing.encodeSeconds };
    this.#save();
  }

  timing(task: MtebTask): TaskTiming | undefined {
    const { tasks } = this.#record;
    return Object.hasOwn(tasks, task.name) ? tasks[task.name] : undefined;
  }

  #save(): void {
    writeJson(join(this.path, "neobert.json"), this.#record);
  }
}

const settingIn = (settings: Settings, key: string) =>
  (Object.hasOwn(settings, key) ? settings[key] : undefined) ?? null;

/** A name as mteb makes folders of it. */
export const fileName = (name: string) => name.replaceAll(/[/\\]/g, "__").replaceAll(" ", "_");

const writeJson = (path: string, value: unknown) => writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);

/** Numbers to six decimals, as mteb writes them. NaN becomes null, which JSON has. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? Number(value.toFixed(6)) : null;
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rounded(item)]));
}

/** mteb's ModelMeta, field for field; what is not known is null. */
function modelMeta({ name, revision, parameters, maxTokens, dimension, similarity, isApi }: ModelAbout) {
  return {
    name,
    revision: revision ?? "no_revision_available",
    release_date: null,
    languages: null,
    n_parameters: parameters ?? null,
    memory_usage_mb: null,
    max_tokens: maxTokens ?? null,
    embed_dim: dimension ?? null,
    license: null,
    open_weights: isApi ? false : null,
    public_training_code: null,
    public_training_data: null,
    framework: [isApi ? "API" : "Sentence Transformers"],
    reference: null,
    similarity_fn_name: similarity === "cosine" || similarity === "dot" ? similarity : null,
    use_instructions: null,
    training_datasets: null,
    adapted_from: null,
    superseded_by: null,
    modalities: ["text"],
    loader: null,
  };
}
