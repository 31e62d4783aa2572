// Worker entry: fetches ranges of files, and whole ones, many at once, for a thread that reads synchronously
// (remote-files.ts) and sleeps meanwhile. An answer is posted and the counter in shared memory raised, which wakes it.
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { type MessagePort, workerData } from "node:worker_threads";
import { writeFileAtomic } from "../../files/atomic.js";
import { openAddress } from "../../hub/address.js";
import { RangeClient } from "./range-client.js";

/** Requests that are under way at once: enough to hide the way to the server, and no burden to it. */
const MOST_IN_FLIGHT = 32;

export interface WorkerSettings {
  address: string;
  port: MessagePort;
  counter: SharedArrayBuffer;
}

/** What is fetched: bytes of a file, a file of `size` bytes to a path, or a file of at most `most` bytes if there is one. */
export type Fetch =
  | { kind: "range"; file: string; size: number; position: number; length: number }
  | { kind: "file"; file: string; size: number; path: string }
  | { kind: "small"; file: string; most: number };

export type WorkerRequest = Fetch & { id: number };

export interface WorkerAnswer {
  id: number;
  bytes?: Uint8Array<ArrayBuffer> | undefined;
  error?: string;
}

const { address, port, counter } = workerData as WorkerSettings;
const answers = new Int32Array(counter);
const client = openAddress(address).then((open) => new RangeClient(address, open));
client.catch(() => {}); // said in the answer to each request

const waiting: WorkerRequest[] = [];
let inFlight = 0;

port.on("message", (request: WorkerRequest) => {
  waiting.push(request);
  advance();
});

function advance(): void {
  while (inFlight < MOST_IN_FLIGHT && waiting.length > 0) {
    const { id, ...request } = waiting.shift()!;
    inFlight++;
    perform(request)
      .then(
        (bytes) => answer({ id, bytes }),
        (error: Error) => answer({ id, error: error.message }),
      )
      .finally(() => {
        inFlight--;
        advance();
      });
  }
}

function answer(message: WorkerAnswer): void {
  port.postMessage(message, message.bytes ? [message.bytes.buffer] : []);
  Atomics.add(answers, 0, 1);
  Atomics.notify(answers, 0);
}

async function perform(request: Fetch): Promise<WorkerAnswer["bytes"]> {
  const source = await client;
  if (request.kind === "range") return source.range(request.file, request.size, request.position, request.length);
  if (request.kind === "small") return source.small(request.file, request.most);
  const { file, size, path } = request;
  if (statSync(path, { throwIfNoEntry: false })?.size === size) return undefined;
  const bytes = await source.whole(file, size);
  mkdirSync(dirname(path), { recursive: true });
  writeFileAtomic(path, bytes);
  return undefined;
}
