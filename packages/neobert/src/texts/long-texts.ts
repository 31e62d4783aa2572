// Texts too long to be tokenized between two turns of the event loop go to a worker thread of their own, which is started
// with the first of them and keeps the process alive only while it has one. It loads the same folder; where that has
// changed since, the texts stay here: never are ids from another vocabulary.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { compiledFile } from "../files/package.js";
import type { Encoding } from "../tokenizer/index.js";
import type { TextInput, TokenizeOptions } from "./text-input.js";

/** UTF-16 units that take some milliseconds with a cold cache of words. */
const LONG_TEXT = 2 ** 14;

export interface PackedTexts {
  ids: Int32Array;
  cuSeqlens: Int32Array;
  tokenTypes?: Int32Array;
}

export interface LongTextWorkerInput {
  folder: string;
  /** What `stateOf` said of it when the caller loaded its tokenizer. */
  state: string;
}

export type LongTextRequest = { id: number; input: TextInput; kind: keyof LongTextResults } & {
  options: Omit<TokenizeOptions, "signal" | "prepare" | "needsTokens" | "placeOf">;
};
interface LongTextResults {
  packed: PackedTexts;
  encoding: Encoding;
}

export type LongTextReply =
  | { id: number; result: LongTextResults[keyof LongTextResults] }
  | { id: number; error: Error };

interface PendingText {
  resolve(result: LongTextResults[keyof LongTextResults]): void;
  reject(error: Error): void;
}

export function isLong(input: TextInput): boolean {
  return (typeof input === "string" ? input.length : input.text.length + input.pair.length) > LONG_TEXT;
}

/** Tells a folder from the same one after a change. */
export function stateOf(folder: string): string {
  const states = readdirSync(folder).map((name) => {
    const { size, mtimeMs } = statSync(join(folder, name));
    return `${name} ${size} ${mtimeMs}`;
  });
  return states.join("\n");
}

export class LongTexts {
  readonly #folder: string;
  readonly #state: string;
  readonly #pending = new Map<number, PendingText>();
  #worker: Worker | undefined;
  #nextId = 0;

  /** For texts of the tokenizer that has just been loaded from `folder`. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#state = stateOf(folder);
  }

  /** Whether the worker, running or to be started, has the tokenizer that the caller has. */
  get isSame(): boolean {
    if (this.#worker) return true;
    try {
      return stateOf(this.#folder) === this.#state;
    } catch {
      return false; // the folder is gone
    }
  }

  /** What the worker makes of a text that is prepared already. Rejects as the tokenizer throws, or when aborted. */
  tokenize<Kind extends keyof LongTextResults>(
    kind: Kind,
    input: TextInput,
    { signal, prepare: _, needsTokens: __, placeOf: ___, ...options }: TokenizeOptions,
  ): Promise<LongTextResults[Kind]> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    return new Promise<LongTextResults[Kind]>((resolve, reject) => {
      const onAbort = () => this.#settle(id)?.reject(signal!.reason);
      const close = () => signal?.removeEventListener("abort", onAbort);
      this.#pending.set(id, {
        resolve: (result) => {
          close();
          resolve(result as LongTextResults[Kind]);
        },
        reject: (error) => {
          close();
          reject(error);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      worker.ref();
      worker.postMessage({ id, input, kind, options } satisfies LongTextRequest);
    });
  }

  async dispose(): Promise<void> {
    await this.#worker?.terminate();
  }

  #settle(id: number): PendingText | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker?.unref();
    return pending;
  }

  #start(): Worker {
    const workerData: LongTextWorkerInput = { folder: this.#folder, state: this.#state };
    const worker = new Worker(compiledFile("texts/long-text-worker"), { workerData, execArgv: [] });
    let reason: Error | undefined;
    worker.on("message", (reply: LongTextReply) => {
      const pending = this.#settle(reply.id); // undefined where it was aborted
      if ("error" in reply) pending?.reject(reply.error);
      else pending?.resolve(reply.result);
    });
    worker.on("error", (error) => {
      reason = error;
    });
    worker.on("exit", (code) => {
      this.#worker = undefined;
      const error = reason ?? new Error(`internal: the worker for long texts ended with code ${code}`);
      for (const id of [...this.#pending.keys()]) this.#settle(id)!.reject(error);
    });
    return worker;
  }
}
