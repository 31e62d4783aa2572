// `neobert finetune KIND ...`: the table of kinds. Each has a file of its own.

import { Command } from "commander";
import { finetuneContrastiveCommand } from "./finetune-contrastive.js";

export function finetuneCommand(): Command {
  return new Command("finetune")
    .description("Fine-tunes a model on pairs or labels.")
    .addCommand(finetuneContrastiveCommand());
}
