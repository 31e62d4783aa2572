// A run while it is going: what it owns and where it stands.

import type { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { TorchOps } from "../../model/torch/torch-ops.js";
import type { Tokenizer } from "../../tokenizer/index.js";
import type { RunRecord, RunState } from "../output/run-record.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import type { Updater } from "../world/updater.js";
import type { World } from "../world/world.js";
import type { StepTrainer } from "./step.js";

/** What a run owns while it is going. */
export interface Run {
  config: CommonRunConfig;
  model: TorchModel;
  tokenizer: Tokenizer;
  ops: TorchOps;
  compute: ComputeWeights;
  updater: Updater;
  world: World;
  record: RunRecord;
  /** Where it stands after the last step; undefined before the first. */
  state: RunState | undefined;
  /** The newest checkpoint's folder, and the step it was made after. */
  checkpoint: string | undefined;
  savedStep: number;
}

/** A run with what takes its steps. */
export interface RunOf<B> extends Run {
  trainer: StepTrainer<B>;
}
