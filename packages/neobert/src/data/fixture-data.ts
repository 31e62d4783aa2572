// For tests: token shards written from arrays of token ids, without text or tokenizer.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Manifest, type ManifestIds, manifestFile, newTokenArray, tokenType } from "./manifest.js";
import { ShardWriter } from "./prepare/shard-writer.js";

export const fixtureSpecialIds: ManifestIds = { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

/** A new temporary folder with the documents in shards of `documentsPerShard`. */
export function writeFixtureShards(
  documents: number[][],
  { documentsPerShard = 100, vocabSize = 1000, tokenizerHash = "fixture" } = {},
): string {
  const folder = mkdtempSync(join(tmpdir(), "neobert-shards-"));
  const dtype = tokenType(vocabSize - 1);
  const shards: Manifest["shards"] = [];
  for (let first = 0; first < documents.length; first += documentsPerShard) {
    const writer = new ShardWriter(folder, shards.length);
    for (const ids of documents.slice(first, first + documentsPerShard)) {
      const tokens = newTokenArray(dtype, ids.length);
      tokens.set(ids);
      writer.append(tokens);
    }
    shards.push(writer.finish());
  }
  const manifest: Manifest = {
    format: "neobert-tokens",
    version: 1,
    split: "train",
    dtype,
    documents: documents.length,
    tokens: documents.reduce((sum, { length }) => sum + length, 0),
    tokenizer: { hash: tokenizerHash, vocabSize },
    specialIds: fixtureSpecialIds,
    settings: {
      format: null,
      column: "text",
      header: true,
      split: "file",
      minTokens: 1,
      maxTokens: null,
      shardTokens: 1000,
      validation: null,
    },
    sources: [],
    shards,
  };
  writeFileSync(join(folder, manifestFile), JSON.stringify(manifest));
  return folder;
}

/** Documents of the given lengths whose tokens run through the ids from `firstId` to 999. */
export function countingDocuments(lengths: number[], firstId = 5): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => firstId + (next++ % (1000 - firstId))));
}
