// What a classifier learns: one class of several, any number of labels, a number, a class for each token, or where in a
// context the answer to a question starts and ends. Each kind has
// its loss (summed over targets, so that micro-batches add up) and its fields of config.json, which are transformers'.

import {
  binaryCrossEntropyWithLogits,
  cat,
  crossEntropy,
  type Device,
  fromTypedArray,
  full,
  mseLoss,
  type Tensor,
} from "@neobert/torch";
import type { Head } from "../../model/architecture.js";
import type { ForwardOptions, PackedBatch, TorchModel } from "../../model/torch/torch-model.js";

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

/** Logits [B, L] of the texts, or [N, L] of the tokens, float32. */
export function logitsOf(problem: Problem, model: TorchModel, batch: PackedBatch, run: ForwardOptions): Tensor {
  const logits = isPerToken(problem) ? model.tokenLogits(batch, run) : model.sequenceLogits(batch, run);
  return logits.to("float32");
}

/** The summed loss, a float32 scalar with a graph. */
export function lossOf(
  { type, labels }: Problem,
  logits: Tensor,
  { targets, cuSeqlens }: Pick<LabelledBatch, "targets" | "cuSeqlens">,
  device: Device,
): Tensor {
  if (type === "spans") return spanLoss(logits, targets, cuSeqlens, device);
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

/** The mean of the cross entropies of start and end over each window's tokens, summed over the windows. */
function spanLoss(logits: Tensor, targets: Float32Array, cuSeqlens: Int32Array, device: Device): Tensor {
  const [N, windows] = [cuSeqlens.at(-1)!, cuSeqlens.length - 1];
  const S = cuSeqlens.reduce((longest, end, i) => Math.max(longest, end - (cuSeqlens[i - 1] ?? 0)), 0);
  const rows = new Int32Array(windows * S).fill(N); // the row of padding, which no softmax counts
  for (let i = 0; i < windows; i++) {
    for (let row = cuSeqlens[i]!; row < cuSeqlens[i + 1]!; row++) rows[i * S + row - cuSeqlens[i]!] = row;
  }
  const padding = full([1, 2], -1e9, { device });
  const index = fromTypedArray(rows, { device }).to("int64");
  const padded = cat([logits, padding]).indexSelect(0, index).view(windows, S, 2); // [N, 2] -> [windows, S, 2]
  const [starts, ends] = [0, 1].map((which) => {
    const places = Int32Array.from({ length: windows }, (_, i) => targets[2 * i + which]!);
    const expected = fromTypedArray(places, { device }).to("int64");
    return crossEntropy(padded.select(2, which).contiguous(), expected, { reduction: "sum" });
  });
  return starts!.add(ends!).div(2);
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
