// This package's own files, wherever it lies: its version, which files that we write name, and its compiled worker entries.

import { readFileSync } from "node:fs";

export function packageVersion(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

/**
 * The URL of a compiled file, named by its path below `src` without extension ("engine/engine-worker"). Workers run
 * compiled JavaScript only, so a caller that is itself run from the sources (a test) is sent to the compiled twin too.
 */
export function compiledFile(path: string): URL {
  return new URL(`../../dist/${path}.js`, import.meta.url);
}
