// Stores: small values by key that the processes of a run share, by which they find each other (c10d's TCPStore, FileStore,
// PrefixStore). Values are texts. What may wait for another process is a promise and occupies no thread of the event loop.
//   https://pytorch.org/docs/stable/distributed.html#distributed-key-value-store

import { type External, native } from "./native.js";

/** What a store or a group waits for others unless told otherwise: five minutes. */
export const DEFAULT_TIMEOUT_MS = 300_000;

export interface TCPStoreOptions {
  host: string;
  /** 29500 unless said otherwise; 0 on the server takes a free one, which `port` then tells. */
  port?: number;
  /** Whether this process serves the store, which one of them does. */
  isServer: boolean;
  timeoutMs?: number;
}

export abstract class Store {
  /** The native object. Private to this package. */
  readonly native: External;
  readonly timeoutMs: number;
  /** The server that it is reached at, if it has one. */
  readonly server: { host: string; port: number } | undefined;

  protected constructor(external: External, timeoutMs: number, server?: { host: string; port: number }) {
    this.native = external;
    this.timeoutMs = timeoutMs;
    this.server = server;
  }

  set(key: string, value: string): Promise<void> {
    return native.storeSet(this.native, key, value);
  }

  /** The key's value, waiting for it as long as the store's time-out. */
  get(key: string): Promise<string> {
    return native.storeGet(this.native, key);
  }

  /** Adds to the count at the key, from 0, and gives the sum; one after the other over all processes. */
  add(key: string, amount: number): Promise<number> {
    return native.storeAdd(this.native, key, amount);
  }

  /** Whether all of the keys are there. */
  check(keys: readonly string[]): Promise<boolean> {
    return native.storeCheck(this.native, [...keys]);
  }

  /** Ends when all of the keys are there; throws after the time-out. */
  wait(keys: readonly string[], timeoutMs = this.timeoutMs): Promise<void> {
    return native.storeWait(this.native, [...keys], timeoutMs);
  }

  deleteKey(key: string): Promise<boolean> {
    return native.storeDeleteKey(this.native, key);
  }
}

/** A store that one process serves over TCP. It is gone with that process. */
export class TCPStore extends Store {
  /** See `connect`. */
  protected constructor(external: External, host: string, timeoutMs: number) {
    super(external, timeoutMs, { host, port: native.storePort(external) });
  }

  get port(): number {
    return this.server!.port;
  }

  /** Serves the store or reaches its server, trying until the time-out. */
  static async connect({ host, port = 29500, isServer, timeoutMs = DEFAULT_TIMEOUT_MS }: TCPStoreOptions) {
    const external = await native.tcpStore(host, port, isServer, timeoutMs);
    return new TCPStore(external, host, timeoutMs);
  }
}

/** A store in a file that all processes see; the file must be new to each run. The last of `worldSize` processes removes it. */
export class FileStore extends Store {
  constructor(path: string, worldSize: number, { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {}) {
    const external = native.fileStore(path, worldSize);
    native.setStoreTimeout(external, timeoutMs);
    super(external, timeoutMs);
  }
}

/** A store whose keys are another's with a prefix, so that groups and restarts do not read each other's. */
export class PrefixStore extends Store {
  constructor(prefix: string, store: Store) {
    super(native.prefixStore(prefix, store.native), store.timeoutMs, store.server);
  }
}
