// Held-out evaluation of a masked language model: mean cross entropy of the masked tokens, and how often the true token
// is the first, or among the first five, of the model's choices.

import { crossEntropy, fromTypedArray, noGrad, tidy } from "@neobert/torch";
import { evaluationBatches, openShards, type TokenShards } from "../../data/index.js";
import { modelFolder } from "../../files/run-folder.js";
import { type ForwardOptions, type MaskedBatch, TorchModel } from "../../model/torch/torch-model.js";
import { countTokens, type MaskedScores, unigramScores } from "./unigram.js";

export type { MaskedScores };

/** Scores fixed batches; the same weights give the same scores whatever came before. */
export function evaluateMasked(
  model: TorchModel,
  batches: readonly MaskedBatch[],
  run: ForwardOptions = {},
): MaskedScores {
  return maskedScores(maskedSums(model, batches, run));
}

/** The means of sums as `maskedSums` has them. */
export function maskedScores(sums: readonly number[]): MaskedScores {
  const [loss, first, five, targets] = sums as [number, number, number, number];
  return { loss: loss / targets, accuracy: first / targets, top5: five / targets, targets };
}

/** Over fixed batches: the sum of the losses, true tokens placed first, among the first five, and masked tokens. */
export function maskedSums(model: TorchModel, batches: readonly MaskedBatch[], run: ForwardOptions = {}): number[] {
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
  return [loss, first, five, targets];
}

export interface HeldOutOptions {
  /** Model folder or run folder. */
  model: string;
  /** Prepared data: `train` for the counts of the yardstick, `validation` for the masks. */
  train: string;
  validation: string;
  /** Tokens of the longest piece. */
  maxLength: number;
  /** Masked tokens to score; the same ones for the same seed. */
  targets: number;
  seed?: number;
}

/** Scores a finished model on held-out masked tokens, and beside it the unigram model of its training data. */
export function heldOutScores(options: HeldOutOptions): { model: MaskedScores; unigram: MaskedScores } {
  const { maxLength, targets, seed = 0 } = options;
  const enough = targets * 10 + maxLength;
  const all = evaluationBatches(options.validation, {
    tokens: enough,
    seed,
    maxLength,
    microBatchTokens: 16 * maxLength,
  });
  const batches: MaskedBatch[] = [];
  let wanted = targets;
  for (const { ids, cuSeqlens, maskedRows, labels } of all) {
    if (wanted <= 0) break;
    batches.push({ ids, cuSeqlens, maskedRows: maskedRows.slice(0, wanted), labels: labels.slice(0, wanted) });
    wanted -= labels.length;
  }
  const shards = openShards(options.train);
  const counts = countTokens(tokensOf(shards), shards.manifest.tokenizer.vocabSize);
  shards.close();
  const model = TorchModel.load(modelFolder(options.model), { head: "maskedLM" });
  try {
    const labels = batches.flatMap(({ labels }) => [...labels]);
    return { model: evaluateMasked(model, batches), unigram: unigramScores(counts, labels) };
  } finally {
    model.dispose();
  }
}

function* tokensOf(shards: TokenShards): Generator<number> {
  for (let document = 0; document < shards.documents; document++) yield* shards.document(document);
}
