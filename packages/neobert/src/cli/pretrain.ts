// `neobert pretrain RUN.yaml [key=value ...]`: thin over `pretrain` of neobert/train.

import type { Command } from "commander";
import { InputError } from "../files/input-error.js";
import { formatDuration, grouped } from "../terminal/progress-line.js";
import { type Cluster, describeRanks, describeRun, type Pace } from "../train/pretrain/dry-run.js";
import { loadRunConfig, pretrainSchema, type RunConfig } from "../train/pretrain/pretrain-config.js";
import { pretrain } from "../train/worker/train-runs.js";
import { followRun, type RunFlags, runFileCommand } from "./follow-run.js";
import { choice, perSecond, positive, positiveNumber, seconds } from "./option-values.js";

interface Flags extends RunFlags {
  dryRun?: boolean;
  ranks?: number;
  sharding?: RunConfig["sharding"];
  bandwidth?: number;
  latency: number;
  rate?: number;
}

export function pretrainCommand(): Command {
  return runFileCommand("pretrain", pretrainSchema, run)
    .description("Pretrains a model as a run file says; runs/ has examples.")
    .option("--dry-run", "only show parameters, memory, tokens a step, and the time by a few steps")
    .option("--ranks <n>", "with --dry-run: what a step of so many processes would need and take", positive)
    .addOption(
      choice("--sharding <how>", "with --ranks: as the run file's `sharding`", ["none", "optimizer", "gradients"]),
    )
    .option(
      "--bandwidth <rate>",
      "with --ranks: of each process in each direction, such as 25GB/s or 10Gbit/s",
      perSecond,
    )
    .option("--latency <time>", "with --ranks: of a message between two processes, such as 30us or 1ms", seconds, 5e-5)
    .option("--rate <tokens/s>", "with --ranks: of one process; measured here unless given", positiveNumber);
}

async function run(file: string, overrides: string[], { resume, dryRun, ...scale }: Flags) {
  const sharding = scale.sharding ? [`sharding=${scale.sharding}`] : [];
  const config = loadRunConfig(file, [...overrides, ...sharding]);
  const cluster = clusterOf(scale);
  if (cluster && !dryRun) {
    throw new InputError(
      "pretrain: expected --ranks with --dry-run only, got it without\nA run of several processes is started by a launcher: neobert launch --help",
    );
  }
  if (dryRun) {
    console.log(await describeRun(config));
    if (!cluster) console.log(await timeLine(config));
    else
      console.log(
        await describeRanks(config, cluster, scale.rate ? givenPace(config, scale.rate) : await pace(config)),
      );
  } else await followRun((options) => pretrain(config, { ...options, resume }));
}

function clusterOf({ ranks, bandwidth, latency }: Pick<Flags, "ranks" | "bandwidth" | "latency">): Cluster | undefined {
  if (ranks === undefined) return undefined;
  if (bandwidth === undefined && ranks > 1) {
    throw new InputError(
      "pretrain: expected --bandwidth with --ranks, got none\nIt is what the network gives each process: 1.25GB/s is an Ethernet of 10 Gbit/s.",
    );
  }
  return { ranks, bytesPerSecond: bandwidth ?? Number.POSITIVE_INFINITY, latencySeconds: latency };
}

/** A rate is of all that a process does for a step. */
function givenPace({ dtype }: RunConfig, rate: number): Pace {
  return {
    dtype: dtype === "fp32" ? "fp32" : "bf16",
    passSecondsPerToken: 1 / rate,
    optimizerSeconds: 0,
    source: "as given",
  };
}

async function pace(config: RunConfig): Promise<Pace> {
  const { measureStep } = await import("../train/pretrain/step-time.js");
  return { ...(await measureStep(config)), source: "measured here" };
}

/** How long the run will take here, or why that could not be measured. */
async function timeLine(config: RunConfig): Promise<string> {
  try {
    const { measureStep } = await import("../train/pretrain/step-time.js");
    const { tokens, dtype, tokensPerSecond, stepSeconds, runSeconds } = await measureStep(config);
    return (
      `time             about ${formatDuration(runSeconds)} here: ${stepSeconds.toPrecision(2)} s a step, ` +
      `${grouped(tokensPerSecond)} tokens/s (measured in ${dtype} on ${grouped(tokens)} tokens)`
    );
  } catch (error) {
    return `time             not measured: ${(error as Error).message}`;
  }
}
