// `evaluateMteb`: one model, many tasks, one after another. A task's result is written when it is there, so a run that was
// stopped goes on with the next; a task that fails is reported and does not stop the others.

import { join } from "node:path";
import { everyNth, type Part } from "../../files/part.js";
import { weightsIdentity } from "../../files/weights-identity.js";
import type { HubOptions } from "../../hub/resolve.js";
import type { Encode, VectorRows } from "../evaluators/types.js";
import { EmbeddingCache } from "./embedding-cache.js";
import { evaluateTask } from "./evaluate-task.js";
import { fetchHubData } from "./hub-data.js";
import { type LocalData, readLocalData } from "./local-data.js";
import {
  defaultInstructionFormat,
  type EmbeddingModel,
  type PromptChoice,
  type PromptSource,
  promptOf,
} from "./model.js";
import { type MtebTask, selectTasks, type TaskType } from "./mteb-tasks.js";
import {
  type ModelAbout,
  mainScoreOf,
  ResultFolder,
  resultOf,
  type Settings,
  type TaskResult,
  type TaskTiming,
} from "./result-file.js";
import { countTexts, readTaskData } from "./task-data.js";

export interface MtebOptions {
  /** An `Encoder`, what `openEndpoint` gives, or anything else with their `encode`. */
  model: EmbeddingModel;
  /** The model's name and what else is known of it; `name` is its folder under `out`. */
  about: ModelAbout;
  /**
   * All that makes this model's vectors besides its name and the weights in its `folder` (type, engine; of a model without a
   * folder its version too); kept results and vectors must agree in it.
   */
  settings?: Settings;
  /** Names; default: the tasks of `data`, or without it all 56. */
  tasks?: readonly string[];
  types?: readonly TaskType[];
  /**
   * Runs every n-th of them alone, into the same `out`; those that are means of others (CQADupstack) are left to the run
   * without a part, which finds the other results there.
   */
  part?: Part;
  /** Default "model"; see `PromptSource`. */
  instructions?: PromptSource;
  /** For instructions "mteb": how one stands before a text, with `{instruction}` in it. */
  instructionFormat?: string;
  /** Mapping file of local data; its paths are relative to `dataRoot` (default: here). Other tasks come from the Hub. */
  data?: string;
  dataRoot?: string;
  /** Folder of result files and cached vectors; without it nothing is kept. */
  out?: string;
  /** Whether vectors are kept in `out`; default true. */
  cache?: boolean;
  /** Computes tasks that `out` holds already. */
  force?: boolean;
  maxTokens?: number;
  hub?: HubOptions;
  onProgress?: (progress: MtebProgress) => void;
  onTask?: (outcome: TaskOutcome) => void;
  /** Aborting it rejects; what was written is kept. */
  signal?: AbortSignal;
}

export interface MtebProgress {
  task: MtebTask;
  /** Place among the tasks of this run, from 1. */
  number: number;
  tasks: number;
  step: "data" | "encoding" | "scoring";
  /** Texts that are encoded, of how many at most. */
  done: number;
  total: number;
  seconds: number;
}

export interface TaskOutcome {
  task: MtebTask;
  /** Main score, 0 .. 1; absent where the task failed. */
  score?: number;
  result?: TaskResult;
  timing?: TaskTiming | undefined;
  /** Whether the result was there before. */
  kept?: boolean;
  error?: Error;
}

export interface MtebReport {
  about: ModelAbout;
  /** In the order of the benchmark's list; parts of CQADupstack come before it. */
  outcomes: TaskOutcome[];
  /** Folder of the result files. */
  folder?: string;
}

/** Scores a model. Rejects for wrong arguments; tasks that fail are in the report with their errors. */
export async function evaluateMteb(options: MtebOptions): Promise<MtebReport> {
  const { about, out, force = false, signal } = options;
  const prompts = {
    source: options.instructions ?? "model",
    format: options.instructionFormat ?? defaultInstructionFormat,
  };
  const local = options.data === undefined ? undefined : readLocalData(options.data, options.dataRoot);
  const names = options.tasks ?? (local && [...local.sources.keys()]);
  const selected = selectTasks({ tasks: names, types: options.types }, local?.own);
  if (selected.length === 0)
    throw new Error("evaluateMteb: expected at least one task of these names and types, got none");
  const weights = options.model.folder === undefined ? undefined : await weightsIdentity(options.model.folder);
  const settings: Settings = {
    ...(weights !== undefined && { weights }),
    ...options.settings,
    instructions: prompts.source,
    ...(prompts.source === "mteb" && { instructionFormat: prompts.format }),
    maxTokens: options.maxTokens ?? about.maxTokens ?? null,
  };
  const folder = out === undefined ? undefined : new ResultFolder(out, about, settings, force);
  const cached = out !== undefined && options.cache !== false;
  const identity = JSON.stringify({ name: about.name, revision: about.revision ?? null, ...settings });
  const cache = new EmbeddingCache(cached ? join(out, "embeddings") : undefined, identity);
  const outcomes = new Map<string, TaskOutcome>();
  const finish = (outcome: TaskOutcome) => {
    outcomes.set(outcome.task.name, outcome);
    options.onTask?.(outcome);
  };
  const runs = selected.flatMap((task) => [...(task.subtasks ?? []), task]);
  const all = [...new Map(runs.map((task) => [task.name, task])).values()];
  const { part } = options;
  const tasks = part
    ? everyNth(
        all.filter(({ subtasks }) => !subtasks),
        part,
      )
    : all;
  try {
    for (const [i, task] of tasks.entries()) {
      signal?.throwIfAborted();
      const before = force ? undefined : folder?.read(task);
      if (before) {
        finish({ task, score: mainScoreOf(before), result: before, timing: folder?.timing(task), kept: true });
        continue;
      }
      const progress = { task, number: i + 1, tasks: tasks.length };
      try {
        const { result, timing } = task.subtasks
          ? meanOf(task, outcomes)
          : await runTask(task, { ...options, local, cache, prompts, progress });
        folder?.write(task, result, timing);
        finish({ task, score: mainScoreOf(result), result, timing });
      } catch (error) {
        signal?.throwIfAborted();
        finish({ task, error: error as Error });
      }
    }
  } finally {
    cache.close();
  }
  return { about, outcomes: [...outcomes.values()], ...(folder && { folder: folder.path }) };
}

interface TaskRun extends Omit<MtebOptions, "cache"> {
  local: LocalData | undefined;
  cache: EmbeddingCache;
  prompts: PromptChoice;
  progress: Pick<MtebProgress, "task" | "number" | "tasks">;
}

async function runTask(task: MtebTask, run: TaskRun): Promise<{ result: TaskResult; timing: TaskTiming }> {
  const { model, cache, prompts, maxTokens, signal } = run;
  const start = performance.now();
  const secondsSince = (time: number) => (performance.now() - time) / 1000;
  let [done, total, encodeSeconds] = [0, 0, 0];
  const show = (step: MtebProgress["step"], extra = 0) =>
    run.onProgress?.({
      ...run.progress,
      step,
      done: Math.min(total, done + extra),
      total,
      seconds: secondsSince(start),
    });
  show("data");
  const sources =
    run.local?.sources.get(task.name) ?? (await fetchHubData(task, { ...run.hub, ...(signal && { signal }) }));
  const data = await readTaskData(task, sources);
  total = countTexts(data, task);
  const evaluationStart = performance.now();
  const encode: Encode = async (texts, role) => {
    const prompt = promptOf(task, role, model.prompts ?? {}, prompts);
    show("encoding");
    const vectors = await cache.encode(texts, prompt ?? "(default)", {
      compute: async (missing, onProgress) => {
        const begun = performance.now();
        try {
          const vectors = await model.encode(missing, {
            ...(prompt !== undefined && { prompt }),
            ...(maxTokens !== undefined && { maxTokens }),
            ...(signal && { signal }),
            onProgress: ({ done }) => onProgress(done),
          });
          expectFinite(vectors, missing);
          return vectors;
        } finally {
          encodeSeconds += secondsSince(begun);
        }
      },
      onProgress: (count) => show("encoding", count),
    });
    done += texts.length;
    show("scoring");
    return vectors;
  };
  const scores = await evaluateTask(task, data, encode, signal);
  if (!Number.isFinite(scores.main_score)) {
    throw new Error(
      `${task.name}: expected a number as ${task.mainScore}, got ${scores.main_score}\nAre the vectors finite, and do they differ?`,
    );
  }
  const timing = { seconds: secondsSince(start), encodeSeconds };
  return { result: resultOf(task, scores, secondsSince(evaluationStart)), timing };
}

/** Throws for vectors that are no numbers (an overflow, a broken checkpoint), which some evaluators would rank without a word. */
function expectFinite({ data, shape: [, d] }: VectorRows, texts: readonly string[]): void {
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong < 0) return;
  const text = JSON.stringify(texts[Math.floor(wrong / d)]?.slice(0, 60));
  throw new Error(
    `encode: expected finite numbers, got ${data[wrong]} in the vector of ${text}\nIs the type too narrow for the model?`,
  );
}

/** The result of a task that is the mean of others; they were run before. */
function meanOf(task: MtebTask, outcomes: ReadonlyMap<string, TaskOutcome>) {
  const parts = task.subtasks!.map(({ name }) => outcomes.get(name));
  const failed = parts.flatMap((part) => (part?.score === undefined ? [part?.task.name] : []));
  if (failed.length > 0) {
    throw new Error(
      `${task.name}: expected a score of each of its ${parts.length} parts, got none of ${failed.join(", ")}`,
    );
  }
  const mean = parts.reduce((sum, part) => sum + part!.score!, 0) / parts.length;
  const seconds = parts.reduce((sum, part) => sum + part!.result!.evaluation_time, 0);
  const scores = { [task.mainScore]: mean, main_score: mean };
  return { result: resultOf(task, scores, seconds), timing: { seconds: 0, encodeSeconds: 0 } };
}
