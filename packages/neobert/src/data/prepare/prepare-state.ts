// The state of a preparation (`prepare.json` in its folder): what is being made from what, which shards are finished, and
// where in the input the next one begins. It is replaced atomically after every shard, so a kill loses at most the shard
// in progress; and it tells a second run with other settings or inputs from one that has nothing left to do.
import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../files/atomic.js";
import { readJsonFile } from "../../files/input-file.js";
import { settingsSchema, shardSchema, sourceFileSchema, specialIdsSchema, tokenizerSchema } from "../manifest.js";
import { hashFile } from "../read/read.js";

const stateFile = "prepare.json";
const count = z.int().nonnegative();

const stateSchema = z.strictObject({
  format: z.literal("neobert-prepare"),
  /** 1 named a document held out by its number in the whole input, 2 by its file and its number there. */
  version: z.union([z.literal(1), z.literal(2)]),
  settings: settingsSchema,
  tokenizer: tokenizerSchema,
  specialIds: specialIdsSchema,
  sources: z.array(z.strictObject({ ...sourceFileSchema.shape, modifiedMs: z.number() })),
  /** Of a preparation in parts: which one, the number of its first file among all, and the hash of all their names and sizes. */
  part: z.strictObject({ number: count, of: count, firstFile: count, listing: z.string() }).exactOptional(),
  /** The first document of the next shard: file, its number in the file and in the whole input. */
  position: z.strictObject({ file: count, documentInFile: count, document: count }),
  dropped: z.strictObject({ short: count, long: count }),
  shards: z.strictObject({ train: z.array(shardSchema), validation: z.array(shardSchema) }),
  complete: z.boolean(),
});
export type PrepareState = z.infer<typeof stateSchema>;

export const hasState = (out: string): boolean => existsSync(join(out, stateFile));

/** The state in a folder, or undefined where there is none. Throws if the file is not one of ours. */
export function readState(out: string): PrepareState | undefined {
  if (!hasState(out)) return undefined;
  const path = join(out, stateFile);
  try {
    return stateSchema.parse(readJsonFile(path));
  } catch (error) {
    throw new Error(
      `prepareData: expected the state of a preparation in ${path}, got ${(error as Error).message}\n` +
        "Use another folder, or `force` to make this one anew.",
    );
  }
}

export function writeState(out: string, state: PrepareState): void {
  writeFileAtomic(join(out, stateFile), `${JSON.stringify(state, null, 1)}\n`);
}

/** Size, time and sha256 of each file; a file whose size and time are as in `known` is not read again. */
export async function hashSources(
  files: string[],
  known: PrepareState["sources"],
  onFile: (filesDone: number) => void,
): Promise<PrepareState["sources"]> {
  const sources: PrepareState["sources"] = [];
  for (const path of files) {
    onFile(sources.length);
    const stat = statSync(path);
    const { size: bytes, mtimeMs: modifiedMs } = stat;
    if (!stat.isFile()) {
      throw new Error(`${path}: expected a file, which is hashed and then read, got a pipe\nSave it as a file first.`);
    }
    const same = known.find((file) => file.path === path && file.bytes === bytes && file.modifiedMs === modifiedMs);
    sources.push({ path, bytes, sha256: same?.sha256 ?? (await hashFile(path)), modifiedMs });
  }
  return sources;
}

/** Something that decides the tokens, as two states have it. */
export interface Difference {
  name: string;
  before: string;
  after: string;
}

/** Everything that decides the tokens and differs between two states. */
export function differences(before: PrepareState, after: PrepareState): Difference[] {
  const found = settingDifferences(before, after);
  const count = Math.max(before.sources.length, after.sources.length);
  for (let file = 0; file < count; file++) {
    // A file may have moved, but its name tells its format.
    compare(found, `source ${file + 1}`, identityOf(before.sources[file]), identityOf(after.sources[file]));
  }
  return found;
}

/** Of these, what all parts of a preparation have in common. */
export function settingDifferences(before: PrepareState, after: PrepareState): Difference[] {
  const found: Difference[] = [];
  for (const key of Object.keys(after.settings) as (keyof PrepareState["settings"])[]) {
    compare(found, key, before.settings[key], after.settings[key]);
  }
  compare(found, "tokenizer", before.tokenizer.hash, after.tokenizer.hash);
  compare(found, "names and sizes of all parts' files", before.part?.listing, after.part?.listing);
  return found;
}

function compare(found: Difference[], name: string, before: unknown, after: unknown): void {
  if (JSON.stringify(before) !== JSON.stringify(after)) found.push({ name, before: show(before), after: show(after) });
}

const identityOf = (file: PrepareState["sources"][number] | undefined) =>
  file && `${basename(file.path)} ${file.sha256}`;

const show = (value: unknown) => (value === undefined ? "none" : JSON.stringify(value));
