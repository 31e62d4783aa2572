// Steps' batches made ahead in a worker, a few steps at most: the worker makes one for each request, and a request is
// sent for each step that is taken. The batches are those of `createBatches`, bit for bit; only the waiting differs.
import { Worker } from "node:worker_threads";
import type { BatchCursor, BatchOptions, StepBatch } from "./batches.js";
import { workerFile } from "./worker-file.js";

/** A step with the time that the loop waited for it. */
export interface PrefetchedStep extends StepBatch {
  waitMs: number;
}

/**
 * The steps from `cursor` on, without end; leave the loop to stop the worker. `depth` steps (default 4) are kept ready.
 * Throws what `createBatches` throws.
 */
export async function* prefetchBatches(
  options: BatchOptions,
  cursor?: BatchCursor,
  { depth = 4 } = {},
): AsyncGenerator<PrefetchedStep, never> {
  const worker = new Worker(workerFile("prefetch-worker"), { workerData: { options, cursor }, execArgv: [] });
  const ready: StepBatch[] = [];
  let failure: Error | undefined;
  let wake = () => {};
  worker.on("message", (step: StepBatch) => {
    ready.push(step);
    wake();
  });
  const fail = (error: Error) => {
    failure ??= error;
    wake();
  };
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`internal: the batch worker ended with code ${code}`)));
  for (let request = 0; request < depth; request++) worker.postMessage(null);
  try {
    for (;;) {
      const start = performance.now();
      while (ready.length === 0) {
        if (failure) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      worker.postMessage(null);
      yield { ...ready.shift()!, waitMs: performance.now() - start };
    }
  } finally {
    await worker.terminate();
  }
}
