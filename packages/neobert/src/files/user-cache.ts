// The folder for what is made once a user: graphs of sessions, hashes of weights.

import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** NEOBERT_CACHE, else neobert under XDG_CACHE_HOME or ~/.cache. */
export function userCache(env = process.env): string {
  return resolve(env.NEOBERT_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "neobert"));
}
