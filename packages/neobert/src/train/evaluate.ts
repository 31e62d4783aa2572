// Held-out evaluation of a masked language model: mean cross entropy of the masked tokens, and how often the true token
// is the first, or among the first five, of the model's choices.

import { crossEntropy, fromTypedArray, noGrad, tidy } from "@neobert/torch";
import type { MaskedBatch, RunOptions, TorchModel } from "../model/torch-model.js";

export interface MaskedScores {
  /** Mean cross entropy in nats. */
  loss: number;
  /** Shares of the masked tokens, from 0 to 1. */
  accuracy: number;
  top5: number;
  /** Masked tokens scored. */
  targets: number;
}

/** Scores fixed batches; the same weights give the same scores whatever came before. */
export function evaluateMasked(model: TorchModel, batches: readonly MaskedBatch[], run: RunOptions = {}): MaskedScores {
  let [loss, first, five, targets] = [0, 0, 0, 0];
  for (const batch of batches) {
    tidy(() =>
      noGrad(() => {
        const logits = model.logits(batch, batch.maskedRows, run).to("float32"); // [M, V]
        const labels = fromTypedArray(batch.labels, { device: model.device }).to("int64"); // [M]
        const hits = logits.topk(Math.min(5, logits.shape[1]!)).indices.eq(labels.unsqueeze(-1)); // [M, 5]
        loss += crossEntropy(logits, labels, { reduction: "sum" }).item();
        first += hits.narrow(1, 0, 1).sum().item();
        five += hits.sum().item();
        targets += batch.labels.length;
      }),
    );
  }
  return { loss: loss / targets, accuracy: first / targets, top5: five / targets, targets };
}
