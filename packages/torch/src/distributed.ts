// How the processes of a run become a group: a store that all reach, each rank's host made known in it, the network interface
// chosen, then connections between all ranks. The interface is the one by which MASTER_ADDR is reached, never that of this
// host's own name, which often is the loopback's; GLOO_SOCKET_IFNAME (names with commas between) wins.
//   https://pytorch.org/docs/stable/distributed.html#environment-variable-initialization

import { hostname } from "node:os";
import { DEFAULT_TIMEOUT_MS, PrefixStore, type Store, TCPStore } from "./distributed-store.js";
import { native } from "./native.js";
import { LostPeerError, type Peer, ProcessGroup } from "./process-group.js";

export interface ProcessGroupOptions {
  /** "gloo", for CPU tensors; the addon is made without "nccl". */
  backend?: "gloo" | "nccl";
  /** Of this process, the environment's RANK unless given. */
  rank?: number;
  /** The environment's WORLD_SIZE unless given. */
  worldSize?: number;
  /** A TCPStore at MASTER_ADDR and MASTER_PORT, which rank 0 serves, unless given. Beside a FileStore of several hosts set MASTER_ADDR. */
  store?: Store;
  /** Of the start and of every collective: five minutes unless said otherwise. */
  timeoutMs?: number;
  /** Prefix of the group's keys: another one for every group of a store. */
  name?: string;
  /** Takes the line that says which interface was taken; stderr unless given. */
  log?: (line: string) => void;
}

interface Interface {
  names: string[];
  /** This machine's on the interface, or empty where the names alone choose. */
  address: string;
  because: string;
}

/** A group of `worldSize` processes, when each of them has called this. Throws after the time-out, naming the ranks that lack. */
export async function initProcessGroup(options: ProcessGroupOptions = {}): Promise<ProcessGroup> {
  const { backend = "gloo", timeoutMs = DEFAULT_TIMEOUT_MS, name = "group", log = console.error } = options;
  const rank = options.rank ?? numberFromEnvironment("RANK");
  const size = options.worldSize ?? numberFromEnvironment("WORLD_SIZE");
  if (!(Number.isSafeInteger(size) && size >= 1 && Number.isSafeInteger(rank) && rank >= 0 && rank < size))
    throw new RangeError(`initProcessGroup: expected a rank of 0 to worldSize - 1, got rank ${rank} of ${size}`);
  const base = options.store ?? (await storeFromEnvironment(rank, timeoutMs));
  const store = new PrefixStore(name, base);
  const hostKey = (of: number) => `host/${of}`;
  await store.set(hostKey(rank), hostname());
  await waitForAll(store, size, hostKey, timeoutMs);
  const network = chooseInterface(base);
  const at = [network.names.join(", "), network.address].filter(Boolean).join(" ");
  log(`rank ${rank} of ${size}: ${at}, ${network.because}`);
  const external = await native.processGroup(
    backend,
    new PrefixStore("connect", store).native,
    rank,
    size,
    timeoutMs,
    network.address === "" ? network.names : [],
    network.address,
  );
  const peers = await exchangePeers(store, rank, size);
  return new ProcessGroup(external, { store, rank, size, timeoutMs, peers });
}

function numberFromEnvironment(variable: string): number {
  const text = process.env[variable];
  if (text === undefined || !/^\d+$/.test(text))
    throw new Error(
      `initProcessGroup: expected ${variable} in the environment, got ${text ?? "none"}\n` +
        "torchrun and other launchers set it; rank and worldSize may be given as options instead.",
    );
  return Number(text);
}

function masterAddress(): { host: string; port: number } {
  return { host: process.env.MASTER_ADDR ?? "127.0.0.1", port: Number(process.env.MASTER_PORT ?? 29500) };
}

/** NOTE: torchrun's agent may serve the store itself (TORCHELASTIC_USE_AGENT_STORE); rank 0 is then a client as well. */
async function storeFromEnvironment(rank: number, timeoutMs: number): Promise<Store> {
  const served = process.env.TORCHELASTIC_USE_AGENT_STORE === "True";
  const { host, port } = masterAddress();
  const store = await TCPStore.connect({ host, port, isServer: rank === 0 && !served, timeoutMs });
  return served ? new PrefixStore(`restart/${process.env.TORCHELASTIC_RESTART_COUNT ?? 0}`, store) : store;
}

async function waitForAll(store: Store, size: number, key: (rank: number) => string, timeoutMs: number): Promise<void> {
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  try {
    await store.wait(ranks.map(key), timeoutMs);
  } catch (error) {
    const there = await Promise.all(ranks.map((rank) => store.check([key(rank)])));
    const lacking = ranks.filter((rank) => !there[rank]);
    throw new LostPeerError(
      `initProcessGroup: expected ${size} ranks within ${timeoutMs / 1000} s, got none of rank ${lacking.join(", ")}\n` +
        "See whether each was started with the same WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and reaches that address.",
      { cause: error },
    );
  }
}

function chooseInterface({ server }: Store): Interface {
  const wanted = process.env.GLOO_SOCKET_IFNAME;
  if (wanted) return { names: wanted.split(","), address: "", because: "as GLOO_SOCKET_IFNAME says" };
  const { host, port } = server ?? masterAddress();
  const [name, address] = native.routeTo(host, port);
  return { names: [name], address, because: `by the route to ${host}` };
}

async function exchangePeers(store: Store, rank: number, size: number): Promise<Peer[]> {
  const peer: Peer = { host: hostname(), addresses: native.socketAddresses() };
  await store.set(`peer/${rank}`, JSON.stringify(peer));
  const texts = await Promise.all(Array.from({ length: size }, (_, of) => store.get(`peer/${of}`)));
  return texts.map((text) => JSON.parse(text) as Peer);
}
