// Graphs of our own session in the user's cache, each a folder `onnx/KEY` with `model.onnx` and its weights beside it,
// from where ONNX Runtime maps them. The key names all that the graph depends on, so an entry never goes out of date;
// a folder gets its name when it is whole. Where the cache cannot be written a graph lives in a temporary folder.
// A new graph pushes out those that were not used for longest when all together outgrow the cache's limit.

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
import { replaceFolder, temporaryPath } from "../files/atomic.js";
import { packageVersion } from "../files/package.js";
import { cacheEntries, userCache } from "../files/user-cache.js";
import { weightsIdentity } from "../files/weights-identity.js";

/** GiB of graphs that the cache keeps where NEOBERT_CACHE_GIB does not say. */
const KEPT_GIB = 8;
/** A graph used within these milliseconds stays: another process may be about to map it. */
const IN_USE_MS = 3_600_000;

/** The cache's folder for a graph of the model in `folder`; `parts` is what else the graph depends on. */
export async function cacheFolder(folder: string, parts: Record<string, unknown>): Promise<string> {
  const weights = await weightsIdentity(folder);
  const made = JSON.stringify({ version: packageVersion(), code: codeHash(), weights, ...parts });
  return join(userCache(), "onnx", createHash("sha256").update(made).digest("hex").slice(0, 32));
}

/** A hash of what makes graphs, the files of `model/` and `onnx/`: changed code makes them anew. */
function codeHash(): string {
  const hash = createHash("sha256");
  for (const folder of ["../model/", "../onnx/"]) {
    const path = fileURLToPath(new URL(folder, import.meta.url));
    for (const name of readdirSync(path).sort()) {
      if (/(?<!\.test|\.d)\.[jt]s$/.test(name)) hash.update(readFileSync(join(path, name)));
    }
  }
  return hash.digest("hex");
}

/**
 * Fills `folder` with what `write` puts into a temporary one, unless it is there, and hands it to `use`. Where it cannot be
 * made (a home that cannot be written, or none) the temporary folder of the system takes its place and goes after `use`.
 */
export async function withCached<T>(
  folder: string,
  write: (folder: string) => Promise<void>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  if (existsSync(folder)) {
    markUsed(folder);
    return use(folder);
  }
  if (isWritable(resolve(folder, ".."))) {
    await fillCache(folder, write);
    trimGraphs();
    return use(folder);
  }
  const temporary = mkdtempSync(join(tmpdir(), "neobert-onnx-"));
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

/** Removes the graphs that were not used for longest until those that stay have at most `maxBytes`. */
export function trimGraphs(maxBytes = keptBytes(), now = Date.now()): void {
  const graphs = cacheEntries().filter(({ kind }) => kind === "graphs");
  let bytes = graphs.reduce((sum, graph) => sum + graph.bytes, 0);
  for (const graph of graphs.sort((a, b) => a.usedMs - b.usedMs)) {
    if (bytes <= maxBytes || now - graph.usedMs < IN_USE_MS) return;
    rmSync(graph.path, { recursive: true, force: true });
    bytes -= graph.bytes;
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
