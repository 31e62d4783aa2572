// `neobert finetune KIND ...`: the table of kinds. Each has a file of its own.

import { Command } from "commander";
import { finetuneClassifyCommand } from "./finetune-classify.js";
import { finetuneContrastiveCommand } from "./finetune-contrastive.js";
import { finetuneGlueCommand } from "./finetune-glue.js";
import { finetuneSuperglueCommand } from "./finetune-superglue.js";

export function finetuneCommand(): Command {
  return new Command("finetune")
    .description("Fine-tunes a model on pairs or labels.")
    .addCommand(finetuneContrastiveCommand())
    .addCommand(finetuneClassifyCommand())
    .addCommand(finetuneGlueCommand())
    .addCommand(finetuneSuperglueCommand());
}
