// A training run as a command shows it: progress on stderr, the result at the end. Ctrl-C writes a checkpoint and stops; a
// second Ctrl-C stops at once.

import type { WorkerRunOptions } from "../train/in-worker.js";
import type { RunResult } from "../train/loop.js";
import { Progress } from "../train/progress.js";

/** Starts a run of `steps` steps with these options and shows it until it ends. */
export async function followRun(
  steps: number,
  start: (options: WorkerRunOptions) => Promise<RunResult<object>>,
): Promise<void> {
  const controller = new AbortController();
  const progress = new Progress({ steps });
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
    const result = await start({
      signal: controller.signal,
      onStep: (state) => progress.update(state),
      onNote: (text) => progress.note(text),
    });
    progress.end();
    if (result.finished) console.log(`finished ${result.step} steps: ${result.model}`);
    else
      console.log(`stopped after ${result.step} steps: ${result.checkpoint ?? "nothing to save"}; go on with --resume`);
  } finally {
    progress.end();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
