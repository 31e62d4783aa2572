// The settings of fine-tuning on a benchmark, checked and filled in.

import { availableParallelism } from "node:os";
import { type Benchmark, taskOf } from "../../evaluate/glue/glue-task.js";
import { type Grid, type GridName, grids } from "../../evaluate/glue/grid.js";
import { InputError } from "../../files/input-error.js";
import type { Part } from "../../files/part.js";
import type { DeviceChoice } from "../../model/device-choice.js";

export interface BenchmarkOptions {
  /** Model folder, run folder, or name on the Hub. */
  model: string;
  /** Folder of runs, kept models and results. */
  out: string;
  /** Names of tasks; default: all of the benchmark. */
  tasks?: readonly string[];
  /** "paper", "ablations" or "quick" (default), or parts of a grid over the quick one. */
  grid?: GridName | Partial<Grid>;
  /**
   * Runs every n-th of the runs alone, into the same `out`: points of the grid, and further seeds once all points are done.
   * The run without a part finds all their results, and writes the summary and the best models.
   */
  part?: Part;
  /** Seeds that the best point is run with; default 1. */
  seeds?: number;
  /** The first seed, by which the grid is searched; the others follow it. Default 0. */
  seed?: number;
  /** Local folder of the tasks' data; without it the Hub's. */
  data?: string;
  /** A model that has learnt MNLI, for the tasks that start from one. */
  mnli?: string;
  /** Write the answers to the test sets. */
  submission?: boolean;
  /** Greatest number of training examples of a task. */
  limit?: number;
  /** Tokens of the longest text; default 512. */
  maxLength?: number;
  /** Tokens of a forward pass; default 16384. */
  microBatchTokens?: number;
  dtype?: "auto" | "fp32" | "bf16";
  threads?: number;
  /** `cpu` unless given. */
  device?: DeviceChoice;
}

type Optional = "data" | "mnli" | "limit" | "part";

export type BenchmarkConfig = Required<Omit<BenchmarkOptions, Optional | "grid" | "tasks">> &
  Pick<BenchmarkOptions, Optional> & { grid: Grid; tasks: string[] };

/** Throws naming the first option that is wrong. */
export function benchmarkConfig(benchmark: Benchmark, options: BenchmarkOptions): BenchmarkConfig {
  const { grid = "quick", tasks = benchmark.tasks.map(({ id }) => id), ...given } = options;
  const where = `finetune ${benchmark.id}`;
  const config: BenchmarkConfig = {
    seeds: 1,
    seed: 0,
    submission: false,
    maxLength: 512,
    microBatchTokens: 16_384,
    dtype: "auto",
    threads: availableParallelism(),
    device: "cpu",
    ...given,
    tasks: tasks.map((name) => taskOf(benchmark, name).id),
    grid: gridOf(where, grid),
  };
  for (const key of ["seeds", "limit", "maxLength", "microBatchTokens", "threads"] as const) {
    const value = config[key];
    if (value === undefined || (Number.isInteger(value) && value >= 1)) continue;
    throw new InputError(`${where}: expected ${key} to be a whole number of 1 or more, got ${value}`);
  }
  if (!Number.isInteger(config.seed) || config.seed < 0) {
    throw new InputError(`${where}: expected seed to be a whole number of 0 or more, got ${config.seed}`);
  }
  return config;
}

function gridOf(where: string, grid: GridName | Partial<Grid>): Grid {
  if (typeof grid === "string" && !Object.hasOwn(grids, grid)) {
    throw new InputError(`${where}: expected a grid of ${Object.keys(grids).join(", ")}, got ${grid}`);
  }
  const found: Grid = typeof grid === "string" ? grids[grid] : { ...grids.quick, ...grid };
  const check = (key: keyof Grid, values: readonly number[], isRight: (value: number) => boolean, expected: string) => {
    if (values.length > 0 && values.every(isRight)) return;
    throw new InputError(`${where}: expected ${key} to be ${expected}, got ${values.join(", ") || "none"}`);
  };
  const isCount = (value: number) => Number.isInteger(value) && value >= 1;
  check("learningRates", found.learningRates, (value) => value > 0, "numbers above 0");
  check("weightDecays", found.weightDecays, (value) => value >= 0, "numbers of 0 or more");
  check("batchSizes", found.batchSizes, isCount, "whole numbers of 1 or more");
  check("epochs", [found.epochs], isCount, "a whole number of 1 or more");
  check("evaluationsPerEpoch", [found.evaluationsPerEpoch ?? 10], isCount, "a whole number of 1 or more");
  check("patience", [found.patience], isCount, "a whole number of 1 or more");
  return found;
}
