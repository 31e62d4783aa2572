// Where the texts of all calls of a model meet: what waits is bounded in tokens, each run is shared out by planner.ts, and
// results go back to the calls they belong to. A call leaves at once when it is aborted or past its deadline; its texts
// that are not yet in a run are never computed. Two runs are on their way at once, so that the worker never waits; where
// runs are bounded the second is planned just before the first ends, so that a call that comes waits for one run only. Runs
// are planned once in a turn of the event loop, so calls of the same turn share the first.

import type { PackedBatch } from "../model/packed-batch.js";
import { combineParts, type EngineResult, type EngineTask, keyOf, splitResult } from "./engine-tasks.js";
import { longestFirst, planRun } from "./planner.js";
import { RUN_MS, RunBound } from "./run-bound.js";

/** Tokens that may wait at once, unless a single call has more. */
const MAX_WAITING_TOKENS = 2 ** 20;
const RUNS_AHEAD = 2;
/** The share of the time before a deadline that computing may take, as rates vary: a call that needs more is not let in. */
const SAFE_SHARE = 0.8;
/** Beyond this share calls are served by their deadlines, one after another, since equal shares would make all of them late. */
const TIGHT_SHARE = 0.4;
/** Milliseconds before the end of a bounded run when the next is planned: the main thread may be busy for some of them. */
const LEAD_MS = 6;

export interface QueueOptions {
  /** Most tokens of a run, unless a single text has more. Default: as many as the engine is fastest with. */
  batchTokens?: number | undefined;
  /** Most tokens that wait; a further call waits for its turn to wait. Default 2^20. */
  maxWaitingTokens?: number | undefined;
  /**
   * Most milliseconds of a run where more than one call waits. Default 25, or as many as are needed to lose no more than
   * about a tenth of the throughput.
   */
  maxRunMs?: number | undefined;
  /**
   * Runs are bounded where one call waits, too, and by 25 ms whatever that costs: others may come at any time, as in a
   * server. Default false.
   */
  shared?: boolean | undefined;
}

/** What each call may say of its waiting. */
export interface WaitOptions {
  /** Aborting it rejects the call at once; what has not been computed by then never is. */
  signal?: AbortSignal | undefined;
  /** Milliseconds after which the call rejects with a `DeadlineError`, computed or not. */
  timeoutMs?: number | undefined;
  /**
   * False: reject at once with a `QueueFullError` where too many tokens wait, or with a `DeadlineError` where those that
   * wait leave no hope of an answer in time; one that finds none waiting is always tried. Default true.
   */
  wait?: boolean | undefined;
}

/** The texts of a call, and what becomes of them. */
export interface QueueCall extends WaitOptions {
  /** The caller, for errors. */
  where: string;
  texts: { readonly length: number; tokenCount(text: number): number; pack(order: readonly number[]): PackedBatch };
  /** The task for these texts, packed alone in this order. */
  task(order: readonly number[], cuSeqlens: Int32Array): EngineTask;
  /** Takes the result of some texts; texts come in any order, each once. */
  take(order: readonly number[], cuSeqlens: Int32Array, result: EngineResult): void;
  /** Names a text in errors. */
  describe(text: number): string;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** A call that would not wait, or could not wait long enough. */
class RefusalError extends Error {
  /** Milliseconds, at best, until the same call would be taken; 0 where that is not known. */
  readonly retryMs: number;

  constructor(message: string, retryMs = 0) {
    super(message);
    this.retryMs = retryMs;
  }
}

/** Too many tokens wait, and the call would not. */
export class QueueFullError extends RefusalError {
  override readonly name = "QueueFullError";
}

/** The call's time was over before its answer was there. */
export class DeadlineError extends RefusalError {
  override readonly name = "DeadlineError";
}

/** Computes a batch; `fatal` in a rejection tells that the engine's thread has died. */
type RunBatch = (batch: PackedBatch, task: EngineTask) => Promise<{ result: EngineResult; ms: number }>;

interface Entry {
  call: QueueCall;
  key: string;
  deadlineMs: number;
  /** When it was last served, or when it came. */
  servedMs: number;
  /** Texts that wait, longest first, from `head` on. */
  order: number[];
  head: number;
  tokens: number;
  done: number;
  settle(error?: unknown): void;
  isSettled: boolean;
}

interface Part {
  entry: Entry;
  order: number[];
}

export class EngineQueue {
  readonly #run: RunBatch;
  readonly #batchTokens: number;
  readonly #maxWaitingTokens: number;
  readonly #bound: RunBound;
  readonly #isShared: boolean;
  readonly #waiting: Entry[] = [];
  /** Calls that have no place yet, in their order. */
  readonly #outside: Entry[] = [];
  #waitingTokens = 0;
  #running = 0;
  #planning: NodeJS.Immediate | undefined;
  /** What each run on its way will take, and since when the first of them computes. */
  readonly #expectedMs: number[] = [];
  #sinceMs = 0;
  #late: NodeJS.Timeout | undefined;

  /** `mostTokens` is the engine's own number of tokens of a run. */
  constructor(run: RunBatch, mostTokens: number, options: QueueOptions = {}) {
    const { batchTokens, maxWaitingTokens, maxRunMs, shared = false } = options;
    this.#run = run;
    this.#batchTokens = batchTokens ?? mostTokens;
    this.#maxWaitingTokens = maxWaitingTokens ?? MAX_WAITING_TOKENS;
    this.#bound = new RunBound(maxRunMs ?? (shared ? RUN_MS : undefined)); // not what a noisy fit takes for needed
    this.#isShared = shared;
    for (const [name, value] of Object.entries({ batchTokens, maxWaitingTokens, maxRunMs })) {
      if (value === undefined) continue;
      if (!(value >= 1) || (name !== "maxRunMs" && !Number.isInteger(value))) {
        throw new RangeError(`load: expected ${name} of 1 or more, got ${value}`);
      }
    }
  }

  /** Tokens that wait for a run. */
  get waitingTokens(): number {
    return this.#waitingTokens;
  }

  /** Texts that wait for a run. */
  get waitingTexts(): number {
    return this.#waiting.reduce((sum, { order, head }) => sum + order.length - head, 0);
  }

  /** Computes all texts of a call. Rejects naming the text that fails, when aborted, past the deadline, or where full. */
  submit(call: QueueCall): Promise<void> {
    const { texts, signal, timeoutMs, where, wait = true } = call;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (timeoutMs !== undefined && !(timeoutMs > 0)) {
      return Promise.reject(new RangeError(`${where}: expected timeoutMs above 0, got ${timeoutMs}`));
    }
    if (texts.length === 0) return Promise.resolve();
    const order = longestFirst(texts);
    const tokens = tokensOf(texts, order);
    const isFull = this.#outside.length > 0 || !this.#hasRoomFor(tokens);
    if (isFull && !wait) {
      const got = `${tokens} more beside ${this.waitingTokens}`;
      const way = "Ask again later, or leave out `wait: false`.";
      const message = `${where}: expected at most ${this.#maxWaitingTokens} waiting tokens, got ${got}\n${way}`;
      const leaving = Math.min(this.#waitingTokens, Math.max(0, this.#waitingTokens + tokens - this.#maxWaitingTokens));
      return Promise.reject(new QueueFullError(message, this.#retryMsOf(this.#bound.leastMsOf(leaving))));
    }
    const expectedMs = this.#expectedMsOf(tokens, timeoutMs);
    if (timeoutMs !== undefined && !wait && this.#waiting.length > 0 && expectedMs > timeoutMs) {
      const got = `${this.waitingTokens} tokens before it, some ${Math.round(expectedMs)} ms`;
      const message = `${where}: expected an answer within ${timeoutMs} ms, got ${got}\nAsk again later.`;
      return Promise.reject(new DeadlineError(message, this.#retryMsOf(expectedMs - timeoutMs)));
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => entry.settle(signal!.reason);
      const onTime = () =>
        entry.settle(new DeadlineError(`${where}: expected an answer within ${timeoutMs} ms, got none`));
      const timer = timeoutMs === undefined ? undefined : setTimeout(onTime, timeoutMs);
      const entry: Entry = {
        call,
        key: keyOf(call.task([], Int32Array.of(0))),
        deadlineMs: timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs,
        servedMs: performance.now(),
        order,
        head: 0,
        tokens,
        done: 0,
        isSettled: false,
        settle: (error) => {
          if (entry.isSettled) return;
          entry.isSettled = true;
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
          if (remove(this.#waiting, entry)) this.#waitingTokens -= entry.tokens;
          remove(this.#outside, entry);
          if (error === undefined) resolve();
          else reject(error);
          this.#admit();
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      if (isFull) this.#outside.push(entry);
      else this.#enter(entry);
    });
  }

  /**
   * Milliseconds to a call's end where no other comes: each has an equal share of the runs, or, with some to spare, those
   * of nearer deadlines come first.
   */
  #expectedMsOf(tokens: number, timeoutMs = Number.POSITIVE_INFINITY): number {
    const shared = Math.min(this.#waitingTokens + tokens, tokens * (this.#waiting.length + 1));
    const deadlineMs = performance.now() + timeoutMs;
    const sooner = this.#waiting.filter(
      (entry) => timeoutMs < Number.POSITIVE_INFINITY && entry.deadlineMs <= deadlineMs,
    );
    const byDeadline = sooner.reduce((sum, entry) => sum + entry.tokens, tokens);
    return Math.max(this.#bound.leastMsOf(shared), this.#bound.leastMsOf(byDeadline) / SAFE_SHARE);
  }

  /** Whether some call will hardly be done in time, those of nearer deadlines before it. */
  get #isTight(): boolean {
    const now = performance.now();
    const pressing = this.#waiting.filter(({ deadlineMs }) => Number.isFinite(deadlineMs));
    let tokens = 0;
    return pressing
      .sort((a, b) => a.deadlineMs - b.deadlineMs)
      .some((entry) => {
        tokens += entry.tokens;
        return this.#bound.leastMsOf(tokens) > TIGHT_SHARE * (entry.deadlineMs - now);
      });
  }

  /** So long, or until the last call that waits gives up. */
  #retryMsOf(ms: number): number {
    const last = this.#waiting.reduce((most, { deadlineMs }) => Math.max(most, deadlineMs), 0);
    return Math.min(ms, Math.max(0, last - performance.now()));
  }

  #hasRoomFor(tokens: number): boolean {
    return this.#waitingTokens === 0 || this.#waitingTokens + tokens <= this.#maxWaitingTokens;
  }

  #enter(entry: Entry): void {
    this.#waiting.push(entry);
    this.#waitingTokens += entry.tokens;
    this.#planSoon();
  }

  #admit(): void {
    while (this.#outside.length > 0 && this.#hasRoomFor(this.#outside[0]!.tokens)) this.#enter(this.#outside.shift()!);
    this.#planSoon();
  }

  /** Plans at the end of this turn of the event loop, when all calls of the turn are there. */
  #planSoon(): void {
    if (this.#waiting.length === 0 || this.#running === RUNS_AHEAD) return;
    this.#planning ??= setImmediate(() => {
      this.#planning = undefined;
      this.#plan();
    });
  }

  #plan(): void {
    clearTimeout(this.#late);
    while (this.#running < RUNS_AHEAD && this.#waiting.length > 0) {
      const leftMs = this.#expectedMs.reduce((sum, ms) => sum + ms, this.#sinceMs - performance.now());
      if (this.#running > 0 && this.#isBound && leftMs > LEAD_MS) {
        this.#late = setTimeout(() => this.#plan(), leftMs - LEAD_MS);
        return;
      }
      this.#running++;
      this.#compute(this.#nextParts()).finally(() => {
        this.#running--;
        this.#admit();
      });
    }
  }

  get #isBound(): boolean {
    return this.#isShared || this.#waiting.length > 1;
  }

  #nextParts(): Part[] {
    const maxTokens = this.#isBound ? Math.min(this.#batchTokens, this.#bound.mostTokens) : this.#batchTokens;
    const entries = [...this.#waiting];
    const waiting = entries.map(({ call, key, deadlineMs, servedMs, order, head }) => ({
      length: order.length - head,
      tokenCount: (place: number) => call.texts.tokenCount(order[head + place]!),
      settings: key,
      deadlineMs,
      servedMs,
    }));
    return planRun(waiting, maxTokens, this.#isTight).map(({ call, texts }) => {
      const entry = entries[call]!;
      const order = entry.order.slice(entry.head, entry.head + texts);
      entry.head += texts;
      const tokens = tokensOf(entry.call.texts, order);
      entry.tokens -= tokens;
      this.#waitingTokens -= tokens;
      entry.servedMs = performance.now();
      if (entry.head === entry.order.length) remove(this.#waiting, entry);
      return { entry, order };
    });
  }

  /** Computes one run. One that fails is halved until the text that fails stands alone. */
  async #compute(all: Part[]): Promise<void> {
    const parts = all.filter(({ entry }) => !entry.isSettled);
    if (parts.length === 0) return;
    let prepared: { part: Part; cuSeqlens: Int32Array; task: EngineTask }[] = [];
    let results: EngineResult[];
    try {
      const batches = parts.map(({ entry, order }) => entry.call.texts.pack(order));
      prepared = parts.map((part, i) => {
        const cuSeqlens = batches[i]!.cuSeqlens.slice();
        return { part, cuSeqlens, task: part.entry.call.task(part.order, cuSeqlens) };
      });
      const sizes = prepared.map(({ cuSeqlens, task }) => ({ cuSeqlens, task }));
      const { batch, task } = combineParts(batches, sizes);
      const tokens = batch.ids.length; // before its arrays are given away
      if (this.#expectedMs.push(this.#bound.msOf(tokens)) === 1) this.#sinceMs = performance.now();
      const { result, ms } = await this.#run(batch, task).finally(() => {
        this.#expectedMs.shift();
        this.#sinceMs = performance.now();
      });
      this.#bound.learn(tokens, ms);
      results = splitResult(result, sizes);
    } catch (error) {
      return this.#retry(parts, error as Error & { fatal?: boolean });
    }
    for (const [i, { part, cuSeqlens }] of prepared.entries()) this.#deliver(part, cuSeqlens, results[i]!);
  }

  #deliver({ entry, order }: Part, cuSeqlens: Int32Array, result: EngineResult): void {
    if (entry.isSettled) return;
    try {
      entry.call.take(order, cuSeqlens, result);
      entry.done += order.length;
      entry.call.onProgress?.({ done: entry.done, total: entry.order.length });
    } catch (error) {
      entry.settle(error);
    }
    if (entry.done === entry.order.length) entry.settle();
  }

  async #retry(parts: Part[], error: Error & { fatal?: boolean }): Promise<void> {
    const [first] = parts;
    if (error.fatal) {
      for (const { entry } of parts) entry.settle(new Error(`${entry.call.where}: ${error.message}`, { cause: error }));
    } else if (parts.length > 1) {
      for (const part of parts) await this.#compute([part]);
    } else if (first!.order.length > 1) {
      const { entry, order } = first!;
      const half = order.length >> 1;
      await this.#compute([{ entry, order: order.slice(0, half) }]);
      await this.#compute([{ entry, order: order.slice(half) }]);
    } else {
      const { entry, order } = first!;
      const { where, describe } = entry.call;
      entry.settle(new Error(`${where}: ${describe(order[0]!)}: ${error.message}`, { cause: error }));
    }
  }
}

function tokensOf(texts: { tokenCount(text: number): number }, order: readonly number[]): number {
  let tokens = 0;
  for (const text of order) tokens += texts.tokenCount(text);
  return tokens;
}

/** Whether the entry was there. */
function remove(list: Entry[], entry: Entry): boolean {
  const at = list.indexOf(entry);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}
