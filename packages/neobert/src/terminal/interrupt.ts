// What ends a command early: Ctrl-C (SIGINT), or SIGTERM, as a batch system sends it. The first asks the work to stop in
// order, the second ends the program at once. Work that was not done is never status 0: it is that of a program which the
// signal had ended (130, 143), so that `neobert ... && next` does not go on.

import { constants } from "node:os";

const signals = ["SIGINT", "SIGTERM"] as const;

export interface InterruptOptions<T> {
  /** What a person reads where the work was given up. */
  message: string;
  /** Called at the first signal. */
  onStop?: () => void;
  /** Of work that ends in order when it is asked to stop: whether it had come to its end all the same. */
  isDone?: (result: T) => boolean;
}

/**
 * What `work` returns, which a first Ctrl-C or SIGTERM stops by the signal that it is given. Where it was stopped the
 * program's status is set, whether `work` rejects (with `message`) or ends early.
 */
export async function interruptible<T>(
  { message, onStop = () => {}, isDone = () => true }: InterruptOptions<T>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let status = 0;
  const interrupt = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(status);
    status = 128 + constants.signals[name];
    onStop();
    controller.abort(new Error(message));
  };
  for (const name of signals) process.on(name, interrupt);
  try {
    const result = await work(controller.signal);
    if (status !== 0 && !isDone(result)) process.exitCode = status;
    return result;
  } catch (error) {
    if (status !== 0) process.exitCode = status;
    throw error;
  } finally {
    for (const name of signals) process.off(name, interrupt);
  }
}
