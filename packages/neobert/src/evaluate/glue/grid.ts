// The settings that fine-tuning tries on each task: the paper's grid (NeoBERT, appendix C), the smaller one of its ablations
// (section 4), and a quick one for small models and machines. What they share: warm-up over 6 % of the steps, linear
// decay to a tenth that ends at 90 % of them, evaluation ten times an epoch but at least every 500 steps.

export interface Grid {
  learningRates: readonly number[];
  batchSizes: readonly number[];
  weightDecays: readonly number[];
  epochs: number;
  /** Evaluations without gain after which a run ends. */
  patience: number;
  /** Default 10, as in the paper; more where 500 steps would pass without one. */
  evaluationsPerEpoch?: number;
}

export interface GridPoint {
  learningRate: number;
  batchSize: number;
  weightDecay: number;
}

export const grids = {
  paper: {
    learningRates: [5e-6, 6e-6, 8e-6, 1e-5, 2e-5, 3e-5],
    batchSizes: [2, 4, 8, 16, 32],
    weightDecays: [1e-2, 1e-5],
    epochs: 10,
    patience: 15,
  },
  ablations: {
    learningRates: [1e-5, 2e-5, 3e-5],
    batchSizes: [16, 32],
    weightDecays: [1e-2],
    epochs: 10,
    patience: 15,
  },
  // Small models learn at higher rates than the paper's 250M parameters do.
  quick: { learningRates: [1e-4, 3e-4], batchSizes: [32], weightDecays: [1e-2], epochs: 3, patience: 15 },
} satisfies Record<string, Grid>;

export type GridName = keyof typeof grids;

export function gridPoints({ batchSizes, learningRates, weightDecays }: Grid): GridPoint[] {
  return batchSizes.flatMap((batchSize) =>
    learningRates.flatMap((learningRate) =>
      weightDecays.map((weightDecay) => ({ learningRate, batchSize, weightDecay })),
    ),
  );
}

export interface RunLength {
  stepsPerEpoch: number;
  steps: number;
  evaluateEverySteps: number;
}

/** Steps of a run over `examples`, the last batch of an epoch being smaller where they do not divide. */
export function runLength(examples: number, batchSize: number, epochs: number, evaluationsPerEpoch = 10): RunLength {
  const stepsPerEpoch = Math.ceil(examples / batchSize);
  const evaluateEverySteps = Math.max(1, Math.min(500, Math.floor(stepsPerEpoch / evaluationsPerEpoch)));
  return { stepsPerEpoch, steps: stepsPerEpoch * epochs, evaluateEverySteps };
}

/** The paper's schedule: linear, warm-up over 6 % of the steps, down to a tenth of the peak at 90 % of them. */
export function fineTuningSchedule(steps: number) {
  const warmupSteps = Math.ceil((steps / 100) * 6);
  const decaySteps = Math.max(warmupSteps, Math.ceil((steps / 100) * 90));
  return { name: "linear" as const, warmupSteps, initialRatio: 0, stableSteps: 0, decaySteps, finalRatio: 0.1 };
}
