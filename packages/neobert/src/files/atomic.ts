// Files that are whole or not there. Everything is written under a temporary name in the same folder, synced, and
// renamed; the folder is synced last, so that the new name survives a power cut too. A kill at any moment leaves the
// former file, or none, under the final name, and at worst a `.NAME.*.tmp` beside it.

import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

// One system call takes at most 2 GiB less a page.
const MAX_CALL_BYTES = 2 ** 30;

/** A free name for an unfinished version of `path`: hidden, in the same folder (hence the same disk), ending in `.tmp`. */
export function temporaryPath(path: string): string {
  const whole = resolve(path);
  return join(dirname(whole), `.${basename(whole)}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
}

/** Writes all of `bytes` at the end of an open file. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, Math.min(bytes.length - done, MAX_CALL_BYTES));
  }
}

/** What `write` returns. An error of the system that names no file, as that of a full disk, gets the name of this one. */
export function namingPath<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const { code, message, path: named } = error as NodeJS.ErrnoException;
    if (code === undefined || named !== undefined || message.includes(path)) throw error;
    throw Object.assign(new Error(`${path}: ${message}`, { cause: error }), { code });
  }
}

/**
 * Makes the file `path` from what `fill` writes to the descriptor it is given, or leaves things as they were if `fill`
 * throws. An existing file is replaced in one step. `sync: false` does not wait for the disk: for files that this process
 * deletes again.
 */
export function createFileAtomic(path: string, fill: (fd: number) => void, { sync = true } = {}): void {
  const temporary = temporaryPath(path);
  try {
    const fd = openSync(temporary, "wx");
    try {
      namingPath(path, () => {
        fill(fd);
        if (sync) fsyncSync(fd);
      });
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  if (sync) syncPath(dirname(resolve(path)));
}

/** Writes `data` (a string as UTF-8) to `path`, whole or not at all. */
export function writeFileAtomic(path: string, data: Uint8Array | string): void {
  createFileAtomic(path, (fd) => writeAll(fd, typeof data === "string" ? Buffer.from(data) : data));
}

/**
 * Gives the finished folder `temporary` the name `final`, on the same disk, after syncing all that is in it. A folder
 * that already has this name steps aside to `final.old` and is deleted last: a kill between the two renames leaves
 * it there, so a reader that must never find nothing should use a new name each time.
 */
export function replaceFolder(temporary: string, final: string): void {
  syncTree(temporary);
  const old = `${final}.old`;
  if (existsSync(final)) {
    rmSync(old, { recursive: true, force: true });
    renameSync(final, old);
  }
  renameSync(temporary, final);
  syncPath(dirname(resolve(final)));
  rmSync(old, { recursive: true, force: true });
}

function syncTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else if (entry.isFile()) syncPath(path);
  }
  syncPath(folder);
}

function syncPath(path: string): void {
  if (process.platform === "win32") return; // there a folder cannot be opened, nor a file synced that is open for reading only
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
