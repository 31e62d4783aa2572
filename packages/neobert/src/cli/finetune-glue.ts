// `neobert finetune glue MODEL`: see finetune-benchmark.ts.

import type { Command } from "commander";
import { glue } from "../evaluate/glue/glue.js";
import { benchmarkCommand } from "./finetune-benchmark.js";

export function finetuneGlueCommand(): Command {
  return benchmarkCommand(glue, async () => (await import("../train/worker/train-runs.js")).finetuneGlue);
}
