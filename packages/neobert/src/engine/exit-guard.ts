// ONNX Runtime's binding aborts the process if its thread ends inside a run. So the worker marks in shared memory when it
// computes, and the process, when it exits (by process.exit or an uncaught error), waits until no worker does.

const BUSY = 0;
const STOP = 1;
const MOST_WAIT_MS = 10_000;

const guards = new Set<Int32Array>();
let listens = false;

/** Shared memory for one worker, watched at the end of the process until `release`. */
export function makeGuard(): { memory: SharedArrayBuffer; release(): void } {
  if (!listens) process.on("exit", waitForWorkers);
  listens = true;
  const memory = new SharedArrayBuffer(8);
  const guard = new Int32Array(memory);
  guards.add(guard);
  return { memory, release: () => guards.delete(guard) };
}

function waitForWorkers(): void {
  for (const guard of guards) Atomics.store(guard, STOP, 1);
  for (const guard of guards) if (Atomics.load(guard, BUSY) === 1) Atomics.wait(guard, BUSY, 1, MOST_WAIT_MS);
}

/** In the worker: runs `work` where the process is not about to end; else never settles. */
export async function guarded<R>(memory: SharedArrayBuffer, work: () => Promise<R>): Promise<R> {
  const guard = new Int32Array(memory);
  const setBusy = (value: number) => {
    Atomics.store(guard, BUSY, value);
    Atomics.notify(guard, BUSY);
  };
  setBusy(1);
  try {
    if (Atomics.load(guard, STOP) === 1) return await new Promise<never>(() => setBusy(0));
    return await work();
  } finally {
    setBusy(0);
  }
}
