// What a step costs on several ranks, before it is tried: computing, and what the network adds to it. A bucket of gradients
// (buckets.ts) may leave when the way back has left its blocks, one after another, each in (messages x latency + bytes /
// bandwidth); what has not arrived at the end of the pass is waited for, and new weights always are. Where ranks are processors
// and not GPUs, sending and taking a byte also keeps them from computing. docs/scaling.md shows the model beside measurements.

import type { Sharding } from "../run-file/common-options.js";
import { type Bucket, blockOf, bucketsOf, type Parameter } from "./buckets.js";

export interface Network {
  /** Of each rank, in each direction. */
  bytesPerSecond: number;
  /** Of a message from rank to rank. */
  latencySeconds: number;
  /** Time that a rank cannot compute for each byte that it sends, while it takes another. */
  busySecondsPerByte: number;
}

export interface StepWork {
  /** In a model's order; those with `isNarrow` have copies in bfloat16 and are computed with in these alone. */
  parameters: readonly Parameter[];
  sharding: Sharding;
  /** Micro-batches of a step, of all ranks together. */
  microBatches: number;
  /** Of one rank, forward and backward through a micro-batch. */
  passSeconds: number;
  /** Of one rank that updates all parameters. */
  optimizerSeconds: number;
}

export interface StepCost {
  /** Sent by each rank. */
  bytes: number;
  /** Of the rank that has the most to compute. */
  computeSeconds: number;
  /** For the network, the ranks' own work for it included. */
  networkSeconds: number;
  /** The part of `networkSeconds` that computing does not hide. */
  waitSeconds: number;
  /** computeSeconds + waitSeconds. */
  seconds: number;
  /** One rank's time for the step, divided by what all these ranks take together. */
  efficiency: number;
}

/** What Gloo's work for a byte takes of a processor: 0.24 s for 358 MB between two ranks of one machine (docs/scaling.md). */
export const PROCESSOR_SECONDS_PER_BYTE = 0.7e-9;

/** Of a pass; the way back costs two products for each of the way there. */
const BACKWARD_SHARE = 2 / 3;

/** The cost of a step of `ranks` ranks. */
export function stepCost(work: StepWork, ranks: number, network: Network): StepCost {
  const { parameters, sharding, microBatches, passSeconds, optimizerSeconds } = work;
  const alone = microBatches * passSeconds + optimizerSeconds;
  const rounds = Math.ceil(microBatches / ranks);
  const computeSeconds = rounds * passSeconds + optimizerSeconds / (sharding === "none" ? 1 : ranks);
  const buckets = bucketsOf(
    parameters.map((one) => ({ ...one, isNarrow: sharding !== "none" && one.isNarrow === true })),
    ranks,
  );
  const sends = buckets.map((bucket) => gradientSend(bucket, sharding, ranks));
  const gathers = sharding === "none" ? [] : buckets.map(({ count, isNarrow }) => send(count, isNarrow, ranks, 1));
  const passes = sharding === "gradients" ? rounds : 1; // with gradients on the network
  const secondsOf = ({ messages, bytes }: Send) =>
    messages * network.latencySeconds + bytes / network.bytesPerSecond + bytes * network.busySecondsPerByte;
  const total = (list: readonly Send[]) => list.reduce((sum, one) => sum + secondsOf(one), 0);
  const numbers = (ranks - 1) * network.latencySeconds; // losses, counts and norms, in one small gather

  // On the way back, in seconds from its begin.
  const backward = passSeconds * BACKWARD_SHARE;
  const blocks = Math.max(0, ...parameters.map(({ name }) => blockOf(name) + 1));
  let [end, hiddenBusy] = [0, 0];
  for (const [i, one] of sends.entries()) {
    const block = Math.max(0, buckets[i]!.block);
    const begin = Math.max(end, blocks === 0 ? backward : (backward * (blocks - block)) / blocks);
    end = begin + secondsOf(one);
    // NOTE: the rank's own work for bytes on their way is hidden from no one: the pass takes longer by it.
    if (begin < backward) hiddenBusy += one.bytes * network.busySecondsPerByte;
  }
  const wait = ranks === 1 ? 0 : Math.max(0, end - backward) + hiddenBusy;
  const networkSeconds = ranks === 1 ? 0 : passes * total(sends) + total(gathers) + numbers;
  const waitSeconds = ranks === 1 ? 0 : Math.min(networkSeconds, passes * wait + total(gathers) + numbers);
  const seconds = computeSeconds + waitSeconds;
  return {
    bytes: passes * bytesOf(sends) + bytesOf(gathers),
    computeSeconds,
    networkSeconds,
    waitSeconds,
    seconds,
    efficiency: alone / (ranks * seconds),
  };
}

/** What a rank sends in one collective. */
interface Send {
  messages: number;
  bytes: number;
}

const bytesOf = (sends: readonly Send[]) => sends.reduce((sum, { bytes }) => sum + bytes, 0);

/** Every rank sends each other its share once, `times` over; a ring's all-reduce is two times of it. */
const send = (values: number, isNarrow: boolean, ranks: number, times: number): Send => ({
  messages: times * (ranks - 1),
  bytes: (times * values * (isNarrow ? 2 : 4) * (ranks - 1)) / ranks,
});

const gradientSend = ({ count, isNarrow }: Bucket, sharding: Sharding, ranks: number) =>
  send(count, isNarrow && sharding === "gradients", ranks, sharding === "none" ? 2 : 1);

export interface MemoryCost {
  /** Masters, and copies in bfloat16. */
  weights: number;
  /** Moments and what else it keeps. */
  optimizer: number;
  /** Sums in float32, and those of a micro-batch on their way to them. */
  gradients: number;
}

export interface MemoryOptions {
  sharding: Sharding;
  ranks: number;
  /** State of the optimizer for all parameters; Adam's unless given. */
  optimizerBytes?: number;
}

/** Bytes of a rank, activations not counted. */
export function memoryCost(
  parameters: readonly Parameter[],
  { sharding, ranks, optimizerBytes }: MemoryOptions,
): MemoryCost {
  const count = (list: readonly Parameter[]) => list.reduce((sum, one) => sum + one.count, 0);
  const values = count(parameters);
  const narrow = 2 * count(parameters.filter(({ isNarrow }) => isNarrow));
  const largest = Math.max(...bucketsOf(parameters, ranks).map((bucket) => bucket.count * (bucket.isNarrow ? 2 : 4)));
  const isSharded = sharding !== "none" && ranks > 1;
  return {
    weights: 4 * values + narrow,
    optimizer: (optimizerBytes ?? 8 * values) / (isSharded ? ranks : 1),
    gradients: sharding === "gradients" && ranks > 1 ? (4 * values) / ranks + largest : 4 * values + narrow,
  };
}
