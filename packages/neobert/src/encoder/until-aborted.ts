// An asynchronous iteration that a signal ends at once, also while its source waits for a value that may never come, such as
// the next line of a terminal.

/** The values of `source`; throws `signal`'s reason as soon as it is aborted, and leaves the source without waiting for it. */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const { promise: aborted, reject } = rejectable();
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    const left = iterator.return?.();
    if (signal?.aborted) left?.catch(() => {});
    else await left;
  }
}

function rejectable(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject!: (reason: unknown) => void;
  const promise = new Promise<never>((_, no) => {
    reject = no;
  });
  promise.catch(() => {}); // nobody may be waiting
  return { promise, reject };
}
