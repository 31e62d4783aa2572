// Path patterns: `*` and `?` stay within a folder, `**` crosses folders. A pattern is matched against the whole path,
// written with `/` on every system. Files of the disk and files of the Hub are chosen by the same rules.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export function isGlob(path: string): boolean {
  return /[*?]/.test(path);
}

/** The pattern as an anchored regular expression; `a/**` + `/b` also matches `a/b`. */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|[\\^$.|+()[\]{}]/g, (token) => {
    if (token === "**/") return "(?:.*/)?";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`, "s");
}

/**
 * Paths of the files under a folder, relative to it, with `/`, sorted. Hidden names are left out; links to files are
 * followed, links to folders are not.
 */
export function walkFiles(folder: string, depth = Number.POSITIVE_INFINITY): string[] {
  const files: string[] = [];
  addFiles(files, folder, depth, "");
  return files.sort();
}

function addFiles(files: string[], folder: string, depth: number, prefix: string): void {
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = `${prefix}${entry.name}`;
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) {
      if (depth > 1) addFiles(files, folder, depth - 1, `${path}/`);
    } else if (
      entry.isFile() ||
      (entry.isSymbolicLink() && statSync(join(folder, path), { throwIfNoEntry: false })?.isFile())
    ) {
      files.push(path);
    }
  }
}
