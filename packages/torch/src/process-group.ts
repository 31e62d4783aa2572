// A group of processes and its collectives, over c10d: Gloo on CPU tensors, NCCL on CUDA's. Every rank calls the same collectives
// in the same order. Each returns a Work at once and goes on by itself; the tensors are its own until `wait` has ended.
// A collective that fails says which, on which rank, and which peer on which host is lost.
//   https://pytorch.org/docs/stable/distributed.html

import type { Store } from "./distributed-store.js";
import { type External, native } from "./native.js";
import type { Tensor } from "./tensor.js";

export type ReduceOp = "sum" | "avg" | "min" | "max";

/** What every rank knows of another, for errors: its host, and its ends of its connections. */
export interface Peer {
  host: string;
  addresses: string[];
}

export interface ProcessGroupParts {
  store: Store;
  rank: number;
  size: number;
  timeoutMs: number;
  peers: Peer[];
}

/** A process of the group was lost, or did not come: the others cannot go on without it. */
export class LostPeerError extends Error {
  override readonly name = "LostPeerError";
}

const ANSWER_MS = 1_500; // for ranks that run to say so, after a time-out

/** A collective under way. */
export class Work {
  readonly #native: External;
  readonly #explain: (error: Error) => Promise<Error>;
  #ended: Promise<void> | undefined;

  constructor(external: External, explain: (error: Error) => Promise<Error>) {
    this.#native = external;
    this.#explain = explain;
  }

  /** Whether it has ended, well or not; results are then in place. */
  isCompleted(): boolean {
    return native.workIsCompleted(this.#native);
  }

  /** Ends when the results are in place on this rank. Throws an error that names collective, rank, peer and host. */
  wait(): Promise<void> {
    this.#ended ??= native.workWait(this.#native).catch(async (error: Error) => {
      throw await this.#explain(error);
    });
    return this.#ended;
  }
}

export class ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly timeoutMs: number;
  readonly peers: readonly Peer[];
  readonly #native: External;
  readonly #store: Store;
  #calls = 0;

  /** See `initProcessGroup`. */
  constructor(external: External, { store, rank, size, timeoutMs, peers }: ProcessGroupParts) {
    this.#native = external;
    this.#store = store;
    this.rank = rank;
    this.size = size;
    this.timeoutMs = timeoutMs;
    this.peers = peers;
  }

  /** Replaces `x` on every rank by the sum (or average, least, greatest) of all ranks' `x`; the same bits on each. */
  allReduce(x: Tensor, { op = "sum" }: { op?: ReduceOp } = {}): Work {
    return this.#start("allReduce", native.allReduce(this.#native, x.handle, op));
  }

  /** Replaces `x` on every rank by that of rank `src`. */
  broadcast(x: Tensor, { src }: { src: number }): Work {
    return this.#start("broadcast", native.broadcast(this.#native, x.handle, src));
  }

  /** Fills `outputs[r]` with the `x` of rank r. Shapes may differ from rank to rank: each `outputs[r]` has that of rank r's. */
  allGather(outputs: readonly Tensor[], x: Tensor): Work {
    return this.#start("allGather", native.allGather(this.#native, handlesOf(outputs), x.handle));
  }

  /** Sends `inputs[r]` to rank r and fills `outputs[r]` with what rank r sends here. Sizes may differ, none included. */
  allToAll(outputs: readonly Tensor[], inputs: readonly Tensor[]): Work {
    return this.#start("allToAll", native.allToAll(this.#native, handlesOf(outputs), handlesOf(inputs)));
  }

  /**
   * Fills `output` with the sum over all ranks of their `inputs[this.rank]`: in float32 in the order of ranks, rounded once,
   * so that it has the same bits each time; not at all where `output` is float32. Sizes may differ from owner to owner. Inputs that
   * lie one after another in memory are sent from there.
   */
  reduceScatter(output: Tensor, inputs: readonly Tensor[]): Work {
    return this.#start("reduceScatter", native.reduceScatter(this.#native, output.handle, handlesOf(inputs)));
  }

  /** Ends when every rank has called it. */
  barrier(): Work {
    return this.#start("barrier", native.barrier(this.#native));
  }

  /** A barrier that names all ranks which do not come within the time-out. Of Gloo alone. */
  async monitoredBarrier({ timeoutMs = this.timeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    const id = this.#nextId("monitoredBarrier");
    await native.monitoredBarrier(this.#native, timeoutMs).catch(async (error: Error) => {
      throw await this.#explain("monitoredBarrier", id, error);
    });
  }

  /** Ends the group on this rank after its collectives, and closes its connections. */
  close(): Promise<void> {
    return native.closeGroup(this.#native);
  }

  #nextId(collective: string): string {
    return `late/${this.#calls++}/${collective}`;
  }

  #start(collective: string, external: External): Work {
    const id = this.#nextId(collective);
    return new Work(external, (error) => this.#explain(collective, id, error));
  }

  async #explain(collective: string, id: string, error: Error): Promise<Error> {
    const cause = error.message.replace(/^\w+: (\[[^\]]*\.\w+:\d+\] )?/, "").split("\n")[0]!;
    const lost = await this.#lostPeers(id, cause);
    const where = `${collective} on rank ${this.rank} of ${this.size} (${this.peers[this.rank]!.host})`;
    return new LostPeerError(
      `${where}: expected an answer of every rank, got ${lost}: ${cause}\n` +
        "The group is broken: end the other ranks, see what that one wrote last, and start anew from the last checkpoint.",
      { cause: error },
    );
  }

  async #lostPeers(id: string, cause: string): Promise<string> {
    const address = /\[[^\]]+\]:\d+/.exec(cause)?.[0];
    if (address !== undefined) {
      const rank = this.peers.findIndex(({ addresses }) => addresses.includes(withPortSwapped(address)));
      return rank < 0 ? `none of a peer at ${address}` : `none of ${this.#named(rank)}`;
    }
    const silent = await this.#silentRanks(id);
    if (silent === undefined) return "none of the store either, whose process (rank 0, as a rule) is lost";
    return silent.length > 0 ? `none of ${silent.map((rank) => this.#named(rank)).join(", ")}` : "one too late";
  }

  /**
   * After a time-out every rank that runs says so in the store; undefined where the store is silent too.
   * NOTE: over a cut cable the store's client waits for as long as the system tries to send, a quarter of an hour.
   */
  async #silentRanks(id: string): Promise<number[] | undefined> {
    let timer: NodeJS.Timeout;
    const silence = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), 3 * ANSWER_MS);
    });
    return Promise.race([this.#askStore(id), silence]).finally(() => clearTimeout(timer));
  }

  async #askStore(id: string): Promise<number[] | undefined> {
    const keyOf = (rank: number) => `${id}/${rank}`;
    try {
      await this.#store.set(keyOf(this.rank), "waited");
      const others = this.peers.map((_, rank) => rank).filter((rank) => rank !== this.rank);
      await this.#store.wait(others.map(keyOf), ANSWER_MS).catch(() => {});
      const there = await Promise.all(others.map((rank) => this.#store.check([keyOf(rank)])));
      return others.filter((_, i) => !there[i]);
    } catch {
      return undefined;
    }
  }

  #named(rank: number): string {
    return `rank ${rank} (${this.peers[rank]!.host})`;
  }
}

/** NOTE: Gloo writes a port's two bytes in the network's order. */
function withPortSwapped(address: string): string {
  return address.replace(/\d+$/, (port) => `${((Number(port) & 255) << 8) | (Number(port) >> 8)}`);
}

function handlesOf(tensors: readonly Tensor[]): number[] {
  return tensors.map(({ handle }) => handle);
}
