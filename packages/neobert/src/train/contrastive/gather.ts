// The parts of a contrastive batch over the ranks of a world: which rank computes which, and the vectors of all of them.

import { cat, empty, type Tensor, tidy } from "@neobert/torch";
import type { Share } from "../../data/index.js";
import type { World } from "../world/world.js";
import type { PairBatch, PairPart } from "./pair-batches.js";

type Parts = Pick<PairBatch, "parts">;

/** The parts that a rank computes: every `size`-th. */
export function partsOfRank({ parts }: Parts, { rank, size }: Share): PairPart[] {
  return parts.filter((_, index) => index % size === rank);
}

/** By rank, the vectors [B, C] of its parts one after another; none where there is one rank. The caller disposes of them. */
export async function gatherVectors(batch: Parts, world: World, own: readonly Tensor[], C: number): Promise<Tensor[]> {
  const { size, group } = world;
  if (!group) return [];
  const gathered = Array.from({ length: size }, (_, rank) => empty([textsOf(partsOfRank(batch, { rank, size })), C]));
  const sent = tidy(() => (own.length === 0 ? empty([0, C]) : cat(own.map((vectors) => vectors.detach()))));
  try {
    await group.allGather(gathered, sent).wait();
    return gathered;
  } finally {
    sent.dispose();
  }
}

/** The vectors of all parts in their order: this rank's own, with their graphs, and views of what others have computed. */
export function inOrder(
  batch: Parts,
  { rank, size }: Share,
  own: readonly Tensor[],
  gathered: readonly Tensor[],
): Tensor[] {
  const given = new Int32Array(size);
  return batch.parts.map(({ skip }, index) => {
    const from = index % size;
    if (from === rank) return own[(index - from) / size]!;
    const start = given[from]!;
    given[from]! += skip.length;
    return gathered[from]!.narrow(0, start, skip.length);
  });
}

function textsOf(parts: readonly PairPart[]): number {
  return parts.reduce((sum, { skip }) => sum + skip.length, 0);
}
