// Graphs of our own session in the user's cache, each a folder `onnx/KEY` with `model.onnx` and its weights beside it,
// from where ONNX Runtime maps them. The key names all that the graph depends on, so an entry never goes out of date;
// a folder gets its name when it is whole. Where the cache cannot be written a graph lives in a temporary folder.

import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceFolder, temporaryPath } from "../files/atomic.js";
import { packageVersion } from "../files/package.js";
import { userCache } from "../files/user-cache.js";
import { weightsIdentity } from "../files/weights-identity.js";

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
  if (existsSync(folder)) return use(folder);
  if (isWritable(resolve(folder, ".."))) {
    await fillCache(folder, write);
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
