// The worker thread that owns an engine, as its callers see it: tasks go in, promises of results come out. The thread
// keeps the process alive only while it has something to do, so a program need not dispose of a model to end.

import { SHARE_ENV, Worker } from "node:worker_threads";
import { compiledFile } from "../files/package.js";
import type { Head } from "../model/architecture.js";
import type { ModelConfig } from "../model/architectures.js";
import type { VectorModule } from "../vectors/sentence-transformers.js";
import type { EngineOptions, PackedBatch } from "./engine.js";
import type { EngineResult, EngineTask } from "./engine-tasks.js";

/** What the worker is given. */
export interface EngineWorkerInput {
  folder: string;
  options: EngineOptions;
  modules: readonly VectorModule[];
}

export interface WorkerRequest {
  id: number;
  batch: PackedBatch;
  task: EngineTask;
}

/** What it says. */
export type WorkerReply =
  | { kind: "ready"; config: ModelConfig; head: Head }
  | { kind: "unloadable"; error: Error }
  | { kind: "result"; id: number; result: EngineResult }
  | { kind: "failed"; id: number; error: Error }
  | { kind: "disposed" };

interface PendingRun {
  resolve(result: EngineResult): void;
  reject(error: Error): void;
}

export class EngineThread {
  readonly config: ModelConfig;
  readonly head: Head;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PendingRun>();
  #nextId = 0;
  #last: Promise<unknown> = Promise.resolve();
  #ended: Error | undefined;
  #disposal: Promise<void> | undefined;

  private constructor(worker: Worker, config: ModelConfig, head: Head) {
    this.#worker = worker;
    this.config = config;
    this.head = head;
    worker.on("message", (reply: WorkerReply) => {
      if (reply.kind !== "result" && reply.kind !== "failed") return;
      const { resolve, reject } = this.#waiting.get(reply.id)!;
      this.#waiting.delete(reply.id);
      if (this.#waiting.size === 0) worker.unref();
      if (reply.kind === "result") resolve(reply.result);
      else reject(reply.error);
    });
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", (code) => this.#end(new Error(`internal: the engine's worker ended with code ${code}`)));
    worker.unref();
  }

  /** Starts the thread and loads the model in it. Rejects with what the engine throws. */
  static async start(input: EngineWorkerInput): Promise<EngineThread> {
    const worker = new Worker(compiledFile("engine/engine-worker"), {
      workerData: input,
      env: SHARE_ENV, // so that what @neobert/torch sets for OpenMP reaches it
      execArgv: [], // a worker does not understand all of the caller's
      resourceLimits: { maxYoungGenerationSizeMb: 2 }, // its own objects are few: 8 MB less, no slower
    });
    try {
      const reply = await new Promise<WorkerReply>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
        worker.once("exit", (code) => reject(new Error(`internal: the engine's worker ended with code ${code}`)));
      });
      if (reply.kind === "unloadable") throw reply.error;
      if (reply.kind !== "ready") throw new Error(`internal: the engine's worker began with ${reply.kind}`);
      return new EngineThread(worker, reply.config, reply.head);
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  /** Whether nothing can be run any more. */
  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Runs one task; the arrays of `batch` are given away. */
  run(batch: PackedBatch, task: EngineTask): Promise<EngineResult> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { ids, cuSeqlens, tokenTypes } = batch;
    const arrays = [ids, cuSeqlens, ...(tokenTypes ? [tokenTypes] : [])];
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      if (this.#waiting.size === 1) this.#worker.ref();
      const request: WorkerRequest = { id, batch, task };
      this.#worker.postMessage(
        request,
        arrays.map(({ buffer }) => buffer as ArrayBuffer),
      );
    });
  }

  /** Runs `work` when every earlier call's work is done and `prepared` is there: calls are served in their order. */
  async inTurn<P, R>(prepared: Promise<P>, work: (prepared: P) => Promise<R>): Promise<R> {
    const before = this.#last;
    const { promise, resolve } = withResolvers();
    this.#last = promise;
    try {
      const [ready] = await Promise.all([prepared, before]);
      return await work(ready);
    } finally {
      before.then(resolve);
    }
  }

  /** Frees the model and ends the thread once what has been asked for is done. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    this.#end(new Error("expected a loaded model, got one that has been disposed of\nLoad it anew."), false);
    this.#worker.ref();
    await new Promise<void>((resolve) => {
      this.#worker.on("message", ({ kind }: WorkerReply) => kind === "disposed" && resolve());
      this.#worker.once("exit", () => resolve());
      this.#worker.postMessage("dispose");
    });
    await this.#worker.terminate();
  }

  #end(error: Error, failWaiting = true): void {
    this.#ended ??= error;
    if (!failWaiting) return;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
