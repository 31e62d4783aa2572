// The local Hugging Face cache, in the layout that Python's huggingface_hub shares: per repository `refs/REVISION`
// (a commit), `blobs/ETAG` (contents) and `snapshots/COMMIT/PATH` (links to blobs). A blob gets its name only when
// it is whole. Beside them we keep `listings/COMMIT.json`, the paths of a commit, which never change; with it a
// snapshot is known to be complete without a request.

import { createHash } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { temporaryPath, writeFileAtomic } from "../files/atomic.js";

export type RepoType = "model" | "dataset";

export interface RemoteFile {
  path: string;
  bytes: number;
  /** Git's SHA-1, or the SHA-256 of the contents for a file in large-file storage. */
  etag: string;
  isLarge: boolean;
}

export class RepoCache {
  readonly folder: string;

  constructor(cacheDir: string, type: RepoType, name: string) {
    this.folder = join(cacheDir, [`${type}s`, ...name.split("/")].join("--"));
  }

  /** The commit that a branch or tag had when it was last asked for, or null. */
  commitOf(revision: string): string | null {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    const path = join(this.folder, "refs", revision);
    return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
  }

  /** Notes what a revision means and which files its commit has. */
  record(revision: string, commit: string, files: RemoteFile[]): void {
    if (revision !== commit) this.#write(join(this.folder, "refs", revision), commit);
    this.#write(join(this.folder, "listings", `${commit}.json`), `${JSON.stringify(files, null, 1)}\n`);
  }

  listing(commit: string): RemoteFile[] | null {
    const path = join(this.folder, "listings", `${commit}.json`);
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : null;
  }

  snapshotFolder(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** Whether the snapshot has this file, whole. */
  has(commit: string, path: string): boolean {
    return existsSync(join(this.snapshotFolder(commit), path));
  }

  /**
   * Puts a file into the snapshot of `commit`, its contents from `open` unless a blob has them already.
   * Throws, leaving nothing under a final name, if the contents end early or have another SHA-256.
   */
  async add(
    commit: string,
    file: RemoteFile,
    open: () => Promise<Blob | null>,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const blob = join(this.folder, "blobs", file.etag);
    if (!existsSync(blob)) await download(blob, file, await open(), onBytes);
    const pointer = join(this.snapshotFolder(commit), file.path);
    mkdirSync(dirname(pointer), { recursive: true });
    rmSync(pointer, { force: true });
    try {
      symlinkSync(relative(dirname(pointer), blob), pointer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return; // another process was here first
      renameSync(blob, pointer); // Windows without the right to make links: as Python does, the snapshot holds the file
    }
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomic(path, text);
  }
}

async function download(
  blob: string,
  file: RemoteFile,
  body: Blob | null,
  onBytes: (count: number) => void,
): Promise<void> {
  if (!body) throw new Error("no such file");
  mkdirSync(dirname(blob), { recursive: true });
  const temporary = temporaryPath(blob);
  const hash = createHash("sha256");
  let bytes = 0;
  const count = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      hash.update(chunk);
      onBytes(chunk.length);
      yield chunk;
    }
  };
  try {
    const chunks = Readable.fromWeb(body.stream() as Parameters<typeof Readable.fromWeb>[0]);
    await pipeline(chunks, count, createWriteStream(temporary, { flags: "wx" }));
    if (bytes !== file.bytes) throw new Error(`${bytes} bytes instead of ${file.bytes}`);
    if (file.isLarge && hash.digest("hex") !== file.etag) {
      throw new Error("contents with another SHA-256");
    }
    renameSync(temporary, blob);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
