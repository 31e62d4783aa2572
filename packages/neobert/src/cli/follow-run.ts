// A training run as a command shows it: progress on stderr, the result at the end. Ctrl-C or SIGTERM writes a checkpoint and
// stops; a second one stops at once.

import { interruptible } from "../terminal/interrupt.js";
import { Progress } from "../terminal/run-progress.js";
import type { RunResult } from "../train/loop/loop.js";
import type { WorkerRunOptions } from "../train/worker/train-runs.js";

/** What is said at the first Ctrl-C of a run. */
export const stoppingNote =
  "stopping after this micro-batch (Ctrl-C again: at once, losing the steps since the last checkpoint)";

/** Starts a run with these options and shows it until it ends; returns its result. */
export async function followRun<Result extends RunResult<object>>(
  start: (options: WorkerRunOptions) => Promise<Result>,
): Promise<Result> {
  const progress = new Progress({});
  const how = {
    message: "stopped before the first step: nothing was written",
    onStop: () => progress.note(stoppingNote),
    isDone: ({ finished }: Result) => finished,
  };
  try {
    const result = await interruptible(how, (signal) =>
      start({ signal, onStep: (state) => progress.update(state), onNote: (text) => progress.note(text) }),
    );
    progress.end();
    const { finished, step, model, checkpoint } = result;
    if (finished) console.log(`finished ${step} steps: ${model}`);
    else if (checkpoint === undefined) console.log(`stopped before the first step: nothing was written`);
    else console.log(`stopped after ${step} steps: ${checkpoint}; the same command with --resume goes on`);
    return result;
  } finally {
    progress.end();
  }
}
