// How long a pretraining run will take here, from steps that were taken: the real model on a small real batch, in a folder
// that is deleted again.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ComputeType } from "../../model/torch/torch-compute-weights.js";
import { endRun, startRun } from "../loop/start.js";
import type { RunConfig } from "./pretrain-config.js";
import { pretraining } from "./pretrain-task.js";

export interface StepTime {
  /** Tokens of the batch that was timed, and the type it was computed in. */
  tokens: number;
  dtype: ComputeType;
  tokensPerSecond: number;
  /** Forward and backward; and the optimizer, once a step. */
  passSecondsPerToken: number;
  optimizerSeconds: number;
  /** Seconds of a step of the run, and of all its steps; evaluations and checkpoints are not counted. */
  stepSeconds: number;
  runSeconds: number;
}

const ROUNDS = 3;
const ENOUGH_MS = 5000;

/** Takes a few steps; rejects where data, model or libtorch are not there. */
export async function measureStep(config: RunConfig): Promise<StepTime> {
  const out = mkdtempSync(join(tmpdir(), "neobert-dry-run-"));
  try {
    const task = pretraining({ ...config, out });
    const run = await startRun(task, { resume: false, onNote: () => {}, shouldStop: () => false });
    try {
      const { microBatch, targets } = await task.trial(run.tokenizer);
      const tokens = microBatch.ids.length;
      let [passes, optimizer] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      const begun = performance.now();
      // The first step makes what later ones find: memory, the optimizer's moments.
      for (let round = 0; round <= ROUNDS && (round < 2 || performance.now() - begun < ENOUGH_MS); round++) {
        const share = { microBatches: [microBatch], targets, tokens };
        const { seconds } = (await run.trainer.step(share, { step: round, lr: 1e-6 }))!;
        if (round === 0) continue;
        passes = Math.min(passes, seconds.forward + seconds.backward);
        optimizer = Math.min(optimizer, seconds.optimizer);
      }
      const passSecondsPerToken = passes / tokens;
      const stepSeconds = passSecondsPerToken * config.tokensPerStep + optimizer;
      const { dtype } = run.record;
      const tokensPerSecond = config.tokensPerStep / stepSeconds;
      const runSeconds = stepSeconds * config.steps;
      const parts = { passSecondsPerToken, optimizerSeconds: optimizer };
      return { tokens, dtype, tokensPerSecond, ...parts, stepSeconds, runSeconds };
    } finally {
      endRun(run);
    }
  } finally {
    rmSync(out, { recursive: true });
  }
}
