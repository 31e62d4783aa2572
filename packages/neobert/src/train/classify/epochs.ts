// The order in which a run sees its examples: each epoch a fresh shuffle of all of them, none twice and none left out. A
// step is a batch of so many texts, cut into micro-batches of bounded size; where it stands is two numbers.

import { z } from "zod";
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

/** Steps from `cursor` on, without end. Batches without any target are passed over. */
export function* epochSteps(
  examples: Examples,
  { problem, seed, batchSize, microBatchTokens }: EpochOptions,
  cursor: EpochCursor = { epoch: 0, seen: 0 },
): Generator<TaskStep<LabelledBatch>, never> {
  let { epoch, seen } = cursor;
  for (;;) {
    if (seen >= examples.length) [epoch, seen] = [epoch + 1, 0];
    const start = performance.now();
    const shuffle = new Permutation(examples.length, seed, randomStreams.labelledOrder, epoch);
    const end = Math.min(seen + batchSize, examples.length);
    const order = Array.from({ length: end - seen }, (_, i) => shuffle.at(seen + i));
    seen = end;
    const parts = cutByTokens(order, (text) => examples.tokenCount(text), microBatchTokens);
    const microBatches = Array.from(parts, (part) => examples.pack(part));
    const targets = microBatches.reduce((sum, batch) => sum + targetCount(problem, batch), 0);
    if (targets === 0) continue;
    const tokens = microBatches.reduce((sum, { ids }) => sum + ids.length, 0);
    const waitMs = performance.now() - start;
    yield { microBatches, targets, tokens, cursor: { epoch, seen }, waitMs };
  }
}
