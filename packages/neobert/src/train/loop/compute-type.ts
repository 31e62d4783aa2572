// `dtype: auto`: which compute type is faster here is measured, not looked up, since processors with bf16 instructions
// differ by a factor of four in what they gain from them.

import { synchronize } from "@neobert/torch";
import { type ComputeType, ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { StepTrainer } from "./step.js";

const MAX_ROUNDS = 4;
/** No further round is begun after this time: a large model shows its type in one. */
const ENOUGH_MS = 3000;
/** Tokens of the batch that is timed. */
export const ENOUGH_TOKENS = 1024;

/** bf16 rounds more, so it has to be faster by more than the noise of a measurement. */
const WORTH_IT = 1.15;

/**
 * Times forward and backward passes over a small real batch in both types, in turn, and returns the faster one by
 * the best round, fp32 if they are close. Leaves no gradient behind.
 */
export async function fasterType<B>(
  microBatch: B,
  model: TorchModel,
  trainerWith: (compute: ComputeWeights) => StepTrainer<B>,
): Promise<{ dtype: ComputeType; text: string }> {
  const best = { fp32: Number.POSITIVE_INFINITY, bf16: Number.POSITIVE_INFINITY };
  const begun = performance.now();
  for (let round = 0; round < MAX_ROUNDS && (round === 0 || performance.now() - begun < ENOUGH_MS); round++) {
    for (const dtype of ["fp32", "bf16"] as const) {
      const compute = new ComputeWeights(model, dtype);
      const trainer = trainerWith(compute);
      const start = performance.now();
      try {
        await trainer.tryOut(microBatch);
        synchronize(model.device);
      } finally {
        compute.dispose();
      }
      best[dtype] = Math.min(best[dtype], performance.now() - start);
    }
  }
  const text = `${best.fp32.toFixed(1)} ms in fp32 and ${best.bf16.toFixed(1)} ms in bf16`;
  return { dtype: best.bf16 * WORTH_IT < best.fp32 ? "bf16" : "fp32", text };
}
