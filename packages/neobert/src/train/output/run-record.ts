// What a run must keep so that it can be repeated and continued bit for bit: the machine's part of it (compute type,
// threads, kernels, versions), what its settings were, and where its data and counters stand.

import { cpuCapability, version } from "@neobert/torch";
import { z } from "zod";
import { packageVersion } from "../../files/package.js";
import type { ComputeType } from "../../model/torch/torch-compute-weights.js";
import type { CommonRunConfig } from "../run-file/common-options.js";

const count = z.int().nonnegative();
const sum = z.number();

const recordSchema = z.looseObject({
  dtype: z.enum(["fp32", "bf16"]),
  threads: z.int().positive(),
  device: z.custom<CommonRunConfig["device"]>((device) => typeof device === "string"),
  /** The vector instructions of libtorch's kernels. */
  kernels: z.string(),
  libtorch: z.string(),
  neobert: z.string(),
});
/** Same record, same bits: a run repeats on the same processor kind, thread count and build. */
export type RunRecord = z.output<typeof recordSchema>;

const windowSchema = z.looseObject({
  lossSum: sum,
  targets: count,
  tokens: count,
  seconds: z.looseObject({ data: sum, forward: sum, backward: sum, optimizer: sum }),
});
/** Sums since the last line of metrics, so that a line after a resume covers the same steps. */
export type MetricsWindow = z.output<typeof windowSchema>;

/** What a checkpoint holds besides the model and the optimizer. */
export const stateSchema = z.looseObject({
  /** Optimizer steps taken. */
  step: count,
  /** Where the data stand, as the task says it. */
  cursor: z.custom<unknown>((cursor) => typeof cursor === "object" && cursor !== null),
  /** State of dropout's generator, base64; null in records of models without dropout. */
  generator: z.string().nullable(),
  window: windowSchema,
  tokensSeen: count,
  /** Seconds spent in steps, all sessions of the run together. */
  trainingSeconds: sum,
  record: recordSchema,
  config: z.custom<CommonRunConfig>((config) => typeof config === "object" && config !== null),
});
export type RunState = z.output<typeof stateSchema>;

export function recordOf(config: CommonRunConfig, dtype: ComputeType, threads: number): RunRecord {
  const { device } = config;
  return { dtype, threads, device, kernels: cpuCapability(), libtorch: version(), neobert: packageVersion() };
}

// These do not change what is learned, so a resumed run may set them anew.
const free = ["out", "log", "checkpoint", "evaluate", "threads", "dtype"];

/**
 * The differences between the settings a run began with and those it is resumed with, as `key: was A, is B`.
 * Logging, evaluation and checkpoint intervals may differ; `steps` too where the schedule does not depend on it.
 */
export function settingsChanged(before: CommonRunConfig, now: CommonRunConfig): string[] {
  const [was, is] = [flatten(before), flatten(now)];
  const keys = [...new Set([...was.keys(), ...is.keys()])].filter((key) => {
    return key !== "steps" && !free.includes(key.split(".")[0]!);
  });
  return keys
    .filter((key) => was.get(key) !== is.get(key))
    .map((key) => `${key}: was ${was.get(key) ?? "not set"}, is ${is.get(key) ?? "not set"}`);
}

/** The differences between the machine that a run was on and this one, likewise. */
export function recordChanged(before: RunRecord, now: RunRecord): string[] {
  return (Object.keys(before) as (keyof RunRecord)[])
    .filter((key) => before[key] !== now[key])
    .map((key) => `${key}: was ${before[key]}, is ${now[key]}`);
}

function flatten(value: unknown, prefix = "", into = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === "object") {
    for (const [key, item] of Object.entries(value)) flatten(item, prefix ? `${prefix}.${key}` : key, into);
  } else if (value !== undefined) into.set(prefix, JSON.stringify(value));
  return into;
}
