// Many texts on one engine: sorted by length, cut into runs under a budget of tokens, so that a run's texts are about
// equally long; two runs are on their way at once, so that the worker never waits. Results are handed over with the
// texts' places in the caller's list.

import type { TokenizedTexts } from "../texts/tokenized.js";
import type { EngineResult, EngineTask } from "./engine-tasks.js";
import type { EngineThread } from "./engine-thread.js";

/** Tokens of one run, unless a single text has more. */
export const BATCH_TOKENS = 4096;

const RUNS_AHEAD = 2;

export interface TextRunOptions {
  /** The caller, for errors. */
  where: string;
  batchTokens?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Names a text in errors. */
  describe: (text: number) => string;
  /** The task of a run with these texts; `cuSeqlens` says where each lies in it. */
  task: (order: readonly number[], cuSeqlens: Int32Array) => EngineTask;
  /** Takes a run's result, in any order of runs. */
  take: (order: readonly number[], cuSeqlens: Int32Array, result: EngineResult) => void;
}

/** The texts of each run, longest texts first. A run's tokens are at most `batchTokens`, or it has one text. */
export function planRuns(texts: Pick<TokenizedTexts, "length" | "tokenCount">, batchTokens: number): number[][] {
  const order = Array.from({ length: texts.length }, (_, text) => text);
  order.sort((a, b) => texts.tokenCount(b) - texts.tokenCount(a) || a - b);
  const runs: number[][] = [];
  let tokens = Number.POSITIVE_INFINITY;
  for (const text of order) {
    tokens += texts.tokenCount(text);
    if (tokens > batchTokens) {
      runs.push([]);
      tokens = texts.tokenCount(text);
    }
    runs.at(-1)!.push(text);
  }
  return runs;
}

/** Runs all texts; rejects with the first failure, naming its text, or when `signal` is aborted. */
export async function runTexts(thread: EngineThread, texts: TokenizedTexts, options: TextRunOptions): Promise<void> {
  const { batchTokens = BATCH_TOKENS, signal, onProgress } = options;
  if (!Number.isInteger(batchTokens) || batchTokens < 1) {
    throw new RangeError(`${options.where}: expected batchTokens of 1 or more, got ${batchTokens}`);
  }
  const runs = planRuns(texts, batchTokens);
  let done = 0;
  let next = 0;
  const lane = async () => {
    while (next < runs.length) {
      signal?.throwIfAborted();
      const order = runs[next++]!;
      try {
        await runOnce(thread, texts, order, options);
      } catch (error) {
        next = runs.length;
        throw error;
      }
      done += order.length;
      onProgress?.({ done, total: texts.length });
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: RUNS_AHEAD }, lane));
  for (const lane of lanes) if (lane.status === "rejected") throw lane.reason;
}

/** A run that fails is halved until the text that fails stands alone. */
async function runOnce(
  thread: EngineThread,
  texts: TokenizedTexts,
  order: readonly number[],
  options: TextRunOptions,
): Promise<void> {
  const batch = texts.pack(order);
  const { cuSeqlens } = batch;
  const kept = cuSeqlens.slice();
  let result: EngineResult;
  try {
    result = await thread.run(batch, options.task(order, kept));
  } catch (error) {
    const { message } = error as Error;
    if (thread.hasEnded) throw new Error(`${options.where}: ${message}`, { cause: error });
    if (order.length === 1) {
      throw new Error(`${options.where}: ${options.describe(order[0]!)}: ${message}`, { cause: error });
    }
    const half = order.length >> 1;
    await runOnce(thread, texts, order.slice(0, half), options);
    return runOnce(thread, texts, order.slice(half), options);
  }
  options.take(order, kept, result);
}
