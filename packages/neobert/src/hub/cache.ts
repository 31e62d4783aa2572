// The local Hugging Face cache, in the layout that Python's huggingface_hub shares: per repository `refs/REVISION`
// (a commit), `blobs/ETAG` (contents) and `snapshots/COMMIT/PATH` (links to blobs). A blob gets its name only when
// it is whole. Beside them we keep `listings/COMMIT.json`, the paths of a commit, which never change; with it a
// snapshot is known to be complete without a request.

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { writeFileAtomic } from "../files/atomic.js";
import { readJsonFile } from "../files/input-file.js";

export type RepoType = "model" | "dataset";

export interface RemoteFile {
  path: string;
  bytes: number;
  /** Git's SHA-1, or the SHA-256 of the contents for a file in large-file storage. */
  etag: string;
  isLarge: boolean;
}

/** Whether this is the name that Git, or large-file storage, gives contents, and so is safe as the name of a file. */
export function isHash(text: unknown): text is string {
  return typeof text === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** Whether an error says that this user, or this disk, lets nothing be written there. */
export function isUnwritable(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes(String((error as NodeJS.ErrnoException)?.code));
}

export class RepoCache {
  readonly folder: string;

  constructor(cacheDir: string, type: RepoType, name: string) {
    this.folder = join(cacheDir, [`${type}s`, ...name.split("/")].join("--"));
  }

  /** The commit that a branch or tag had when it was last asked for, or null. */
  commitOf(revision: string): string | null {
    if (isHash(revision)) return revision;
    const path = join(this.folder, "refs", revision);
    const commit = statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8").trim() : "";
    return isHash(commit) ? commit : null;
  }

  /** Notes what a revision means and which files its commit has. */
  record(revision: string, commit: string, files: RemoteFile[]): void {
    if (revision !== commit) this.#write(join(this.folder, "refs", revision), commit);
    this.#write(join(this.folder, "listings", `${commit}.json`), `${JSON.stringify(files, null, 1)}\n`);
  }

  listing(commit: string): RemoteFile[] | null {
    const path = join(this.folder, "listings", `${commit}.json`);
    try {
      return readJsonFile(path) as RemoteFile[];
    } catch {
      return null; // not there, or damaged: asked for anew
    }
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
   * Throws, leaving nothing under a final name, if the contents end early (they are gone on with next time) or have
   * another hash.
   */
  async add(
    commit: string,
    file: RemoteFile,
    open: () => Promise<Blob | null>,
    onBytes: (count: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const blob = join(this.folder, "blobs", file.etag);
    if (!existsSync(blob)) await download(blob, file, open, onBytes, signal);
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

/**
 * Downloads into an unfinished file beside the blob, going on where an interrupted download stopped, and gives it the
 * blob's name once its contents are checked. Cut short, it stays for the next time; with wrong contents it goes.
 */
async function download(
  blob: string,
  file: RemoteFile,
  open: () => Promise<Blob | null>,
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  mkdirSync(dirname(blob), { recursive: true });
  const unfinished = claimUnfinished(blob);
  // A file outside large-file storage has the name that git gives its contents.
  const hash = file.isLarge ? createHash("sha256") : createHash("sha1").update(`blob ${file.bytes}\0`);
  try {
    let bytes = 0;
    if (existsSync(unfinished)) {
      for await (const chunk of createReadStream(unfinished, { ...(signal && { signal }) })) {
        hash.update(chunk);
        bytes += chunk.length;
      }
    }
    onBytes(bytes);
    if (bytes < file.bytes || bytes === 0) {
      const body = await open();
      if (!body) throw new Error("no such file");
      const rest = bytes === 0 ? body : body.slice(bytes); // asks for this range only
      const count = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          hash.update(chunk);
          onBytes(chunk.length);
          yield chunk;
          if (bytes > file.bytes) return; // an endless answer does not fill the disk
        }
      };
      const chunks = Readable.fromWeb(rest.stream() as Parameters<typeof Readable.fromWeb>[0]);
      const output = createWriteStream(unfinished, { flags: "a" });
      try {
        await pipeline(chunks, count, output, { ...(signal && { signal }) });
      } finally {
        if (!output.closed) await once(output, "close"); // what is still being written is there for the next time
      }
    }
    if (bytes < file.bytes) throw new Error(`${bytes} bytes instead of ${file.bytes}`);
    if (bytes > file.bytes || hash.digest("hex") !== file.etag) {
      rmSync(unfinished, { force: true });
      throw new Error(bytes > file.bytes ? `${bytes} bytes instead of ${file.bytes}` : "contents with another hash");
    }
    renameSync(unfinished, blob);
  } finally {
    inUse.delete(unfinished);
  }
}

/** Unfinished files that this process is writing. */
const inUse = new Set<string>();

/** A name of our own for the unfinished file of a blob; what a download that no longer runs left there gets that name. */
function claimUnfinished(blob: string): string {
  const own = `${blob}.${process.pid}-${randomBytes(4).toString("hex")}.incomplete`;
  inUse.add(own);
  for (const name of readdirSync(dirname(blob))) {
    const pid = Number(/\.(\d+)-[0-9a-f]{8}\.incomplete$/.exec(name)?.[1]);
    const path = join(dirname(blob), name);
    if (!name.startsWith(`${basename(blob)}.`) || !pid || inUse.has(path)) continue;
    if (pid !== process.pid && isAlive(pid)) continue;
    try {
      renameSync(path, own);
      break;
    } catch {
      // another process was here first
    }
  }
  return own;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
