// For tests: a user's cache of its own, in a temporary folder.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

/** Gives the tests of this file a folder with an empty cache in it, for as long as they run; call it once at the top. */
export function useOwnCache(): { readonly folder: string } {
  const own = { folder: "" };
  const before = process.env.NEOBERT_CACHE;
  beforeAll(() => {
    own.folder = mkdtempSync(join(tmpdir(), "neobert-engine-"));
    process.env.NEOBERT_CACHE = join(own.folder, "cache");
  });
  afterAll(() => {
    rmSync(own.folder, { recursive: true });
    if (before === undefined) delete process.env.NEOBERT_CACHE;
    else process.env.NEOBERT_CACHE = before;
  });
  return own;
}
