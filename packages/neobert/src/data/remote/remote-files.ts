// The files of a folder at an address, read synchronously as those of a disk are: ranges come through a cache of blocks in a
// file of bounded size, which a worker thread fills while this one goes on (`prefetch`) or sleeps until its bytes are there.
// The cache is this process's own and gone with it: of a shuffled corpus larger than it, little would be used again.
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { namingPath, temporaryPath } from "../../files/atomic.js";
import { compiledFile } from "../../files/package.js";
import { userCache } from "../../files/user-cache.js";
import type { Fetch, WorkerAnswer, WorkerRequest, WorkerSettings } from "./range-worker.js";

/** Fetched at once: a piece has a few kilobytes, and what lies beside it is of other steps. */
const BLOCK_BYTES = 1 << 15;
const LEAST_BLOCKS = 64;
/** The worker gives up on a request long before; after so long without any answer it is taken for dead. */
const MOST_SILENCE_MS = 15 * 60_000;

export const defaultCacheBytes = 2 ** 32;

/** Where what is kept of folders at addresses lies: offsets, by the hash of their data, and the blocks of running processes. */
export const remoteCache = (): string => join(userCache(), "shards");

interface Request {
  isDone: boolean;
  error?: string;
}

interface Block {
  place: number;
  request: Request;
}

export class RemoteFiles {
  readonly address: string;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #answers = new Int32Array(new SharedArrayBuffer(4));
  readonly #pending = new Map<number, (answer: WorkerAnswer) => void>();
  #requests = 0;
  /** By file and number, the longest unused first. */
  readonly #blocks = new Map<string, Block>();
  readonly #places: number;
  #placesUsed = 0;
  readonly #free: number[] = [];
  #cacheFile: number | undefined;

  /** `cacheBytes` bounds the file of blocks. Nothing is asked for yet. */
  constructor(address: string, cacheBytes = defaultCacheBytes) {
    this.address = address;
    this.#places = Math.max(LEAST_BLOCKS, Math.floor(cacheBytes / BLOCK_BYTES));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: WorkerSettings = { address, port: port2, counter: this.#answers.buffer };
    const entry = compiledFile("data/remote/range-worker");
    this.#worker = new Worker(entry, { workerData, transferList: [port2], execArgv: [] });
    this.#worker.unref();
    port1.unref();
  }

  /** A file of `most` bytes at most, or undefined where there is none. */
  small(file: string, most: number): Uint8Array | undefined {
    let bytes: Uint8Array | undefined;
    const request = this.#request({ kind: "small", file, most }, (answer) => {
      bytes = answer.bytes;
    });
    this.#await(request);
    return bytes;
  }

  /** Begins to fetch a file of `size` bytes to `path`, unless it is there; the function waits for its end. */
  file(file: string, size: number, path: string): () => void {
    const request = this.#request({ kind: "file", file, size, path });
    return () => this.#await(request);
  }

  /** Begins to fetch a range that will be read soon, as far as the cache has places that nothing waits for. */
  prefetch(file: string, size: number, position: number, length: number): void {
    this.#drain();
    for (const number of blocksOf(position, length)) {
      if (!this.#blocks.has(`${file} ${number}`)) this.#fetchBlock(file, size, number);
    }
  }

  /** Fills `target` with the bytes from `position` on of a file of `size` bytes. */
  read(file: string, size: number, target: Uint8Array, position: number): void {
    this.prefetch(file, size, position, target.length);
    for (const number of blocksOf(position, target.length)) {
      const offset = this.#placeOf(file, size, number) * BLOCK_BYTES - number * BLOCK_BYTES;
      const end = Math.min(position + target.length, (number + 1) * BLOCK_BYTES);
      for (let at = Math.max(position, number * BLOCK_BYTES); at < end; ) {
        at += readSync(this.#cache(), target, at - position, end - at, offset + at);
      }
    }
  }

  close(): void {
    this.#port.close();
    void this.#worker.terminate();
    if (this.#cacheFile !== undefined) closeSync(this.#cacheFile);
    this.#cacheFile = undefined;
  }

  /** Where the block lies in the cache file, its bytes there; from now on it is the last used. */
  #placeOf(file: string, size: number, number: number): number {
    const key = `${file} ${number}`;
    let block = this.#blocks.get(key);
    while (block === undefined) {
      block = this.#fetchBlock(file, size, number);
      if (block === undefined) this.#sleep(); // every place waits for its bytes
    }
    this.#await(block.request);
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
    return block.place;
  }

  /** Undefined where every place waits for its bytes. */
  #fetchBlock(file: string, size: number, number: number): Block | undefined {
    const place = this.#free.pop() ?? this.#freshPlace() ?? this.#longestUnused();
    if (place === undefined) return undefined;
    const key = `${file} ${number}`;
    const position = number * BLOCK_BYTES;
    const length = Math.min(BLOCK_BYTES, size - position);
    const request = this.#request({ kind: "range", file, size, position, length }, ({ bytes }) => {
      if (bytes) {
        namingPath(remoteCache(), () => writeSync(this.#cache(), bytes, 0, bytes.length, place * BLOCK_BYTES));
        return;
      }
      this.#blocks.delete(key); // the next read asks again
      this.#free.push(place);
    });
    const block = { place, request };
    this.#blocks.set(key, block);
    return block;
  }

  #freshPlace(): number | undefined {
    return this.#placesUsed < this.#places ? this.#placesUsed++ : undefined;
  }

  /** The place of the longest unused block, which is forgotten. */
  #longestUnused(): number | undefined {
    for (const [key, { place, request }] of this.#blocks) {
      if (!request.isDone) continue;
      this.#blocks.delete(key);
      return place;
    }
    return undefined;
  }

  #request(fetch: Fetch, onAnswer: (answer: WorkerAnswer) => void = () => {}): Request {
    const id = this.#requests++;
    const request: Request = { isDone: false };
    this.#pending.set(id, (answer) => {
      request.isDone = true;
      if (answer.error !== undefined) request.error = answer.error;
      onAnswer(answer);
    });
    this.#port.postMessage({ id, ...fetch } satisfies WorkerRequest);
    return request;
  }

  /** Sleeps until the request has its answer. Throws what went wrong. */
  #await(request: Request): void {
    while (!request.isDone) this.#sleep();
    if (request.error !== undefined) throw new Error(request.error);
  }

  /** Until there are further answers, which are taken in. */
  #sleep(): void {
    const seen = Atomics.load(this.#answers, 0);
    if (this.#drain() > 0) return;
    if (Atomics.wait(this.#answers, 0, seen, MOST_SILENCE_MS) === "timed-out") {
      throw new Error(`internal: the thread that reads ${this.address} has said nothing for ${MOST_SILENCE_MS} ms`);
    }
  }

  /** Takes in what answers are there; their number. */
  #drain(): number {
    for (let count = 0; ; count++) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return count;
      const answer: WorkerAnswer = received.message;
      const onAnswer = this.#pending.get(answer.id)!;
      this.#pending.delete(answer.id);
      onAnswer(answer);
    }
  }

  /** A file without a name, which is gone with the process. */
  #cache(): number {
    if (this.#cacheFile === undefined) {
      mkdirSync(remoteCache(), { recursive: true });
      const path = temporaryPath(join(remoteCache(), "blocks"));
      this.#cacheFile = openSync(path, "wx+");
      rmSync(path);
    }
    return this.#cacheFile;
  }
}

function* blocksOf(position: number, length: number): Generator<number> {
  for (let number = Math.floor(position / BLOCK_BYTES); number * BLOCK_BYTES < position + length; number++)
    yield number;
}
