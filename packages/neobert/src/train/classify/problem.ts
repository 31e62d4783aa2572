// What a classifier learns: one class of several, any number of labels, a number, or a class for each token. Each kind has
// its loss (summed over targets, so that micro-batches add up) and its fields of config.json, which are transformers'.

import {
  binaryCrossEntropyWithLogits,
  crossEntropy,
  type Device,
  fromTypedArray,
  mseLoss,
  type Tensor,
} from "@neobert/torch";
import type { Head } from "../../model/architecture.js";
import type { ForwardOptions, PackedBatch, TorchModel } from "../../model/torch/torch-model.js";

export const problemTypes = ["single", "multi", "regression", "tokens"] as const;
export type ProblemType = (typeof problemTypes)[number];

export interface Problem {
  type: ProblemType;
  /** Names of the labels by number; of a regression one, that of its value. */
  labels: readonly string[];
}

/** Tokens that have no label: special ones, and the pieces of a word after its first. */
export const IGNORED = -100;

export interface LabelledBatch extends PackedBatch {
  /** Classes [B], values [B], label vectors [B * L], or classes of the tokens [N] with `IGNORED` among them. */
  targets: Float32Array;
  /** Places of the texts in their data set. */
  order: readonly number[];
}

export const headOf = ({ type }: Problem): Head =>
  type === "tokens" ? "tokenClassification" : "sequenceClassification";

/** How many targets a batch's loss is divided by: its texts, or its labelled tokens. */
export function targetCount({ type }: Problem, { order, targets }: Pick<LabelledBatch, "order" | "targets">): number {
  return type === "tokens" ? targets.reduce((count, label) => count + Number(label !== IGNORED), 0) : order.length;
}

/** Logits [B, L] of the texts, or [N, L] of the tokens, float32. */
export function logitsOf(problem: Problem, model: TorchModel, batch: PackedBatch, run: ForwardOptions): Tensor {
  const logits = problem.type === "tokens" ? model.tokenLogits(batch, run) : model.sequenceLogits(batch, run);
  return logits.to("float32");
}

/** The summed loss, a float32 scalar with a graph. */
export function lossOf({ type, labels }: Problem, logits: Tensor, targets: Float32Array, device: Device): Tensor {
  const shape = type === "multi" ? [targets.length / labels.length, labels.length] : [targets.length];
  const expected = fromTypedArray(targets as Float32Array<ArrayBuffer>, { shape, device });
  switch (type) {
    case "single":
    case "tokens":
      return crossEntropy(logits, expected.to("int64"), { reduction: "sum", ignoreIndex: IGNORED });
    case "multi":
      // A text's loss is the mean over its labels, as in transformers.
      return binaryCrossEntropyWithLogits(logits, expected, { reduction: "sum" }).div(labels.length);
    case "regression":
      return mseLoss(logits.squeeze(-1), expected, { reduction: "sum" });
  }
}

/** Fields of config.json that tell others what the head's values mean. */
export function labelFieldsOf({ type, labels }: Problem): Record<string, unknown> {
  const problemType = {
    single: "single_label_classification",
    multi: "multi_label_classification",
    regression: "regression",
    tokens: undefined,
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
