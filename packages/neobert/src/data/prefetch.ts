// Steps' batches made ahead in a worker, a few steps at most: the worker makes one for each request, and a request is
// sent for each step that is taken. The batches are those of `createBatches`, bit for bit; only the waiting differs.
import { Worker } from "node:worker_threads";
import { compiledFile } from "../files/package.js";
import type { BatchCursor, BatchOptions, Share, StepBatch } from "./batches.js";

/** A step with the time that the loop waited for it. */
export type Prefetched<Step> = Step & { waitMs: number };

export type PrefetchedStep = Prefetched<StepBatch>;

/** The steps of pretraining from `cursor` on; see `prefetchSteps`. Throws what `createBatches` throws. */
export function prefetchBatches(
  options: BatchOptions,
  cursor?: BatchCursor,
  { share, ...settings }: { depth?: number; share?: Share } = {},
): AsyncGenerator<PrefetchedStep, never> {
  return prefetchSteps<StepBatch>(compiledFile("data/prefetch-worker"), { options, cursor, share }, settings);
}

/**
 * The steps that a worker makes, without end; leave the loop to stop it. The worker answers each message with a step;
 * `depth` steps (default 4) are kept ready. Throws what the worker throws, and where `signal` is aborted while it waits for
 * the first step, whose data may have to be fetched.
 */
export async function* prefetchSteps<Step>(
  entry: URL,
  workerData: unknown,
  { depth = 4, signal }: { depth?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Prefetched<Step>, never> {
  const worker = new Worker(entry, { workerData, execArgv: [] });
  const ready: Step[] = [];
  let failure: Error | undefined;
  let wake = () => {};
  worker.on("message", (step: Step) => {
    ready.push(step);
    wake();
  });
  const fail = (error: Error) => {
    failure ??= error;
    wake();
  };
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`internal: the batch worker ended with code ${code}`)));
  const giveUp = () => fail(signal!.reason);
  signal?.addEventListener("abort", giveUp);
  for (let request = 0; request < depth; request++) worker.postMessage(null);
  try {
    signal?.throwIfAborted();
    for (;;) {
      const start = performance.now();
      while (ready.length === 0) {
        if (failure) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      signal?.removeEventListener("abort", giveUp);
      worker.postMessage(null);
      yield { ...ready.shift()!, waitMs: performance.now() - start };
    }
  } finally {
    signal?.removeEventListener("abort", giveUp);
    await worker.terminate();
  }
}
