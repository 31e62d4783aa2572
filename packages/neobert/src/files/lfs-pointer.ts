// Git LFS pointers: what a clone without `git lfs` leaves where large files belong, three lines of text under the file's own
// name. Every reader of a file says so, for none can know it from its own format's errors.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const FIRST_LINE = Buffer.from("version https://git-lfs.github.com/spec/v1");

/** Throws where a file's first bytes are those of a Git LFS pointer. */
export function refuseLfsPointer(path: string, start: Uint8Array): void {
  if (Buffer.compare(start.subarray(0, FIRST_LINE.length), FIRST_LINE) !== 0) return;
  throw new Error(
    `${path}: expected the file itself, got a Git LFS pointer, which only names it\nFetch it in its folder: git lfs pull`,
  );
}

/** As `refuseLfsPointer`, for a file that others open. */
export function refuseLfsPointerFile(path: string): void {
  const start = new Uint8Array(FIRST_LINE.length);
  const fd = openSync(path, "r");
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  refuseLfsPointer(path, start);
}

/** The text of a small UTF-8 file, such as a JSON of settings. Throws where it is a Git LFS pointer. */
export function readTextFile(path: string): string {
  const bytes = readFileSync(path);
  refuseLfsPointer(path, bytes);
  return bytes.toString("utf8");
}
