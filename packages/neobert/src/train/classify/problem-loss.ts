// The logits that a problem is learnt by, and their loss, summed over targets, so that micro-batches add up.

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
import type { ForwardOptions, PackedBatch, TorchModel } from "../../model/torch/torch-model.js";
import { IGNORED, isPerToken, type LabelledBatch, type Problem } from "./problem.js";

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
