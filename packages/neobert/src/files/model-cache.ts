// What engines make of a model's weights, in the user's cache: a folder `onnx/KEY` for each graph of our own session, with its weights
// beside it, from where ONNX Runtime maps them, and a folder `int8/KEY` for packed weights. The key names all that the content
// depends on, so an entry never goes out of date; a folder gets its name when it is whole. Where the cache cannot be written it lives
// in a temporary folder. A new one pushes out those that were not used for longest when all together outgrow the cache's limit.

import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceFolder, temporaryPath } from "./atomic.js";
import { packageVersion } from "./package.js";
import { cacheEntries, userCache } from "./user-cache.js";
import { weightsIdentity } from "./weights-identity.js";

/** GiB that the cache keeps where NEOBERT_CACHE_GIB does not say. */
const KEPT_GIB = 8;
/** What was used within these milliseconds stays: another process may be about to map it. */
const IN_USE_MS = 3_600_000;

/** The folders of sources that each kind is made by: changed code makes it anew. */
const madeBy = { onnx: ["model", "onnx"], int8: ["model", "model/torch", "texts"] };

/** The cache's folder for what is made of the model in `folder`; `parts` is what else it depends on. */
export async function cacheFolder(
  kind: keyof typeof madeBy,
  folder: string,
  parts: Record<string, unknown>,
): Promise<string> {
  const weights = await weightsIdentity(folder);
  const made = JSON.stringify({ version: packageVersion(), code: codeHash(madeBy[kind]), weights, ...parts });
  return join(userCache(), kind, createHash("sha256").update(made).digest("hex").slice(0, 32));
}

function codeHash(folders: readonly string[]): string {
  const hash = createHash("sha256");
  for (const folder of folders) {
    const path = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
    for (const name of readdirSync(path).sort()) {
      if (/(?<!\.test|\.d)\.[jt]s$/.test(name)) hash.update(readFileSync(join(path, name)));
    }
  }
  return hash.digest("hex");
}

/**
 * Fills `folder` with what `write` puts into a temporary one, unless it is there, and hands it to `use`. What is there and cannot
 * be used is broken, and made anew. Where it cannot be made (a home that cannot be written, or none) the temporary folder of the
 * system takes its place and goes after `use`.
 */
export async function withCached<T>(
  folder: string,
  write: (folder: string) => Promise<void>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  if (existsSync(folder)) {
    markUsed(folder);
    try {
      return await use(folder);
    } catch {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  if (isWritable(resolve(folder, ".."))) {
    await fillCache(folder, write);
    trimCache();
    return use(folder);
  }
  const temporary = mkdtempSync(join(tmpdir(), "neobert-model-"));
  try {
    await write(temporary);
    return await use(temporary);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Gives the folder the present time, by which the cache tells what was not used for longest. */
function markUsed(folder: string): void {
  const now = new Date();
  try {
    utimesSync(folder, now, now);
  } catch {
    // A cache that cannot be written is not trimmed either.
  }
}

/** Removes the graphs and packed weights that were not used for longest until those that stay have at most `maxBytes`. */
export function trimCache(maxBytes = keptBytes(), now = Date.now()): void {
  const entries = cacheEntries().filter(({ kind }) => kind === "graphs" || kind === "int8");
  let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  for (const entry of entries.sort((a, b) => a.usedMs - b.usedMs)) {
    if (bytes <= maxBytes || now - entry.usedMs < IN_USE_MS) return;
    rmSync(entry.path, { recursive: true, force: true });
    bytes -= entry.bytes;
  }
}

function keptBytes(): number {
  const given = process.env.NEOBERT_CACHE_GIB;
  const gib = given ? Number(given) : KEPT_GIB;
  if (!(gib >= 0))
    throw new Error(
      `NEOBERT_CACHE_GIB: expected a number of GiB, got ${JSON.stringify(given)}\nLeave it out for ${KEPT_GIB}.`,
    );
  return gib * 2 ** 30;
}

/** Whether `folder` is there, or can be made, and new files can be made in it. */
function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function fillCache(folder: string, write: (folder: string) => Promise<void>): Promise<void> {
  const temporary = temporaryPath(folder);
  try {
    mkdirSync(temporary);
    await write(temporary);
    replaceFolder(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (existsSync(folder)) return; // another process was here first
    throw error;
  }
}
