// `finetuneGlue` and `finetuneSuperglue`: fine-tuning on a benchmark's tasks in a worker thread.

import { existsSync } from "node:fs";
import { glue } from "../../evaluate/glue/glue.js";
import type { Benchmark } from "../../evaluate/glue/glue-task.js";
import { superglue } from "../../evaluate/glue/superglue.js";
import { resolveModel } from "../../hub/resolve.js";
import { runInWorker } from "../worker/in-worker.js";
import type { BenchmarkProgress, BenchmarkResult } from "./benchmark.js";
import { type BenchmarkOptions, benchmarkConfig } from "./benchmark-config.js";

export interface FinetuneBenchmarkOptions extends BenchmarkOptions {
  /** Called after every step of every run. */
  onStep?: (progress: BenchmarkProgress) => void;
  /** Lines for a person: finished runs, tasks that cannot be run and why. */
  onNote?: (text: string) => void;
  /** Aborting it stops in the midst of a run, without an error; the same call goes on there. */
  signal?: AbortSignal;
}

/**
 * Fine-tunes on GLUE's tasks: the grid by the first seed, the best point by all seeds. `out` then holds `glue.json`, the
 * table `glue.md`, `models/TASK` (the best model of each) and `runs/`; runs that are finished there are not done again.
 * Tasks without data in a local folder are left out, which is said. Rejects where settings and data do not fit together.
 */
export const finetuneGlue = (options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> =>
  finetuneBenchmark(glue, options);

/** The same on SuperGLUE's tasks; results are `superglue.json` and `superglue.md`. */
export const finetuneSuperglue = (options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> =>
  finetuneBenchmark(superglue, options);

async function finetuneBenchmark(benchmark: Benchmark, options: FinetuneBenchmarkOptions): Promise<BenchmarkResult> {
  const { onStep, onNote, signal, ...given } = options;
  const config = benchmarkConfig(benchmark, given);
  if (config.data !== undefined && !existsSync(config.data)) {
    throw new Error(`finetune ${benchmark.id}: expected data to be a folder, got ${config.data}, which is none`);
  }
  const model = await resolveModel(config.model);
  const mnli = config.mnli === undefined ? undefined : await resolveModel(config.mnli);
  const local = { ...config, model, ...(mnli !== undefined && { mnli }) };
  return runInWorker<BenchmarkResult>(benchmark.id, local, {
    ...(onStep && { onStep: (progress) => onStep(progress as BenchmarkProgress) }),
    ...(onNote && { onNote }),
    ...(signal && { signal }),
  });
}
