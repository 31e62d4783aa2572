// What the status of a program says to the shell, the launcher and the scheduler that started it, beside 0 (done), 1 (not done)
// and those of signals (130 Ctrl-C, 143 SIGTERM, 141 no reader). docs/scaling.md has them as a table.

export const exitStatus = {
  /** The command line, the run file or what they name is wrong: trying again does not help. */
  badInput: 2,
  /** Told to stop (SIGTERM), with a whole checkpoint: start it again and it goes on. sysexits.h: EX_TEMPFAIL. */
  stopped: 75,
  /** Another process of the world was lost: start all again. */
  lostPeer: 76,
  /** A loss or gradient is NaN or infinite: a person has to look. */
  notFinite: 77,
} as const;

/** By the name of an error, or of one that caused it. */
const ofErrors: Record<string, number> = {
  InputError: exitStatus.badInput,
  LostPeerError: exitStatus.lostPeer,
  NonFiniteError: exitStatus.notFinite,
};

/** Which of the errors that have a status an error is, or was caused by. */
export function nameWithStatus(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one.name in ofErrors) return one.name;
  return undefined;
}

/** The status of a program that this error ended. */
export function statusOf(error: unknown): number {
  return ofErrors[nameWithStatus(error) ?? ""] ?? 1;
}
