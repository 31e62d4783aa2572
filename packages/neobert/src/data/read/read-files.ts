// Which files a source means, in which order, and what is in them. A source is a file, a folder (all readable files
// under it), a pattern, or `hf://datasets/OWNER/NAME[@REVISION][/PATTERN]` on the Hub. The order depends on names
// alone, so the same sources give the same documents in the same order on every machine.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { globToRegExp, isGlob, walkFiles } from "../../files/glob.js";
import type { HubOptions } from "../../hub/resolve.js";

export type SourceFormat = "text" | "jsonl" | "json" | "csv" | "tsv" | "parquet";

const FORMATS: Record<string, SourceFormat> = {
  txt: "text",
  text: "text",
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

const HUB_PREFIX = "hf://datasets/";

/** Format told by a file's name, with or without `.gz` or `.zst` after it, or null where the name does not tell. */
export function sourceFormat(path: string): SourceFormat | null {
  const extension = /\.([^./\\]+)(?:\.(?:gz|zst))?$/i.exec(path)?.[1];
  return FORMATS[extension?.toLowerCase() ?? ""] ?? null;
}

/**
 * The files that local sources mean: sources in the order given, the files of each sorted by path, each file once.
 * A folder stands for the readable files under it at any depth; hidden names are left out.
 * Throws where a source does not exist or holds nothing readable.
 */
export function listSourceFiles(sources: string | string[]): string[] {
  const files = [sources].flat().flatMap((source) => {
    if (source.startsWith(HUB_PREFIX)) {
      throw new Error(
        `listSourceFiles: expected local sources, got ${source}\nFetch it first: fetchSources gives its local files.`,
      );
    }
    if (source === "-") return [source]; // standard input
    if (existsSync(source)) return statSync(source).isDirectory() ? filesOfFolder(source) : [source];
    if (isGlob(source)) return filesOfGlob(source);
    throw new Error(
      `${source}: expected a file, a folder or a pattern, got a name that does not exist\nPaths are relative to ${process.cwd()}.`,
    );
  });
  return [...new Set(files)];
}

/** As `listSourceFiles`, but downloads `hf://` sources into the local Hugging Face cache first and lists their files there. */
export async function fetchSources(sources: string | string[], options: HubOptions = {}): Promise<string[]> {
  const files = new Set<string>();
  const add = (paths: string[]) => {
    for (const path of paths) files.add(path);
  };
  for (const source of [sources].flat()) {
    if (!source.startsWith(HUB_PREFIX)) {
      add(listSourceFiles(source));
      continue;
    }
    const match = /^([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.+))?$/.exec(source.slice(HUB_PREFIX.length));
    if (!match) throw new Error(`${source}: expected ${HUB_PREFIX}OWNER/NAME[@REVISION][/PATTERN], got another form`);
    const [, name, revision, pattern] = match;
    const { resolveDataset } = await import("../../hub/resolve.js");
    const readable = Object.keys(FORMATS).flatMap((extension) => [
      `**/*.${extension}`,
      `**/*.${extension}.gz`,
      `**/*.${extension}.zst`,
    ]);
    const found = await resolveDataset(name!, {
      ...options,
      ...(revision && { revision }),
      files: pattern ? [pattern] : readable,
    });
    add(found);
  }
  return [...files];
}

/** SHA-256 of a file's bytes as they lie on the disk, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("hex");
}

function filesOfFolder(folder: string): string[] {
  const files = walkFiles(folder).filter((path) => sourceFormat(path) !== null);
  if (files.length > 0) return files.map((path) => join(folder, path));
  throw new Error(
    `${folder}: expected files ending in ${Object.keys(FORMATS).join(", ")} (plain, .gz or .zst), got none\n` +
      "Name the files by a pattern and pass their format.",
  );
}

function filesOfGlob(pattern: string): string[] {
  const segments = pattern.split("/");
  const fixed = segments.findIndex(isGlob);
  const folder = segments.slice(0, fixed).join("/") || (pattern.startsWith("/") ? "/" : ".");
  const rest = segments.slice(fixed);
  const depth = rest.some((segment) => segment.includes("**")) ? Number.POSITIVE_INFINITY : rest.length;
  const matches = globToRegExp(rest.join("/"));
  const files = existsSync(folder) ? walkFiles(folder, depth).filter((path) => matches.test(path)) : [];
  if (files.length > 0) return files.map((path) => (fixed === 0 ? path : join(folder, path)));
  throw new Error(`${pattern}: expected files that match the pattern, got none\nThe search began in ${folder}.`);
}
