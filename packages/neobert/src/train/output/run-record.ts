// What a run must keep so that it can be repeated and continued bit for bit: the machine's part of it (compute type,
// threads, kernels, versions), what its settings were, and where its data and counters stand.

import { cpus } from "node:os";
import { buildId, cpuCapability, type Device, fusedKernels, instructionSet, version } from "@neobert/torch";
import { z } from "zod";
import { packageVersion } from "../../files/package.js";
import { pinnedName } from "../../hub/pinned.js";
import type { ComputeType } from "../../model/torch/torch-compute-weights.js";
import type { CommonRunConfig } from "../run-file/common-options.js";

/** Same record, same bits: a run repeats on the same processor kind, thread count and build. */
const recordSchema = z.object({
  dtype: z.enum(["fp32", "bf16"]) satisfies z.ZodType<ComputeType>,
  /** Of each rank. */
  threads: z.int().positive(),
  /** Processes that take the steps together. */
  ranks: z.int().positive().default(1),
  /** "cpu" or "cuda:0": which of a machine's GPUs may change. */
  device: z.string(),
  /** The vector instructions of libtorch's kernels. */
  kernels: z.string(),
  /** Those of our own, and whether they are used (NEOBERT_FUSED). Absent in the first versions' records, as `processor`. */
  instructionSet: z.string().optional(),
  fusedKernels: z.boolean().optional(),
  /** Both libraries choose among their kernels by maker and model too. */
  processor: z.string().optional(),
  /** The bytes of our own kernels: builds of one version may differ. */
  build: z.string().optional(),
  libtorch: z.string(),
  neobert: z.string(),
});

export type RunRecord = z.infer<typeof recordSchema>;

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();

/** Sums since the last line of metrics, so that a line after a resume covers the same steps. */
const windowSchema = z.object({
  lossSum: z.number(),
  targets: count,
  tokens: count,
  seconds: z.object({ data: seconds, forward: seconds, backward: seconds, optimizer: seconds }),
});

export type MetricsWindow = z.infer<typeof windowSchema>;

/** What a checkpoint holds besides the model and the optimizer: its state.json. */
export const stateSchema = z.object({
  format: z.literal("neobert-run").default("neobert-run"),
  version: z.literal(1).default(1), // states of before it was counted are of this form too
  /** Optimizer steps taken. */
  step: z.int().positive(),
  /** Where the data stand, as the task says it. */
  cursor: z.unknown(),
  window: windowSchema,
  tokensSeen: count,
  /** Seconds spent in steps, all sessions of the run together. */
  trainingSeconds: seconds,
  record: recordSchema,
  config: z.custom<CommonRunConfig>((value) => typeof value === "object" && value !== null, "expected settings"),
});

export type RunState = z.infer<typeof stateSchema>;

export function recordOf(dtype: ComputeType, threads: number, ranks: number, device: Device): RunRecord {
  return {
    dtype,
    threads,
    ranks,
    device,
    kernels: cpuCapability(),
    instructionSet: instructionSet(),
    fusedKernels: fusedKernels(),
    processor: cpus()[0]?.model ?? "unknown",
    build: buildId(),
    libtorch: version(),
    neobert: packageVersion(),
  };
}

// These do not change what is learned, so a resumed run may set them anew.
const free = ["out", "log", "checkpoint", "evaluate", "threads", "dtype", "device", "sharding", "timeoutMinutes"];

/**
 * The differences between the settings a run began with and those it is resumed with, as `key: was A, is B`.
 * Logging, evaluation and checkpoint intervals may differ; `steps` too where the schedule does not depend on it.
 */
export function settingsChanged(before: CommonRunConfig, now: CommonRunConfig): string[] {
  const [was, is] = [flatten(before), flatten(now)];
  const keys = [...new Set([...was.keys(), ...is.keys()])].filter(
    (key) => key !== "steps" && !free.includes(key.split(".")[0]!),
  );
  return keys
    .filter((key) => was.get(key) !== is.get(key))
    .map((key) => `${key}: was ${was.get(key) ?? "not set"}, is ${is.get(key) ?? "not set"}`);
}

/** The differences between the machine that a run was on and this one, likewise. */
export function recordChanged(before: RunRecord, now: RunRecord): string[] {
  return (Object.keys(now) as (keyof RunRecord)[])
    .filter((key) => before[key] !== now[key])
    .map((key) => `${key}: was ${before[key] ?? "not recorded"}, is ${now[key]}`);
}

function flatten(value: unknown, prefix = "", into = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === "object") {
    for (const [key, item] of Object.entries(value)) flatten(item, prefix ? `${prefix}.${key}` : key, into);
  } else if (prefix === "model.from" && typeof value === "string") into.set(prefix, pinnedName(value));
  else if (value !== undefined) into.set(prefix, JSON.stringify(value));
  return into;
}
