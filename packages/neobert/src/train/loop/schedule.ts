// Learning-rate schedules as pure functions of the step: linear warm-up, an optional plateau, a decay that ends AT
// `decaySteps`, then a constant rest. Special: all step counts but `stableSteps` are counted from the start of the run,
// so the paper's "cosine to 10 % at 900,000 of 1,000,000 steps" is `decaySteps: 900_000, finalRatio: 0.1`.
// Source: NeoBERT paper, section 3.2; the 1-sqrt decay of `wsd` is Haegele et al. 2024 (arXiv 2405.18392).

/** Shape of the decay; `wsd` (warm-up, stable, decay) falls as 1 - sqrt(progress), `constant` does not fall. */
export type ScheduleName = "cosine" | "linear" | "wsd" | "constant";

export interface Schedule {
  name: ScheduleName;
  /** Learning rate at the end of the warm-up. */
  peakLr: number;
  /** Step at which the linear warm-up reaches the peak. */
  warmupSteps: number;
  /** Share of the peak at which the warm-up starts. */
  initialRatio: number;
  /** Steps spent at the peak between warm-up and decay. */
  stableSteps?: number | undefined;
  /** Step at which the decay has reached `finalRatio`; needed unless the schedule is `constant`. */
  decaySteps?: number | undefined;
  /** Share of the peak that is left after the decay. */
  finalRatio?: number | undefined;
}

const remainingShare: Record<Exclude<ScheduleName, "constant">, (progress: number) => number> = {
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  linear: (progress) => 1 - progress,
  wsd: (progress) => 1 - Math.sqrt(progress),
};

/**
 * The learning rate in force for optimizer step `step`, counted from 0 (so step 0 of a warm-up from zero has rate 0).
 * Throws when a decaying schedule has no `decaySteps`. Source: NeoBERT paper, section 3.2.
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { name, peakLr, warmupSteps, initialRatio, stableSteps = 0, decaySteps, finalRatio = 0 } = schedule;
  if (step < warmupSteps) return peakLr * (initialRatio + (1 - initialRatio) * (step / warmupSteps));
  if (name === "constant") return peakLr;
  if (decaySteps === undefined) {
    throw new Error(
      `learningRate: expected decaySteps with the schedule "${name}", got none\nGive the step at which the decay ends.`,
    );
  }
  const decayStart = warmupSteps + stableSteps;
  if (step < decayStart) return peakLr;
  if (step >= decaySteps) return peakLr * finalRatio;
  const remaining = remainingShare[name]((step - decayStart) / (decaySteps - decayStart));
  return peakLr * (finalRatio + (1 - finalRatio) * remaining);
}
