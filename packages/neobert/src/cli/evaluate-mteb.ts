// `neobert evaluate mteb MODEL...`: scores models on MTEB's English tasks (v1), with a bar for each task and a table at the
// end. Results and vectors are kept in the out folder, so the same command goes on after a stop.

import { basename, dirname, resolve } from "node:path";
import { Command, Option } from "commander";
import { Encoder } from "../encoder/encoder.js";
import {
  type EmbeddingModel,
  evaluateMteb,
  type ModelAbout,
  type MtebOptions,
  type MtebProgress,
  type MtebReport,
  mtebTasks,
  openEndpoint,
  summarize,
  summaryLines,
  taskTypes,
} from "../evaluate/index.js";
import { defaultInstructionFormat, promptSources } from "../evaluate/mteb/model.js";
import { comparisonLines, outcomeLine } from "../evaluate/mteb/mteb-summary.js";
import type { Settings } from "../evaluate/mteb/result-file.js";
import { interruptible } from "../terminal/interrupt.js";
import { barOf, formatDuration, grouped, ProgressLine } from "../terminal/progress-line.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { choice, given, part, positive } from "./option-values.js";

type EvaluateFlags = Pick<
  MtebOptions,
  "tasks" | "types" | "part" | "data" | "dataRoot" | "cache" | "force" | "maxTokens"
> &
  Required<Pick<MtebOptions, "instructions" | "instructionFormat" | "out">>;

interface MtebFlags extends ModelFlags, EvaluateFlags {
  endpoint?: string;
  apiKeyEnv: string;
  batchTexts?: number;
  json?: boolean;
  list?: boolean;
}

export function evaluateMtebCommand(): Command {
  const command = new Command("mteb")
    .description(
      "Scores models on MTEB (English, v1, 56 tasks) as mteb 1.34 does, and writes mteb's result files. A task that is " +
        "in the out folder already is kept. Exits with 1 if a task failed.",
    )
    .argument("[models...]", "model folders, run folders, names on the Hub, or addresses of OpenAI-compatible servers")
    .option("--tasks <names...>", "these tasks only, or all (default: those of --data, else all)")
    .addOption(choice("--types <types...>", "tasks of these types only", taskTypes))
    .option(
      "--part <i/n>",
      "every n-th of these tasks alone; the same command without it finds all parts' results; rank: that of the launcher",
      part,
    )
    .addOption(
      choice(
        "--instructions <source>",
        "what goes before texts: the model's own prompts, the paper's instructions, mteb's, or nothing",
        promptSources,
        "model",
      ),
    )
    .addOption(
      new Option("--instruction-format <text>", "how one of mteb's instructions stands before a text").default(
        defaultInstructionFormat,
        JSON.stringify(defaultInstructionFormat),
      ),
    )
    .option("--data <file>", "mapping file (YAML) of local files for tasks, also for data sets of your own")
    .option("--data-root <folder>", "folder that the mapping file's paths start from (default: here)")
    .option("--out <folder>", "folder of result files and vectors", "out/mteb")
    .option("--no-cache", "do not keep vectors")
    .option("--force", "compute again what the out folder holds")
    .option("--endpoint <url>", "ask an OpenAI-compatible server; the models are its names of them")
    .option("--api-key-env <name>", "environment variable that holds the server's key", "OPENAI_API_KEY")
    .option("--batch-texts <n>", "texts of one request to a server (default: 64)", positive)
    .option("--json", "print the summaries as JSON")
    .option("--list", "print the tasks and end");
  return addModelOptions(command).action(run);
}

async function run(models: string[], flags: MtebFlags): Promise<void> {
  if (flags.list) {
    for (const { name, type, hub } of mtebTasks) console.log(`${name.padEnd(40)} ${type.padEnd(20)} ${hub?.name}`);
    return;
  }
  if (models.length === 0)
    throw new Error(
      "evaluate mteb: expected at least one model, got none\nName a model's folder, or its name on the Hub.",
    );
  const message = `stopped: what was computed is in ${flags.out}; the same command goes on`;
  const reports: MtebReport[] = [];
  await interruptible({ message }, async (signal) => {
    for (const name of models) reports.push(await evaluateOne(name, flags, signal, reports));
  });
  const summaries = reports.map(summarize);
  if (flags.json) console.log(JSON.stringify(summaries, null, 2));
  else {
    if (summaries.length > 1) console.log(["", ...comparisonLines(summaries)].join("\n"));
    console.log(["", ...summaryLines(summaries)].join("\n"));
    for (const { folder } of reports) console.log(`Result files: ${folder}`);
  }
  if (summaries.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

async function evaluateOne(name: string, flags: MtebFlags, signal: AbortSignal, before: readonly MtebReport[]) {
  const { tasks, types, part, instructions, instructionFormat, data, dataRoot, out, cache, force, maxTokens, offline } =
    flags;
  const { model, about, settings, dispose } = await openModel(name, flags, signal);
  if (before.some((report) => report.about.name === about.name && report.about.revision === about.revision)) {
    await dispose();
    throw new Error(`evaluate mteb: expected models of different names, got ${about.name} twice\nRename one's folder.`);
  }
  const line = new ProgressLine(progressText);
  const names = tasks?.includes("all") ? mtebTasks.map(({ name }) => name) : tasks;
  line.note(`${about.name}${about.revision ? ` (${about.revision})` : ""}`);
  try {
    return await evaluateMteb({
      model,
      about,
      settings,
      instructions,
      instructionFormat,
      out,
      cache,
      signal,
      ...given({ tasks: names, types, part, data, dataRoot, force, maxTokens }),
      ...(offline && { hub: { offline } }),
      onProgress: (progress) => line.show(progress),
      onTask: (outcome) => line.note(outcomeLine(outcome)),
    });
  } finally {
    line.end();
    await dispose();
  }
}

interface OpenModel {
  model: EmbeddingModel;
  about: ModelAbout;
  settings: Settings;
  dispose: () => Promise<void>;
}

async function openModel(name: string, flags: MtebFlags, signal: AbortSignal): Promise<OpenModel> {
  const isAddress = /^https?:\/\//.test(name);
  if (isAddress || flags.endpoint !== undefined) {
    const apiKey = process.env[flags.apiKeyEnv];
    const model = await openEndpoint({
      url: isAddress ? name : flags.endpoint!,
      ...given({ model: isAddress ? undefined : name, apiKey, batchTexts: flags.batchTexts }),
    });
    return {
      model,
      about: { name: model.name, isApi: true },
      settings: { endpoint: model.url },
      dispose: async () => {},
    };
  }
  const model = await Encoder.load(name, loadOptions(flags, signal));
  const { folder, maxTokens, dimension, similarityFunction: similarity } = model;
  const revision = /[/\\]snapshots[/\\]([0-9a-f]{40})$/.exec(folder)?.[1];
  return {
    model,
    about: {
      name: revision ? name : folderName(name),
      maxTokens,
      dimension,
      similarity,
      ...(revision && { revision }),
    },
    settings: { engine: flags.engine!, dtype: flags.dtype! },
    dispose: () => model.dispose(),
  };
}

/** What a local model is called: its folder's name, for `RUN/model` that of the run. */
export function folderName(path: string): string {
  const whole = resolve(path);
  return basename(whole) === "model" ? basename(dirname(whole)) : basename(whole);
}

const steps = { data: "reading", encoding: "encoding", scoring: "scoring" };

/** `3/56 STSBenchmark [=====>    ] 45% encoding 812 texts/s 12s` */
export function progressText(
  { task, number, tasks, step, done, total, seconds }: MtebProgress,
  barColumns: number,
): string {
  const head = `${number}/${tasks} ${task.name}`;
  if (total === 0) return `${head} ${steps[step]}`;
  const share = Math.min(1, done / total);
  const rate = step === "encoding" ? [`${grouped(done / seconds)} texts/s`] : [];
  const bar = [...barOf(share, barColumns), `${Math.floor(100 * share)}%`];
  return [head, ...bar, steps[step], ...rate, formatDuration(seconds)].join(" ");
}
