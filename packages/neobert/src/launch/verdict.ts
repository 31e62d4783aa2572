// What becomes of a run when its ranks have ended: finished with a status, or started anew from the last checkpoint.

import { exitStatus } from "../terminal/exit-status.js";

/** How one rank ended; in the order of time. */
export interface RankEnd {
  rank: number;
  /** Null after a signal, or where its machine was lost. */
  code: number | null;
  /** For a person: "rank 3 ended by SIGKILL". */
  what: string;
  /** Whether it was ended because another one had failed. */
  isAfterwards: boolean;
}

export type Verdict = { kind: "finish"; status: number; why?: RankEnd } | { kind: "restart"; why: RankEnd };

const { badInput, stopped, lostPeer, notFinite } = exitStatus;
/** Ends that another start would only repeat. */
const hopeless: (number | null)[] = [badInput, notFinite];
/** Told to stop: by Ctrl-C, by SIGTERM, by SIGTERM before there was a checkpoint. The first of these that occurs is the world's. */
const told: (number | null)[] = [130, stopped, 143];

/** Whether a rank that ended so leaves the others nothing to do. */
export const isFailure = (code: number | null) => code !== 0 && !told.includes(code);

/** `wasTold`: a launcher itself was told to stop. `restartsLeft`: how often it may start anew. */
export function verdict(ends: readonly RankEnd[], wasTold: boolean, restartsLeft: number): Verdict {
  const without = ends.find(({ code }) => hopeless.includes(code));
  if (without) return { kind: "finish", status: without.code!, why: without };
  const own = ends.filter(({ isAfterwards }) => !isAfterwards);
  // Ranks that see a connection break may end before the one that broke it.
  const failures = own.filter(({ code }) => isFailure(code));
  const why = failures.find(({ code }) => code !== lostPeer) ?? failures[0];
  const stop = told.find((code) => own.some((end) => end.code === code));
  if (!why) return { kind: "finish", status: stop ?? 0 };
  if (!wasTold && stop === undefined && restartsLeft > 0) return { kind: "restart", why };
  return { kind: "finish", status: why.code ?? lostPeer, why };
}
