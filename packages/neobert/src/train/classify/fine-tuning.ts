// What is fine-tuned and how it is scored: a problem, labelled texts, settings.

import type { TaskScores } from "../loop/train-task.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import type { Examples, LabelledInputs } from "./examples.js";
import type { Outputs } from "./predict.js";
import type { Problem } from "./problem.js";

/** What every fine-tuning of a classifier has beside the options of any run. */
export interface FineTuningConfig extends CommonRunConfig {
  model: { from: string };
  epochs: number;
  /** Texts of an optimizer step. */
  batchSize: number;
  /** Tokens of the longest text. */
  maxLength: number;
  /** Tokens that neighbouring windows of a long context share. */
  stride?: number | undefined;
  /** Tokens of a forward pass. */
  microBatchTokens: number;
  /** Evaluations without gain after which the run ends. */
  patience: number;
}

export interface FineTuning {
  /** The command, for errors. */
  name: string;
  config: FineTuningConfig;
  problem: Problem;
  train: LabelledInputs;
  validation?: LabelledInputs | undefined;
  /** Held-out scores, among them `main`, by which the best model is chosen. */
  score(outputs: Outputs, examples: Examples): TaskScores;
  /** Takes the outputs of an evaluation that is the best so far. */
  keepDetails?(outputs: Outputs, examples: Examples, step: number): void;
  /** Whether among equal main scores the lower loss is better. */
  lossDecides?: boolean;
  describeScores(scores: TaskScores): string;
  /** Names a text of the training data, for the report of a loss that is not finite. */
  describeText(text: number): string;
}
