// `neobert evaluate WHAT MODEL`: the table of evaluations. Each has a file of its own.

import { Command } from "commander";
import { evaluateMtebCommand } from "./evaluate-mteb.js";
import { evaluatePpplCommand } from "./evaluate-pppl.js";

export function evaluateCommand(): Command {
  return new Command("evaluate")
    .description("Scores a model.")
    .addCommand(evaluateMtebCommand())
    .addCommand(evaluatePpplCommand());
}
