// OWNER/NAME@COMMIT: what a repository of the Hub held at one commit, by a name that means the same on every machine,
// whatever the cache's place. Run files and records name models so, where the folder of a snapshot would bind them to a disk.

import { existsSync } from "node:fs";
import { isHash, RepoCache } from "./cache.js";
import { hubCachePath } from "./environment.js";

/** Name and revision of `OWNER/NAME@REVISION`; the revision is undefined where there is none. */
export function splitRevision(name: string): { name: string; revision: string | undefined } {
  const at = name.lastIndexOf("@");
  return at <= 0 ? { name, revision: undefined } : { name: name.slice(0, at), revision: name.slice(at + 1) };
}

/** The name of a model whose snapshot, in any cache, is this folder; any other folder or name is itself. */
export function pinnedName(folder: string): string {
  const [, repository, commit] = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\]([^/\\]+)[/\\]?$/.exec(folder) ?? [];
  return repository !== undefined && isHash(commit) ? `${repository.replace("--", "/")}@${commit}` : folder;
}

/** The other way: the folder in this machine's cache, where the model has been fetched; any other name is itself. */
export function pinnedFolder(from: string): string {
  const { name, revision } = splitRevision(from);
  if (!isHash(revision) || existsSync(from)) return from;
  return new RepoCache(hubCachePath(), "model", name).snapshotFolder(revision);
}
