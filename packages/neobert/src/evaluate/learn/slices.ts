// Long computations in slices, so that the event loop stays free: they are generators that yield wherever they may pause.
// `finish` computes to the end at once; `inSlices` lets timers, sockets and Ctrl-C have their turn every few milliseconds.

import { setImmediate } from "node:timers/promises";

/** A computation that yields where it may pause, and returns its result. */
export type Sliced<T> = Generator<void, T, void>;

const SLICE_MS = 15;

export function finish<T>(work: Sliced<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** The same, with pauses. Rejects with the signal's reason at the next pause where it is aborted. */
export async function inSlices<T>(work: Sliced<T>, signal?: AbortSignal): Promise<T> {
  const pause = pauses(signal);
  try {
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
      await pause();
    }
  } finally {
    work.return(undefined as T); // its own `finally`, where it was left in the middle
  }
}

/** A function to await in a long loop: it pauses where the last pause was long ago. Rejects where `signal` is aborted. */
export function pauses(signal?: AbortSignal): () => Promise<void> | undefined {
  let since = performance.now();
  const pause = async () => {
    await setImmediate();
    signal?.throwIfAborted();
    since = performance.now();
  };
  return () => (performance.now() - since < SLICE_MS ? undefined : pause());
}
