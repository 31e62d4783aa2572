// The processes that take a run's steps together. The loop knows a world alone; that of one process is the identity.

import { fromTypedArray, type ProcessGroup, type Tensor, zeros } from "@neobert/torch";

export interface World {
  /** The number of this process, of `size`; rank 0 writes what the run writes. */
  readonly rank: number;
  readonly size: number;
  /** The number among the processes of this machine: of its device. */
  readonly localRank: number;
  /** Collectives on tensors; undefined where there is one process. */
  readonly group: ProcessGroup | undefined;
  /** Each number's sum over all ranks, added in the order of ranks in float64, so that all ranks get the same bits. */
  sum(values: readonly number[]): Promise<number[]>;
  /** Ends this process' part in it. */
  close(): Promise<void>;
}

/** One process by itself. */
export const alone: World = {
  rank: 0,
  size: 1,
  localRank: 0,
  group: undefined,
  sum: async (values) => [...values],
  close: async () => {},
};

/** A world of a group's processes. Its methods throw what the group's collectives throw. */
export function worldOfGroup(group: ProcessGroup, localRank = 0): World {
  const { rank, size } = group;
  return {
    rank,
    size,
    localRank,
    group,
    async sum(values) {
      const all = await gatherNumbers(group, values);
      return values.map((_, i) => all.reduce((sum, ofRank) => sum + ofRank[i]!, 0));
    },
    close: () => group.close(),
  };
}

/** The text that each rank gives. */
export async function gatherTexts(group: ProcessGroup, own: string): Promise<string[]> {
  const bytes = Float32Array.from(Buffer.from(own));
  const lengths = await gatherNumbers(group, [bytes.length]);
  const sent = fromTypedArray(bytes);
  const outputs = lengths.map(([length]) => zeros([length!]));
  try {
    await group.allGather(outputs, sent).wait();
    return outputs.map((output) => Buffer.from(output.toTypedArray() as Float32Array).toString());
  } finally {
    for (const tensor of [sent, ...outputs]) tensor.dispose();
  }
}

/** NOTE: float64 travels as pairs of float32, whose bits a gather leaves alone. */
async function gatherNumbers(group: ProcessGroup, values: readonly number[]): Promise<Float64Array[]> {
  const bits = new Float32Array(Float64Array.from(values).buffer);
  const own = fromTypedArray(bits);
  const outputs: Tensor[] = Array.from({ length: group.size }, () => zeros([bits.length]));
  try {
    await group.allGather(outputs, own).wait();
    return outputs.map((output) => new Float64Array((output.toTypedArray() as Float32Array<ArrayBuffer>).buffer));
  } finally {
    for (const tensor of [own, ...outputs]) tensor.dispose();
  }
}
