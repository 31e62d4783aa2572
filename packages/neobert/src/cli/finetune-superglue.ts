// `neobert finetune superglue MODEL`: see finetune-benchmark.ts.

import type { Command } from "commander";
import { superglue } from "../evaluate/glue/superglue.js";
import { benchmarkCommand } from "./finetune-benchmark.js";

export function finetuneSuperglueCommand(): Command {
  return benchmarkCommand(superglue, async () => (await import("../train/worker/train-runs.js")).finetuneSuperglue);
}
