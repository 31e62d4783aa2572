// Where the files of shards lie: in a folder, or at an address. Either gives ranges of a shard's bytes, synchronously. In a
// folder nothing is held in memory (the kernel's page cache is the cache) and few files are open at once, so it may be of any
// size. At an address, offsets are fetched whole at the beginning (4 bytes a document) and kept for all that read the same
// data on this machine; tokens come block by block as they are needed.
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { filesOfShard, type Manifest, shardFiles } from "./manifest.js";
import { type RemoteFiles, remoteCache } from "./remote/remote-files.js";

const maxOpenFiles = 64;

/** The files of a manifest's shards. */
export interface ShardFiles {
  /** Fills `target` with the bytes from `position` on of a shard's tokens. */
  readTokens(shard: number, target: Uint8Array, position: number): void;
  /** The same of its offsets. */
  readOffsets(shard: number, target: Uint8Array, position: number): void;
  /** Says that these bytes of a shard's tokens will be read soon; absent where that changes nothing. */
  prefetch?(shard: number, position: number, bytes: number): void;
  close(): void;
}

const tokensSize = ({ shards, dtype }: Manifest, shard: number) => shards[shard]!.tokens * (dtype === "uint16" ? 2 : 4);
const offsetsSize = ({ shards }: Manifest, shard: number) => (shards[shard]!.documents + 1) * 4;

/** The shards of a folder. Throws where a file is absent or not of the size that the manifest gives. */
export class LocalShardFiles implements ShardFiles {
  readonly #folder: string;
  readonly #manifest: Manifest;
  readonly #files = new OpenFiles();

  constructor(folder: string, manifest: Manifest) {
    this.#folder = folder;
    this.#manifest = manifest;
    for (const shard of manifest.shards.keys()) {
      const { tokens, offsets } = this.#pathsOf(shard);
      checkSize(tokens, tokensSize(manifest, shard));
      checkSize(offsets, offsetsSize(manifest, shard));
    }
  }

  readTokens(shard: number, target: Uint8Array, position: number): void {
    this.#files.read(this.#pathsOf(shard).tokens, target, position);
  }

  readOffsets(shard: number, target: Uint8Array, position: number): void {
    this.#files.read(this.#pathsOf(shard).offsets, target, position);
  }

  close(): void {
    this.#files.close();
  }

  #pathsOf(shard: number): ReturnType<typeof filesOfShard> {
    const { tokens, offsets } = filesOfShard(this.#manifest, shard);
    return { tokens: join(this.#folder, tokens), offsets: join(this.#folder, offsets) };
  }
}

/** The shards at an address; `name` is that of their data, under which offsets are kept. */
export class RemoteShardFiles implements ShardFiles {
  readonly #remote: RemoteFiles;
  readonly #manifest: Manifest;
  readonly #cache: string;
  readonly #offsets: (() => void)[];
  readonly #files = new OpenFiles();

  constructor(remote: RemoteFiles, manifest: Manifest, name: string) {
    this.#remote = remote;
    this.#manifest = manifest;
    this.#cache = join(remoteCache(), name);
    this.#offsets = manifest.shards.map((_, shard) =>
      remote.file(filesOfShard(manifest, shard).offsets, offsetsSize(manifest, shard), this.#offsetsPath(shard)),
    );
  }

  readTokens(shard: number, target: Uint8Array, position: number): void {
    this.#remote.read(filesOfShard(this.#manifest, shard).tokens, tokensSize(this.#manifest, shard), target, position);
  }

  readOffsets(shard: number, target: Uint8Array, position: number): void {
    this.#offsets[shard]!();
    this.#files.read(this.#offsetsPath(shard), target, position);
  }

  prefetch(shard: number, position: number, bytes: number): void {
    const { tokens } = filesOfShard(this.#manifest, shard);
    this.#remote.prefetch(tokens, tokensSize(this.#manifest, shard), position, bytes);
  }

  close(): void {
    this.#remote.close();
    this.#files.close();
  }

  #offsetsPath(shard: number): string {
    return join(this.#cache, shardFiles(shard).offsets);
  }
}

/** Positioned reads of many files, of which the last used stay open. */
class OpenFiles {
  /** A Map iterates in the order of insertion, so its first key is the least recent. */
  readonly #open = new Map<string, number>();

  read(path: string, target: Uint8Array, position: number): void {
    const file = this.#fileOf(path);
    for (let done = 0; done < target.length; ) {
      const got = readSync(file, target, done, target.length - done, position + done);
      if (got === 0) {
        throw new Error(
          `TokenShards: expected ${target.length} bytes at ${position} of ${path}, got ${done}\n` +
            "The file was changed after it was opened: prepare the data again.",
        );
      }
      done += got;
    }
  }

  close(): void {
    for (const file of this.#open.values()) closeSync(file);
    this.#open.clear();
  }

  #fileOf(path: string): number {
    let file = this.#open.get(path);
    if (file === undefined) {
      if (this.#open.size >= maxOpenFiles) {
        const [oldest, oldFile] = this.#open.entries().next().value!;
        closeSync(oldFile);
        this.#open.delete(oldest);
      }
      file = openSync(path, "r");
    } else {
      this.#open.delete(path);
    }
    this.#open.set(path, file);
    return file;
  }
}

function checkSize(path: string, bytes: number): void {
  const got = existsSync(path) ? `${statSync(path).size} bytes` : "no such file";
  if (got === `${bytes} bytes`) return;
  throw new Error(
    `openShards: expected ${path} of ${bytes} bytes as its manifest says, got ${got}\n` +
      "Copy the file again, or prepare the data again: neobert data prepare --force",
  );
}
