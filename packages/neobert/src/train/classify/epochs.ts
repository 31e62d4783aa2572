// The order in which a run sees its examples: each epoch a fresh shuffle of all of them, none twice and none left out. A
// step is a batch of so many texts, cut into micro-batches of bounded size; where it stands is two numbers.

import { z } from "zod";
import type { Share } from "../../data/batches.js";
import { Permutation, randomStreams } from "../../data/random.js";
import { cutByTokens } from "../../engine/planner.js";
import type { TaskStep } from "../loop/train-task.js";
import type { Examples } from "./examples.js";
import { type LabelledBatch, type Problem, targetCount } from "./problem.js";

export const epochCursorSchema = z.object({
  epoch: z.int().nonnegative(),
  /** Examples of the epoch that were seen. */
  seen: z.int().nonnegative(),
});

export type EpochCursor = z.infer<typeof epochCursorSchema>;

export interface EpochOptions {
  problem: Problem;
  seed: number;
  batchSize: number;
  microBatchTokens: number;
}

/** Steps from `cursor` on, without end, or a rank's share of them. Batches without any target are passed over. */
export function* epochSteps(
  examples: Examples,
  { problem, seed, batchSize, microBatchTokens }: EpochOptions,
  cursor: EpochCursor = { epoch: 0, seen: 0 },
  { rank, size }: Share = { rank: 0, size: 1 },
): Generator<TaskStep<LabelledBatch>, never> {
  let { epoch, seen } = cursor;
  for (;;) {
    if (seen >= examples.length) [epoch, seen] = [epoch + 1, 0];
    const start = performance.now();
    const shuffle = new Permutation(examples.length, seed, randomStreams.labelledOrder, epoch);
    const end = Math.min(seen + batchSize, examples.length);
    const order = Array.from({ length: end - seen }, (_, i) => shuffle.at(seen + i));
    seen = end;
    const parts = [...cutByTokens(order, (text) => examples.tokenCount(text), microBatchTokens)];
    const all = parts.map((part) => examples.pack(part));
    if (targetsOf(problem, all) === 0) continue;
    const microBatches = all.filter((_, index) => index % size === rank);
    const targets = targetsOf(problem, microBatches);
    const rounds = Math.ceil(all.length / size);
    const tokens = microBatches.reduce((sum, { ids }) => sum + ids.length, 0);
    const waitMs = performance.now() - start;
    yield { microBatches, rounds, targets, tokens, cursor: { epoch, seen }, waitMs };
  }
}

function targetsOf(problem: Problem, batches: readonly LabelledBatch[]): number {
  return batches.reduce((sum, batch) => sum + targetCount(problem, batch), 0);
}
