// `neobert finetune glue MODEL` and `neobert finetune superglue MODEL`: thin over `finetuneGlue` and `finetuneSuperglue` of
// neobert/train. Ctrl-C writes a checkpoint and stops; the same command goes on there.

import { Command } from "commander";
import { glue } from "../evaluate/glue/glue.js";
import { summaryTable } from "../evaluate/glue/glue-summary.js";
import type { Benchmark } from "../evaluate/glue/glue-task.js";
import { type Grid, type GridName, grids } from "../evaluate/glue/grid.js";
import { superglue } from "../evaluate/glue/superglue.js";
import { partText } from "../files/part.js";
import { interruptible } from "../terminal/interrupt.js";
import { barOf, ProgressLine } from "../terminal/progress-line.js";
import type { BenchmarkProgress, BenchmarkResult } from "../train/classify/benchmark.js";
import { type FinetuneBenchmarkOptions, finetuneGlue, finetuneSuperglue } from "../train/worker/train-runs.js";
import { stoppingNote } from "./follow-run.js";
import { choice, device, given, list, part, positive, wholeNumber } from "./option-values.js";

type Options = Omit<FinetuneBenchmarkOptions, "model" | "grid" | "onStep" | "onNote" | "signal">;

interface BenchmarkFlags extends Options, Partial<Grid> {
  grid: GridName;
}

type Finetune = (options: FinetuneBenchmarkOptions) => Promise<BenchmarkResult>;

export const glueCommand = () => benchmarkCommand(glue, finetuneGlue);
export const superglueCommand = () => benchmarkCommand(superglue, finetuneSuperglue);

function benchmarkCommand(benchmark: Benchmark, finetune: Finetune): Command {
  const { id, title, tasks } = benchmark;
  const names = tasks.filter(({ answeredBy }) => !answeredBy).map((task) => task.id);
  const command = new Command(id)
    .summary(`fine-tune on ${title}'s tasks`)
    .description(
      `Fine-tunes a model on ${title}'s tasks: the grid by the first seed, the best point by validation score with all\n` +
        `seeds. The folder gets ${id}.json, ${id}.md and the best model of each task; runs that are done there stay done.`,
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .requiredOption("--out <folder>", "where runs, models and results go")
    .option("--tasks <names>", `some of ${names.join(",")}; default all`, list(String))
    .addOption(choice("--grid <name>", "settings to try", Object.keys(grids), "quick"))
    .option("--learning-rates <list>", "in place of the grid's", list(Number))
    .option("--batch-sizes <list>", "in place of the grid's", list(Number))
    .option("--weight-decays <list>", "in place of the grid's", list(Number))
    .option("--epochs <n>", "in place of the grid's", positive)
    .option("--patience <n>", "evaluations without gain after which a run ends", positive)
    .option("--seeds <n>", "seeds that the best point is run with", positive, 1)
    .option("--seed <n>", "the first of them", wholeNumber, 0)
    .option(
      "--part <i/n>",
      "every n-th run alone; the same command without it finds all parts' results; rank: that of the launcher",
      part,
    )
    .option("--data <folder>", `local copy of the data, as ${title} hands it out or as on the Hub`)
    .option("--limit <n>", "at most so many training examples of a task", positive)
    .option("--submission", "write the answers to the test sets")
    .option("--max-length <n>", "longest text in tokens", positive, 512)
    .addOption(choice("--dtype <type>", "compute type; auto measures", ["auto", "fp32", "bf16"], "auto"))
    .option("--threads <n>", "threads; default all cores", positive)
    .option(
      "--device <device>",
      "where the model computes: cpu, cuda, cuda:1, or auto, a GPU where one can be used",
      device,
      "cpu" as const,
    );
  if (tasks.some(({ startsFromMnli }) => startsFromMnli)) {
    command.option("--mnli <folder>", "model that has learnt MNLI, for the tasks that the paper starts from it");
  }
  return command.action((model: string, flags: BenchmarkFlags) => run(finetune, model, flags));
}

async function run(finetune: Finetune, model: string, flags: BenchmarkFlags): Promise<void> {
  const { grid: gridName, learningRates, batchSizes, weightDecays, epochs, patience, out, ...rest } = flags;
  const own = given({ learningRates, batchSizes, weightDecays, epochs, patience });
  const grid: Partial<Grid> = { ...grids[gridName], ...own };
  const progress = new ProgressLine<BenchmarkProgress>(({ task, run, runs, step, steps, loss }, columns) =>
    [
      `${task} ${run}/${runs}`,
      ...barOf(step / steps, columns),
      `step ${step}/${steps}`,
      `loss ${loss.toFixed(3)}`,
    ].join("  "),
  );
  const how = {
    message: "stopped; the same command goes on where it was",
    onStop: () => progress.note(stoppingNote),
    isDone: ({ finished }: BenchmarkResult) => finished,
    isSaved: () => true,
  };
  const work = (signal: AbortSignal) =>
    finetune({
      ...given(rest),
      model,
      out,
      grid,
      signal,
      onStep: (step) => progress.show(step),
      onNote: (text) => progress.note(text),
    });
  const { summary, finished } = await interruptible(how, work).finally(() => progress.end());
  const { part } = rest;
  if (part === undefined) console.log(summaryTable(summary));
  else if (finished)
    console.log(`part ${partText(part)} is done; the same command without --part makes the summary of all`);
  if (!finished) console.log(how.message);
}
