// Files that others made, as far as no format is concerned: a regular file of a bearable size (no FIFO, which would wait
// for ever, and no device), not a Git LFS pointer (what a clone without `git lfs` leaves under a large file's name), and
// JSON that parses. What is wrong is said with the path, for no reader can know it from its own format's errors.

import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { isObject, shortened, shown } from "./checked.js";
import { InputError } from "./input-error.js";

const LFS_FIRST_LINE = Buffer.from("version https://git-lfs.github.com/spec/v1");
/** Bytes of a file that is read as one text: a tokenizer.json of a million tokens has a tenth. */
const MAX_TEXT_BYTES = 400_000_000;
/** Levels of JSON: configs have some ten. */
const MAX_DEPTH = 1000;

/** Throws where a file's first bytes are those of a Git LFS pointer. */
export function refuseLfsPointer(path: string, start: Uint8Array): void {
  if (Buffer.compare(start.subarray(0, LFS_FIRST_LINE.length), LFS_FIRST_LINE) !== 0) return;
  throw new InputError(
    `${path}: expected the file itself, got a Git LFS pointer, which only names it\nFetch it in its folder: git lfs pull`,
  );
}

/** As `refuseLfsPointer`, for a file that others open. */
export function refuseLfsPointerFile(path: string): void {
  const start = new Uint8Array(LFS_FIRST_LINE.length);
  const fd = openRegularFile(path);
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  refuseLfsPointer(path, start);
}

/** Opens a file for reading. Throws where it is a folder, a FIFO or a device. */
export function openRegularFile(path: string): number {
  bytesOfRegularFile(path);
  return openSync(path, "r");
}

/** The text of a small UTF-8 file, such as a JSON of settings. Throws where it is no file, too large, or a Git LFS pointer. */
export function readTextFile(path: string): string {
  const size = bytesOfRegularFile(path);
  if (size > MAX_TEXT_BYTES) {
    throw new InputError(`${path}: expected at most ${MAX_TEXT_BYTES} bytes, got ${size}\nIs it the right file?`);
  }
  const bytes = readFileSync(path);
  refuseLfsPointer(path, bytes);
  return bytes.toString("utf8");
}

/** What a JSON file holds. Throws as `readTextFile`, and where it is not JSON. */
export function readJsonFile(path: string): unknown {
  return parseJson(readTextFile(path).replace(/^\ufeff/, ""), path);
}

/** What a JSON text of the file at `path` says. Throws where it is not JSON, or so deep that walking it ends the stack. */
export function parseJson(text: string, path: string): unknown {
  if (isTooDeep(text)) {
    throw new InputError(
      `${path}: expected JSON of at most ${MAX_DEPTH} levels, got more\nMend the file or fetch it again.`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(
      `${path}: expected JSON, got ${shortened((error as Error).message)}\nMend the file or fetch it again.`,
      { cause: error },
    );
  }
}

/** As `readJsonFile`, of a file whose JSON is an object; its fields are the caller's to check. */
export function readJsonObject<Fields extends object = Record<string, unknown>>(path: string): Fields {
  const json = readJsonFile(path);
  if (isObject(json)) return json as Fields;
  throw new InputError(`${path}: expected a JSON object, got ${shown(json)}\nMend the file or fetch it again.`);
}

function isTooDeep(text: string): boolean {
  const [quote, backslash, openList, closeList, openObject, closeObject] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];
  let [depth, inString] = [0, false];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) inString = !inString;
    else if (inString) at += code === backslash ? 1 : 0;
    else if (code === closeList || code === closeObject) depth--;
    else if ((code === openList || code === openObject) && ++depth > MAX_DEPTH) return true;
  }
  return false;
}

function bytesOfRegularFile(path: string): number {
  const stat = statSync(path);
  if (stat.isFile()) return stat.size;
  const what = stat.isDirectory() ? "a folder" : stat.isFIFO() ? "a pipe" : "a device";
  throw new InputError(`${path}: expected a file, got ${what}`);
}
