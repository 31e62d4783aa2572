// The worker thread that owns an engine, as its callers see it: calls of texts go in and meet in one queue, results come
// out. On request the engine lives in the calling thread in its place. The worker keeps the process alive only while it has something to do, so a program need not dispose of a model to
// end. A worker that dies fails what it was computing, with the reason; a new one takes the rest.

import { SHARE_ENV, Worker } from "node:worker_threads";
import { compiledFile } from "../files/package.js";
import type { Head } from "../model/architecture.js";
import type { ModelConfig } from "../model/architectures.js";
import type { PackedBatch } from "../model/packed-batch.js";
import type { VectorModule } from "../vectors/sentence-transformers.js";
import { VectorHead } from "../vectors/vector-head.js";
import type { Engine, EngineOptions } from "./engine.js";
import { type EngineResult, type EngineTask, runTask } from "./engine-tasks.js";
import { makeGuard } from "./exit-guard.js";
import { loadEngine } from "./load-engine.js";
import { EngineQueue, type QueueCall, type QueueOptions } from "./queue.js";

/** Workers that may die one after another, none of them having computed anything, before the thread gives up. */
const MOST_DEATHS = 3;

/** What the worker is given. */
export interface EngineWorkerInput {
  folder: string;
  options: EngineOptions;
  modules: readonly VectorModule[];
  /** See exit-guard.ts. */
  guard: SharedArrayBuffer;
}

export type StartInput = Omit<EngineWorkerInput, "guard"> & {
  queue?: QueueOptions;
  /** False: the engine lives in the calling thread. */
  worker?: boolean;
};

/** An engine in the calling thread. */
interface Own {
  engine: Engine;
  head: VectorHead;
}

export interface WorkerRequest {
  id: number;
  batch: PackedBatch;
  task: EngineTask;
}

/** What it says. */
export type WorkerReply =
  | ({ kind: "ready" } & Pick<Engine, "config" | "head" | "mostTokens" | "dtype" | "note">)
  /** NOTE: cloning keeps the names of the language's own errors alone. */
  | { kind: "unloadable"; error: Error; name: string }
  | { kind: "result"; id: number; result: EngineResult; ms: number }
  | { kind: "failed"; id: number; error: Error }
  | { kind: "disposed" };

type Ready = WorkerReply & { kind: "ready" };

interface PendingRun {
  resolve(done: { result: EngineResult; ms: number }): void;
  reject(error: Error): void;
}

interface Living {
  worker: Worker;
  ready: Ready;
  release(): void;
}

export class EngineThread {
  readonly config: ModelConfig;
  readonly head: Head;
  readonly dtype: Engine["dtype"];
  readonly note: Engine["note"];
  readonly #input: StartInput;
  readonly #queue: EngineQueue;
  readonly #pending = new Map<number, PendingRun>();
  readonly #open = new Set<Promise<unknown>>();
  /** The worker, or the one that is being started; undefined where it died and nothing has been asked since. */
  #living: Promise<Living> | undefined;
  readonly #own: Own | undefined;
  #deaths = 0;
  #nextId = 0;
  #disposal: Promise<void> | undefined;

  private constructor(input: StartInput, loaded: Living | Own) {
    this.#input = input;
    const { config, head, dtype, note, mostTokens } = "worker" in loaded ? loaded.ready : loaded.engine;
    this.config = config;
    this.head = head;
    this.dtype = dtype;
    this.note = note;
    this.#queue = new EngineQueue((batch, task) => this.#run(batch, task), mostTokens, input.queue);
    if ("worker" in loaded) this.#living = Promise.resolve(this.#adopt(loaded));
    else this.#own = loaded;
  }

  /** Starts the thread and loads the model in it. Rejects with what the engine throws. */
  static async start(input: StartInput): Promise<EngineThread> {
    if (input.worker === false) {
      const engine = await loadEngine(input.folder, input.options);
      return new EngineThread(input, { engine, head: new VectorHead(input.modules) });
    }
    const living = await startWorker(input);
    try {
      return new EngineThread(input, living);
    } catch (error) {
      await living.worker.terminate();
      living.release();
      throw error;
    }
  }

  /** Runs `work`, which `dispose` then waits for. Rejects where the model has been disposed of; `where` is the caller. */
  call<R>(where: string, work: () => Promise<R>): Promise<R> {
    if (this.#disposal) {
      const expected = "expected a loaded model, got one that has been disposed of";
      return Promise.reject(new Error(`${where}: ${expected}\nLoad it anew.`));
    }
    const result = work();
    this.#open.add(result);
    const close = () => this.#open.delete(result);
    result.then(close, close);
    return result;
  }

  /** Computes the texts of a call, among those of all others. */
  compute(call: QueueCall): Promise<void> {
    return this.#queue.submit(call);
  }

  /** Tokens of calls that wait to be computed. */
  get waitingTokens(): number {
    return this.#queue.waitingTokens;
  }

  /** Texts of calls that wait to be computed. */
  get waitingTexts(): number {
    return this.#queue.waitingTexts;
  }

  /** Frees the model and ends the thread once all that was asked for before is done. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    await Promise.allSettled(this.#open);
    await this.#own?.engine.dispose();
    const living = await this.#living?.catch(() => undefined);
    if (!living) return;
    const { worker, release } = living;
    worker.ref();
    await new Promise<void>((resolve) => {
      worker.on("message", ({ kind }: WorkerReply) => kind === "disposed" && resolve());
      worker.once("exit", () => resolve());
      worker.postMessage("dispose");
    });
    await worker.terminate();
    release();
  }

  /** Has a batch computed; the arrays of `batch` are given away. */
  async #run(batch: PackedBatch, task: EngineTask): Promise<{ result: EngineResult; ms: number }> {
    if (this.#own) {
      const start = performance.now();
      const result = await runTask(this.#own.engine, this.#own.head, batch, task);
      return { result, ms: performance.now() - start };
    }
    const { worker } = await this.#worker();
    const id = this.#nextId++;
    const { ids, cuSeqlens, tokenTypes } = batch;
    const arrays = [ids, cuSeqlens, ...(tokenTypes ? [tokenTypes] : [])].map(({ buffer }) => buffer as ArrayBuffer);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, batch, task } satisfies WorkerRequest, arrays);
    });
  }

  /** The worker; a new one where the last has died. */
  async #worker(): Promise<Living> {
    if (!this.#living) {
      if (this.#deaths >= MOST_DEATHS) {
        throw fatal(`the engine's worker has died ${this.#deaths} times\nLoad the model anew.`);
      }
      const starting = startWorker(this.#input).then((living) => this.#adopt(living));
      starting.catch(() => {
        this.#deaths++;
        if (this.#living === starting) this.#living = undefined;
      });
      this.#living = starting;
    }
    return this.#living.catch((cause: Error) => {
      throw fatal(cause.message, cause);
    });
  }

  #adopt(living: Living): Living {
    const { worker, release } = living;
    let reason: Error | undefined;
    worker.on("message", (reply: WorkerReply) => {
      if (reply.kind !== "result" && reply.kind !== "failed") return;
      const { resolve, reject } = this.#pending.get(reply.id)!;
      this.#pending.delete(reply.id);
      if (this.#pending.size === 0 && !this.#disposal) worker.unref(); // dispose() waits for its reply
      this.#deaths = 0;
      if (reply.kind === "result") resolve(reply);
      else reject(reply.error);
    });
    worker.on("error", (error) => {
      reason = error;
    });
    worker.on("exit", (code) => {
      release();
      this.#living = undefined;
      this.#deaths++;
      const error = fatal(reason?.message ?? `the engine's worker ended with code ${code}`, reason);
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
    });
    worker.unref();
    return living;
  }
}

/** An error that no further try of the same texts should follow. */
function fatal(message: string, cause?: Error): Error {
  return Object.assign(new Error(message, { cause }), { fatal: true });
}

async function startWorker({ queue: _, ...input }: StartInput): Promise<Living> {
  const { memory, release } = makeGuard();
  const workerData: EngineWorkerInput = { ...input, guard: memory };
  const worker = new Worker(compiledFile("engine/engine-worker"), {
    workerData,
    env: SHARE_ENV, // so that what @neobert/torch sets for OpenMP reaches it
    execArgv: [], // a worker does not understand all of the caller's
    resourceLimits: { maxYoungGenerationSizeMb: 2 }, // its own objects are few: 8 MB less, no slower
  });
  try {
    const ready = await new Promise<WorkerReply>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`internal: the engine's worker ended with code ${code}`)));
    });
    if (ready.kind === "unloadable") throw Object.assign(ready.error, { name: ready.name });
    if (ready.kind !== "ready") throw new Error(`internal: the engine's worker began with ${ready.kind}`);
    return { worker, ready, release };
  } catch (error) {
    await worker.terminate();
    release();
    throw error;
  }
}
