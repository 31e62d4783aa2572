// What a run trains, as the loop sees it: everything that it does not know itself. Pretraining, contrastive fine-tuning and
// the classifiers are a `Task` each; run folder, steps, schedule, metrics, checkpoints and resume are the loop's.

import type { Device } from "@neobert/torch";
import type { z } from "zod";
import type { Share } from "../../data/index.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { Tokenizer } from "../../tokenizer/index.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import type { Run } from "./run.js";
import type { StepShare, StepTrainer, TrainerParts } from "./step.js";

/**
 * What a rank computes of one optimizer step. Targets are what its loss is divided by: masked tokens, queries, labelled
 * texts; padding is never among the tokens.
 */
export interface TaskStep<B> extends StepShare<B> {
  /** Where the data stand after the step: plain JSON, handed to `steps` on resume. */
  cursor: unknown;
  /** Milliseconds that the loop waited for it. */
  waitMs: number;
}

/** Held-out scores by name, among them the loss; written to metrics.jsonl and, as `validation/NAME`, to TensorBoard. */
export type TaskScores = Record<string, number>;

export interface TrainTask<B, Scores extends object = TaskScores> {
  /** The command, for errors. */
  name: string;
  config: CommonRunConfig;
  /** The tokenizer, from the checkpoint on resume. Throws where it is not the data's or settings do not fit. */
  loadTokenizer(checkpoint: string | undefined): Tokenizer;
  /** The model that a run starts from, on its device; a resumed one loads its checkpoint. */
  startModel(tokenizer: Tokenizer, device: Device): TorchModel;
  makeTrainer(parts: TrainerParts): StepTrainer<B>;
  /** A small real batch, on which `dtype: auto` times both types. */
  trial(tokenizer: Tokenizer): Promise<{ microBatch: B; targets: number }>;
  /** What a cursor of its data looks like. */
  cursor: z.ZodType;
  /**
   * The steps from a cursor on, without end; leaving the iteration frees what makes them. Of the micro-batches of a step,
   * which are those of one process, a rank of a world gets every `size`-th. The cursor is that of the whole step.
   */
  steps(cursor: unknown, tokenizer: Tokenizer, share: Share): AsyncIterable<TaskStep<B>>;
  /** Reads the held-out data; the function scores the run's model on it. Undefined where the run has none. */
  evaluation(run: Run): Promise<(() => Scores | Promise<Scores>) | undefined>;
  /** Held-out scores in a few words, for a person. */
  describeScores(scores: Scores): string;
  /** What a micro-batch was made of, for the report of a loss that is not finite. */
  describeBatch(microBatch: B): string[];
  /** README.md of a checkpoint. */
  card(run: Run): string;
  /** Writes what belongs to a checkpoint's model folder beside model and tokenizer. */
  saveExtras?(folder: string, run: Run): void;
}
