// Tokenizing on all cores with results in the order of the input. Workers are started as they are needed, so that a
// small input does not pay for many; at most two batches a worker are in flight, which bounds the memory.
import { Worker } from "node:worker_threads";
import { compiledFile } from "../../files/package.js";
import type { TokenArray } from "../manifest.js";

export interface TokenizeRequest {
  texts: string[];
}

export interface TokenizedBatch {
  /** The ids of all texts, one after another. */
  tokens: TokenArray;
  /** The number of ids of each text. */
  lengths: Uint32Array<ArrayBuffer>;
  /** Bytes of the texts in UTF-8. */
  textBytes: number;
}

interface Waiter {
  resolve: (result: TokenizedBatch) => void;
  reject: (error: Error) => void;
}

/** Yields each batch with its tokens, in the order of `batches`, whatever the timing of the workers. */
export async function* tokenizeInOrder<T extends TokenizeRequest>(
  batches: AsyncIterable<T>,
  tokenizer: string,
  maxWorkers: number,
): AsyncGenerator<{ batch: T; tokenized: TokenizedBatch }> {
  const pool = new TokenizePool(tokenizer, maxWorkers);
  const inFlight: { batch: T; result: Promise<TokenizedBatch> }[] = [];
  const take = async () => {
    const { batch, result } = inFlight.shift()!;
    return { batch, tokenized: await result };
  };
  try {
    for await (const batch of batches) {
      if (inFlight.length >= 2 * maxWorkers) yield await take();
      inFlight.push({ batch, result: pool.run(batch.texts) });
    }
    while (inFlight.length > 0) yield await take();
  } finally {
    await pool.close();
  }
}

class TokenizePool {
  readonly #tokenizer: string;
  readonly #maxWorkers: number;
  readonly #workers: { worker: Worker; waiters: Waiter[] }[] = [];

  constructor(tokenizer: string, maxWorkers: number) {
    this.#tokenizer = tokenizer;
    this.#maxWorkers = maxWorkers;
  }

  run(texts: string[]): Promise<TokenizedBatch> {
    let chosen = this.#workers.toSorted((a, b) => a.waiters.length - b.waiters.length)[0];
    if (chosen === undefined || (chosen.waiters.length > 0 && this.#workers.length < this.#maxWorkers)) {
      chosen = this.#start();
    }
    const { worker, waiters } = chosen;
    const result = new Promise<TokenizedBatch>((resolve, reject) => waiters.push({ resolve, reject }));
    result.catch(() => {}); // a failure is reported by the batch whose turn it is, not by those behind it
    worker.postMessage({ texts } satisfies TokenizeRequest);
    return result;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
  }

  #start() {
    const worker = new Worker(compiledFile("data/prepare/tokenize-worker"), {
      workerData: { tokenizer: this.#tokenizer },
      execArgv: [],
    });
    const entry = { worker, waiters: [] as Waiter[] };
    const failAll = (error: Error) => {
      for (const { reject } of entry.waiters.splice(0)) reject(error);
    };
    worker.on("message", (result: TokenizedBatch) => entry.waiters.shift()!.resolve(result));
    worker.on("error", failAll);
    worker.on("exit", (code) => failAll(new Error(`internal: a tokenizing worker ended with code ${code}`)));
    this.#workers.push(entry);
    return entry;
  }
}
