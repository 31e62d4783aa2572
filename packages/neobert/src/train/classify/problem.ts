// What a classifier learns: one class of several, any number of labels, a number, a class for each token, or where in a
// context the answer to a question starts and ends. Each kind has its fields of config.json, which are transformers', and its
// loss (problem-loss.ts: this file is the command line's too, which does without libtorch until it trains).

import type { Head } from "../../model/architecture.js";
import type { PackedBatch } from "../../model/torch/torch-model.js";

export const problemTypes = ["single", "multi", "regression", "tokens", "spans"] as const;
export type ProblemType = (typeof problemTypes)[number];

export interface Problem {
  type: ProblemType;
  /** Names of the labels by number; of a regression one, that of its value; of spans start and end. */
  labels: readonly string[];
}

/** Tokens that have no label: special ones, and the pieces of a word after its first. */
export const IGNORED = -100;

export interface LabelledBatch extends PackedBatch {
  /**
   * Classes [B], values [B], label vectors [B * L], classes of the tokens [N] with `IGNORED` among them, or the first and
   * last token of the answer in each window [2 * windows], 0 and 0 where it is not there.
   */
  targets: Float32Array;
  /** Places of the texts in their data set. */
  order: readonly number[];
}

export function headOf({ type }: Problem): Head {
  if (type === "spans") return "questionAnswering";
  return type === "tokens" ? "tokenClassification" : "sequenceClassification";
}

/** Whether every token has its logits. */
export const isPerToken = ({ type }: Problem) => type === "tokens" || type === "spans";

/** How many targets a batch's loss is divided by: its texts, its labelled tokens, or its windows. */
export function targetCount({ type }: Problem, { order, targets }: Pick<LabelledBatch, "order" | "targets">): number {
  if (type === "spans") return targets.length / 2;
  return type === "tokens" ? targets.reduce((count, label) => count + Number(label !== IGNORED), 0) : order.length;
}

/** Fields of config.json that tell others what the head's values mean. */
export function labelFieldsOf({ type, labels }: Problem): Record<string, unknown> {
  const problemType = {
    single: "single_label_classification",
    multi: "multi_label_classification",
    regression: "regression",
    tokens: undefined,
    spans: undefined,
  }[type];
  return {
    id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    num_labels: undefined, // id2label says it
    problem_type: problemType,
    // A cross-encoder of sentence-transformers would squash the value otherwise.
    sentence_transformers: type === "regression" ? { activation_fn: "torch.nn.modules.linear.Identity" } : undefined,
  };
}
