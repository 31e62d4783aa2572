// `neobert pretrain RUN.yaml [key=value ...]`: thin over `pretrain` of neobert/train.

import type { Command } from "commander";
import { formatDuration, grouped } from "../terminal/progress-line.js";
import { describeRun } from "../train/pretrain/dry-run.js";
import { loadRunConfig, pretrainSchema, type RunConfig } from "../train/pretrain/pretrain-config.js";
import { pretrain } from "../train/worker/train-runs.js";
import { followRun, type RunFlags, runFileCommand } from "./follow-run.js";

export function pretrainCommand(): Command {
  return runFileCommand("pretrain", pretrainSchema, run)
    .description("Pretrains a model as a run file says; runs/ has examples.")
    .option("--dry-run", "only show parameters, memory, tokens a step, and the time by a few steps");
}

async function run(file: string, overrides: string[], { resume, dryRun }: RunFlags) {
  const config = loadRunConfig(file, overrides);
  if (dryRun) {
    console.log(await describeRun(config));
    console.log(await timeLine(config));
  } else await followRun((options) => pretrain(config, { ...options, resume }));
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
