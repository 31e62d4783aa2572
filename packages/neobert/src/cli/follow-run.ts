// A training run as a command shows it: progress on stderr, the result at the end. Ctrl-C or SIGTERM writes a checkpoint and
// stops; a second one stops at once.

import { Command } from "commander";
import type { z } from "zod";
import { InputError } from "../files/input-error.js";
import { interruptible } from "../terminal/interrupt.js";
import type { ProgressStream } from "../terminal/progress-line.js";
import { Progress } from "../terminal/run-progress.js";
import type { RunResult } from "../train/loop/loop.js";
import { configReference } from "../train/run-file/run-file.js";
import type { WorkerRunOptions } from "../train/worker/train-runs.js";
import { isStartedAgain, worldOf } from "../train/world/launchers.js";

/** What is said at the first Ctrl-C of a run. */
export const stoppingNote =
  "stopping after this micro-batch (Ctrl-C again: at once, losing the steps since the last checkpoint)";

/** What ranks other than 0 would show is shown by rank 0. */
const silent: ProgressStream = { write: () => {} };

export interface RunFlags {
  resume: boolean;
}

/** A command that takes a run file, or shows what may stand in one; `title` is its name in errors. */
export function runFileCommand<Flags extends RunFlags>(
  title: string,
  schema: z.ZodType,
  run: (file: string, overrides: string[], flags: Flags) => Promise<unknown>,
): Command {
  return new Command(title.split(" ").at(-1))
    .argument("[run.yaml]", "the run file")
    .argument("[key=value...]", "options of the run file to set anew, such as optimizer.lr=1e-5")
    .option(
      "--resume",
      "go on from the run's latest checkpoint (by itself where a launcher or scheduler starts the run again)",
    )
    .option("--help-config", "show every option of a run file")
    .action(async (file: string | undefined, overrides: string[], { helpConfig, resume = false, ...rest }) => {
      if (helpConfig) console.log(configReference(schema));
      else if (file !== undefined)
        await run(file, overrides, { ...rest, resume: resume || isStartedAgain(process.env) });
      else throw new InputError(`${title}: expected a run file, got none\nThe folder runs/ has examples.`);
    });
}

/** Starts a run with these options and shows it until it ends; returns its result. */
export async function followRun<Result extends RunResult<object>>(
  start: (options: WorkerRunOptions) => Promise<Result>,
): Promise<Result> {
  const place = worldOf(process.env);
  const progress = new Progress(place && place.rank > 0 ? { stream: silent } : {});
  const how = {
    message: "stopped before the first step: nothing was written",
    onStop: () => progress.note(stoppingNote),
    isDone: ({ finished }: Result) => finished,
    isPatient: place !== undefined || process.env.RANK !== undefined,
    isSaved: ({ checkpoint }: Result) => checkpoint !== undefined,
  };
  try {
    const result = await interruptible(how, (signal) =>
      start({ signal, onStep: (state) => progress.update(state), onNote: (text) => progress.note(text) }),
    );
    progress.end();
    const { rank, finished, step, model, checkpoint } = result;
    if (rank > 0) return result; // rank 0 says it
    if (finished) console.log(`finished ${step} steps: ${model}`);
    else if (checkpoint === undefined) console.log(`stopped before the first step: nothing was written`);
    else console.log(`stopped after ${step} steps: ${checkpoint}; the same command with --resume goes on`);
    return result;
  } finally {
    progress.end();
  }
}
