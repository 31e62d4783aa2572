// Which files a source means, in which order, and what is in them. A source is a file, a folder (all readable files
// under it), a pattern, or `hf://datasets/OWNER/NAME[@REVISION][/PATTERN]` on the Hub. The order depends on names
// alone, so the same sources give the same documents in the same order on every machine.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { globToRegExp, isGlob, walkFiles } from "../../files/glob.js";
import { InputError } from "../../files/input-error.js";
import type { Part } from "../../files/part.js";
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
  for (const source of [sources].flat()) {
    const hub = hubSource(source);
    const found = hub
      ? await (await import("../../hub/resolve.js")).resolveDataset(hub.name, { ...options, ...hub })
      : listSourceFiles(source);
    for (const path of found) files.add(path);
  }
  return [...files];
}

/** The files of one part of the sources: consecutive ones of all files, of which it begins with number `firstFile`. */
export interface PartFiles {
  files: string[];
  firstFile: number;
  /** Hash of the names and sizes of all files: parts of one division agree in it. */
  listing: string;
}

/**
 * As `fetchSources`, of one part: all files are listed, and cut between files into parts of nearly equal bytes, of which
 * this one's are downloaded. Throws where there are fewer files than parts.
 */
export async function fetchPart(sources: string | string[], part: Part, options: HubOptions = {}): Promise<PartFiles> {
  const { listDataset, resolveDataset } = await import("../../hub/resolve.js");
  const listed = new Map<string, { source: string; path: string; bytes: number }>();
  for (const source of new Set([sources].flat())) {
    const hub = hubSource(source);
    const found = hub
      ? await listDataset(hub.name, { ...options, ...hub })
      : listSourceFiles(source).map((path) => ({ path, bytes: statSync(path).size }));
    const place = hub ? `${hub.name}@${hub.revision} ` : "";
    for (const { path, bytes } of found)
      if (!listed.has(place + path)) listed.set(place + path, { source, path, bytes });
  }
  const all = [...listed.values()];
  const [first, end] = rangeOfPart(
    all.map(({ bytes }) => bytes),
    part,
  );
  const own = all.slice(first, end);
  const files: string[] = [];
  for (const source of new Set(own.map(({ source }) => source))) {
    const paths = new Set(own.filter((file) => file.source === source).map(({ path }) => path));
    const hub = hubSource(source);
    const choose = (all: string[]) => all.filter((path) => paths.has(path));
    const found = hub ? await resolveDataset(hub.name, { ...options, ...hub, files: choose }) : [...paths];
    if (found.length !== paths.size) {
      throw new InputError(
        `${source}: expected the ${paths.size} files that were listed, got ${found.length}\nName a commit: @REVISION.`,
      );
    }
    files.push(...found);
  }
  const names = all.map(({ path, bytes }) => [basename(path), bytes]);
  return { files, firstFile: first, listing: createHash("sha256").update(JSON.stringify(names)).digest("hex") };
}

/** Where a part begins and ends among files of these bytes: cuts nearest to equal shares that leave no part without a file. */
export function rangeOfPart(bytes: readonly number[], { number, of }: Part): [number, number] {
  if (of > bytes.length) {
    throw new InputError(
      `fetchPart: expected at least as many files as parts, got ${bytes.length} files for ${of} parts\n` +
        "A file is not divided: take fewer parts, or cut the files.",
    );
  }
  const total = bytes.reduce((sum, size) => sum + size, 0);
  const cuts = [0];
  let [file, before] = [0, 0];
  for (let cut = 1; cut < of; cut++) {
    const target = (total * cut) / of;
    while (file <= cuts[cut - 1]! || before + bytes[file]! / 2 <= target) {
      if (file >= bytes.length - (of - cut)) break;
      before += bytes[file++]!;
    }
    cuts.push(file);
  }
  cuts.push(bytes.length);
  return [cuts[number - 1]!, cuts[number]!];
}

/** The options of `resolveDataset` that an `hf://` source means; undefined for a local one. */
function hubSource(source: string): { name: string; revision?: string; files: string[] } | undefined {
  if (!source.startsWith(HUB_PREFIX)) return undefined;
  const match = /^([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.+))?$/.exec(source.slice(HUB_PREFIX.length));
  if (!match)
    throw new InputError(`${source}: expected ${HUB_PREFIX}OWNER/NAME[@REVISION][/PATTERN], got another form`);
  const [, name, revision, pattern] = match;
  const readable = Object.keys(FORMATS).flatMap((extension) => [
    `**/*.${extension}`,
    `**/*.${extension}.gz`,
    `**/*.${extension}.zst`,
  ]);
  return { name: name!, ...(revision && { revision }), files: pattern ? [pattern] : readable };
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
  throw new InputError(
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
  throw new InputError(`${pattern}: expected files that match the pattern, got none\nThe search began in ${folder}.`);
}
