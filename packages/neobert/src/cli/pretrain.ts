// `neobert pretrain RUN.yaml [key=value ...]`: thin over `pretrain` of neobert/train.

import { Command } from "commander";
import { formatDuration } from "../terminal/progress-line.js";
import { describeRun } from "../train/pretrain/dry-run.js";
import { loadRunConfig, pretrainSchema, type RunConfig } from "../train/pretrain/pretrain-config.js";
import { configReference } from "../train/run-file/run-file.js";
import { pretrain } from "../train/worker/train-runs.js";
import { followRun } from "./follow-run.js";

interface PretrainFlags {
  resume?: boolean;
  dryRun?: boolean;
  helpConfig?: boolean;
}

export function pretrainCommand(): Command {
  return new Command("pretrain")
    .description("Pretrains a model as a run file says; runs/ has examples.")
    .argument("[run.yaml]", "the run file")
    .argument("[key=value...]", "options of the run file to set anew, such as optimizer.lr=1e-4")
    .option("--resume", "go on from the run's latest checkpoint")
    .option("--dry-run", "only show parameters, memory, tokens a step, and the time by a few steps")
    .option("--help-config", "show every option of a run file")
    .action(run);
}

async function run(file: string | undefined, overrides: string[], flags: PretrainFlags): Promise<void> {
  if (flags.helpConfig) {
    console.log(configReference(pretrainSchema));
    return;
  }
  if (file === undefined) throw new Error("pretrain: expected a run file, got none\nThe folder runs/ has examples.");
  const config = loadRunConfig(file, overrides);
  if (flags.dryRun) {
    console.log(await describeRun(config));
    console.log(await timeLine(config));
    return;
  }
  await followRun((options) => pretrain(config, { ...options, resume: flags.resume ?? false }));
}

/** How long the run will take here, or why that could not be measured. */
async function timeLine(config: RunConfig): Promise<string> {
  try {
    const { measureStep } = await import("../train/pretrain/step-time.js");
    const { tokens, dtype, tokensPerSecond, stepSeconds, runSeconds } = await measureStep(config);
    const rate = Math.round(tokensPerSecond).toLocaleString("en-US");
    return (
      `time             about ${formatDuration(runSeconds)} here: ${stepSeconds.toPrecision(2)} s a step, ` +
      `${rate} tokens/s (measured in ${dtype} on ${tokens.toLocaleString("en-US")} tokens)`
    );
  } catch (error) {
    return `time             not measured: ${(error as Error).message}`;
  }
}
