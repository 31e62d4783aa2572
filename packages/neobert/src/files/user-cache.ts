// The folder for what is made once a user: graphs of sessions, int8 weights, hashes of weights, libtorch. The Hub's cache is elsewhere.

import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** NEOBERT_CACHE, else neobert under XDG_CACHE_HOME or ~/.cache. */
export function userCache(env = process.env): string {
  return resolve(env.NEOBERT_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "neobert"));
}

export const cacheKinds = ["graphs", "int8", "hashes", "libtorch", "other"] as const;
export type CacheKind = (typeof cacheKinds)[number];

/** One thing that the cache keeps. */
export interface CacheEntry {
  kind: CacheKind;
  path: string;
  bytes: number;
  /** When it was last made or used, in milliseconds since 1970. */
  usedMs: number;
}

/** What the user's cache holds: each graph, each model's int8 weights, each hash, each libtorch. */
export function cacheEntries(cache = userCache()): CacheEntry[] {
  return namesIn(cache).flatMap((name) => {
    const path = join(cache, name);
    if (name === "onnx") return namesIn(path).map((graph) => entryOf("graphs", join(path, graph)));
    if (name === "int8") return namesIn(path).map((weights) => entryOf("int8", join(path, weights)));
    if (name === "weights") return namesIn(path).map((hash) => entryOf("hashes", join(path, hash)));
    return [entryOf(name.startsWith("libtorch-") ? "libtorch" : "other", path)];
  });
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function entryOf(kind: CacheKind, path: string): CacheEntry {
  return { kind, path, bytes: bytesOf(path), usedMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 };
}

/** Bytes of a file, or of all files below a folder; what another process removes meanwhile counts nothing. */
function bytesOf(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return stat?.size ?? 0;
  return namesIn(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}
