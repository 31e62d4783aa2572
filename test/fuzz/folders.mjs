// Folders of the tests' golden files, and the files that a function writes, as targets hold them.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const goldenPath = (path) => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));

/** The files that `write` leaves in the folder it is given: path to bytes. */
export function filesOf(write) {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-files-"));
  try {
    write(folder);
    return filesIn(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The files of a folder and the folders in it: path to bytes. */
export function filesIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path)];
    }),
  );
}
