// A training run as a command shows it: progress on stderr, the result at the end. Ctrl-C writes a checkpoint and stops; a
// second Ctrl-C stops at once.

import { Progress } from "../terminal/run-progress.js";
import type { RunResult } from "../train/loop/loop.js";
import type { WorkerRunOptions } from "../train/worker/train-runs.js";

/** Starts a run with these options and shows it until it ends. */
export async function followRun(start: (options: WorkerRunOptions) => Promise<RunResult<object>>): Promise<void> {
  const progress = new Progress({});
  const result = await interruptible(progress, (signal) =>
    start({ signal, onStep: (state) => progress.update(state), onNote: (text) => progress.note(text) }),
  );
  if (result.finished) console.log(`finished ${result.step} steps: ${result.model}`);
  else
    console.log(`stopped after ${result.step} steps: ${result.checkpoint ?? "nothing to save"}; go on with --resume`);
}

/** Does work that Ctrl-C stops by the signal that it is given, and ends its progress. */
export async function interruptible<T>(
  progress: Pick<Progress, "note" | "end">,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    progress.note(
      "stopping after this micro-batch (Ctrl-C again: at once, losing the steps since the last checkpoint)",
    );
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    return await work(controller.signal);
  } finally {
    progress.end();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
