// `neobert finetune contrastive RUN.yaml [key=value ...]`: thin over `finetuneContrastive` of neobert/train.

import { Command } from "commander";
import { contrastiveSchema, loadContrastiveConfig } from "../train/contrastive/contrastive-config.js";
import { configReference } from "../train/run-file/run-file.js";
import { finetuneContrastive } from "../train/worker/train-runs.js";
import { followRun } from "./follow-run.js";

interface ContrastiveFlags {
  resume?: boolean;
  helpConfig?: boolean;
}

export function finetuneContrastiveCommand(): Command {
  return new Command("contrastive")
    .description("Makes an embedder of an encoder, on pairs of texts; runs/contrastive.yaml is the paper's run.")
    .argument("[run.yaml]", "the run file")
    .argument("[key=value...]", "options of the run file to set anew, such as optimizer.lr=1e-5")
    .option("--resume", "go on from the run's latest checkpoint")
    .option("--help-config", "show every option of a run file")
    .action(run);
}

async function run(
  file: string | undefined,
  overrides: string[],
  { resume = false, helpConfig }: ContrastiveFlags,
): Promise<void> {
  if (helpConfig) {
    console.log(configReference(contrastiveSchema));
    return;
  }
  if (file === undefined) {
    throw new Error("finetune contrastive: expected a run file, got none\nThe folder runs/ has examples.");
  }
  const config = loadContrastiveConfig(file, overrides);
  await followRun((options) => finetuneContrastive(config, { ...options, resume }));
}
