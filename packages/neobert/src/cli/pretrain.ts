// `neobert pretrain RUN.yaml [key=value ...]`: thin over `pretrain` of neobert/train.

import { Command } from "commander";
import { describeRun } from "../train/pretrain/dry-run.js";
import { loadRunConfig, pretrainSchema } from "../train/pretrain/pretrain-config.js";
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
    .option("--dry-run", "only show parameters, memory and tokens a step")
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
    return;
  }
  await followRun((options) => pretrain(config, { ...options, resume: flags.resume ?? false }));
}
