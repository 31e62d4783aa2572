// `neobert cache`: what is kept under the user's cache folder, by kind, and its removal.

import { rmSync } from "node:fs";
import { Command } from "commander";
import { type CacheEntry, type CacheKind, cacheEntries, cacheKinds, userCache } from "../files/user-cache.js";
import { wholeNumber } from "./option-values.js";

const what: Record<CacheKind, string> = {
  graphs: "models as graphs of the ONNX engine, made again when they are needed",
  int8: "models' weights in int8 for the libtorch engine, made again when they are needed",
  hashes: "hashes of models' weights, made again when they are needed",
  libtorch: "what training computes with, fetched again by `neobert setup-torch`",
  other: "files that other programs of this project put there",
};

export function cacheCommand(): Command {
  const list = new Command("list")
    .description("Shows what is kept, how large it is and when it was last used.")
    .option("--json", "print JSON")
    .action(({ json }: { json?: boolean }) => {
      const entries = cacheEntries();
      console.log(json ? JSON.stringify(entries, null, 2) : cacheText(entries));
    });
  const clear = new Command("clear")
    .description("Removes what is made again by itself (graphs, int8, hashes), or the kinds that are named.")
    .argument("[kinds...]", `of ${cacheKinds.join(", ")}`)
    .option("--older-than <days>", "only what was not used for so many days", wholeNumber)
    .action((kinds: string[], { olderThan = 0 }: { olderThan?: number }) => {
      const chosen =
        kinds.length > 0 ? kinds.map(kindOf) : cacheKinds.filter((kind) => kind !== "libtorch" && kind !== "other");
      const before = Date.now() - olderThan * 86_400_000;
      const gone = cacheEntries().filter(({ kind, usedMs }) => chosen.includes(kind) && usedMs <= before);
      for (const { path } of gone) rmSync(path, { recursive: true, force: true });
      console.log(`removed ${gone.length} entries of ${chosen.join(", ")}, ${megabytes(gone)} MB`);
    });
  return new Command("cache")
    .description("Lists and clears what is kept between runs. Models of the Hub are in the Hub's own cache.")
    .addCommand(list, { isDefault: true })
    .addCommand(clear);
}

/** The cache's folder, then a line a kind: entries, megabytes, what it is. */
export function cacheText(entries: readonly CacheEntry[]): string {
  const lines = cacheKinds.map((kind) => {
    const own = entries.filter((entry) => entry.kind === kind);
    return `${kind.padEnd(8)} ${String(own.length).padStart(6)} ${megabytes(own).padStart(10)} MB  ${what[kind]}`;
  });
  return [userCache(), ...lines].join("\n");
}

function kindOf(name: string): CacheKind {
  const kind = cacheKinds.find((kind) => kind === name);
  if (kind) return kind;
  throw new Error(
    `cache clear: expected kinds of ${cacheKinds.join(", ")}, got ${name}\nWithout a kind graphs, int8 and hashes go.`,
  );
}

function megabytes(entries: readonly CacheEntry[]): string {
  return (entries.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1);
}
