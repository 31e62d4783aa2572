// What ends a command early: Ctrl-C (SIGINT), or SIGTERM, as a batch system sends it. The first asks the work to stop in
// order, the second ends the program at once. Work that was not done is never status 0: it is that of a program which the
// signal had ended (130, 143), so that `neobert ... && next` does not go on.

import { constants } from "node:os";
import { exitStatus } from "./exit-status.js";

const signals = ["SIGINT", "SIGTERM"] as const;

export interface InterruptOptions<T> {
  /** What a person reads where the work was given up. */
  message: string;
  /** Called at the first signal. */
  onStop?: () => void;
  /** Of work that ends in order when it is asked to stop: whether it had come to its end all the same. */
  isDone?: (result: T) => boolean;
  /** Of work that can be gone on with: whether all that is needed for it is saved, which SIGTERM then has a status for. */
  isSaved?: (result: T) => boolean;
  /** Whether a second signal leaves the work alone: where several processes stop together, some are told twice. */
  isPatient?: boolean;
}

/**
 * What `work` returns, which a first Ctrl-C or SIGTERM stops by the signal that it is given. Where it was stopped the
 * program's status is set, whether `work` rejects (with `message`) or ends early.
 */
export async function interruptible<T>(
  { message, onStop = () => {}, isDone = () => true, isSaved = () => false, isPatient = false }: InterruptOptions<T>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let status = 0;
  const interrupt = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (isPatient) return;
      process.exit(status);
    }
    status = 128 + constants.signals[name];
    onStop();
    controller.abort(new Error(message));
  };
  for (const name of signals) process.on(name, interrupt);
  try {
    const result = await work(controller.signal);
    // Without a signal it was stopped by another process of its world.
    if (!isDone(result)) process.exitCode = isSaved(result) && status !== 130 ? exitStatus.stopped : status || 143;
    return result;
  } catch (error) {
    if (status !== 0) process.exitCode = status;
    throw error;
  } finally {
    for (const name of signals) process.off(name, interrupt);
  }
}
