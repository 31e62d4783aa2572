// The parts of a preparation become one folder: a manifest for each split that lists the shards of all parts, in the order
// of the files that they were made from. Nothing is copied; the parts stay where they are and are read there. What a run
// reads, and in which order, follows from this manifest alone, whoever prepared which part and when.
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.js";
import { lockFolder } from "../../files/folder-lock.js";
import { InputError } from "../../files/input-error.js";
import { type Part, partName, partsAmong, partsText, partText } from "../../files/part.js";
import { loadTokenizer, saveTokenizer } from "../../tokenizer/index.js";
import { type Manifest, manifestFile } from "../manifest.js";
import { openShards } from "../shards.js";
import { type ShardSplit, wantedSplits } from "./prepare.js";
import { hasState, type PrepareState, readState, settingDifferences } from "./prepare-state.js";

export interface MergeResult {
  parts: number;
  splits: { folder: string; documents: number; tokens: number; shards: number }[];
}

/** Which parts lie in a folder, and which of them are whole: `of` is 0 where there is none. */
export function partsIn(out: string): { of: number; finished: Part[]; unfinished: Part[]; missing: Part[] } {
  const { of, there, missing } = partsAmong(existsSync(out) ? readdirSync(out) : [], out);
  const isFinished = (part: Part) => readState(join(out, partName(part)))?.complete === true;
  const finished = there.filter(isFinished);
  return { of, finished, unfinished: there.filter((part) => !finished.includes(part)), missing };
}

/**
 * Makes `out/train` and `out/validation` of the parts in `out`. Throws, naming them, where parts are missing or not finished,
 * where they were made with other settings or of other files, and where `out` holds a preparation that is not in parts.
 */
export function mergeParts(out: string): MergeResult {
  const { of, finished, unfinished, missing } = partsIn(out);
  if (of === 0) {
    throw new InputError(
      `${out}: expected folders of parts, such as ${partName({ number: 1, of: 4 })}, got none\n` +
        "Make them with: neobert data prepare SOURCES... --part 1/4, and so on",
    );
  }
  if (finished.length < of) {
    const lacking = [
      ...(missing.length > 0 ? [`missing: ${partsText(missing)}`] : []),
      ...(unfinished.length > 0 ? [`not finished: ${partsText(unfinished)}`] : []),
    ];
    const next = partText([...missing, ...unfinished][0]!);
    throw new InputError(
      `${out}: expected ${of} finished parts, got ${finished.length} (${lacking.join("; ")})\n` +
        `Prepare them with the command of the others and --part ${next}; what is begun goes on.`,
    );
  }
  const states = finished.map((part) => readState(join(out, partName(part)))!);
  const [first] = states as [PrepareState];
  for (const [index, state] of states.entries()) {
    const [one, other] = [partText(finished[0]!), partText(finished[index]!)];
    const lines = settingDifferences(first, state).map(
      ({ name, before, after }) => `${name}: ${before} in part ${one}, ${after} in part ${other}`,
    );
    if (lines.length === 0) continue;
    throw new InputError(
      `${out}: expected parts of one preparation, got others\n  ${lines.join("\n  ")}\n` +
        "Prepare one of them again with the settings and files of the other: --force",
    );
  }
  const release = lockFolder(out);
  try {
    const splits = wantedSplits(first.settings);
    refuseForeign(out, splits);
    const merged = splits.map((split) => mergedManifest(out, split, finished));
    for (const manifest of merged) {
      const folder = join(out, manifest.split);
      mkdirSync(folder, { recursive: true });
      writeFileAtomic(join(folder, manifestFile), `${JSON.stringify(manifest, null, 1)}\n`);
    }
    saveTokenizer(loadTokenizer(join(out, partName(finished[0]!), "tokenizer")), join(out, "tokenizer"));
    const counts = merged.map(({ split, documents, tokens, shards }) => ({
      folder: join(out, split),
      documents,
      tokens,
      shards: shards.length,
    }));
    return { parts: of, splits: counts };
  } finally {
    release();
  }
}

function mergedManifest(out: string, split: ShardSplit, parts: readonly Part[]): Manifest {
  const manifests = parts.map((part) => {
    const shards = openShards(join(out, partName(part), split)); // whole, by the sizes of its files
    shards.close();
    return shards.manifest;
  });
  const shards = manifests.flatMap((manifest, index) =>
    manifest.shards.map((shard, number) => ({ ...shard, part: partName(parts[index]!), number })),
  );
  const sum = (key: "documents" | "tokens") => shards.reduce((sum, shard) => sum + shard[key], 0);
  const merged: Manifest = {
    ...manifests[0]!,
    documents: sum("documents"),
    tokens: sum("tokens"),
    sources: manifests.flatMap(({ sources }) => sources),
    shards,
  };
  if (merged.documents > 0) return merged;
  throw new InputError(
    `${out}: expected documents for ${split} in some of the ${parts.length} parts, got none\n` +
      "Prepare them with other length filters, or another validation fraction or seed.",
  );
}

/** Throws where what the merge makes is there, but not of a merge. */
function refuseForeign(out: string, splits: readonly ShardSplit[]): void {
  const folders = splits.map((split) => join(out, split)).filter((folder) => existsSync(folder));
  const foreign = hasState(out)
    ? out
    : folders.find((folder) => readdirSync(folder).some((name) => name !== manifestFile));
  if (foreign === undefined) return;
  throw new InputError(
    `${out}: expected a folder of parts alone, got a preparation that is not in parts in ${foreign}\n` +
      "Move the folders of the parts into one of their own.",
  );
}
