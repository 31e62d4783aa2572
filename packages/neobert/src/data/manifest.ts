// The manifest of a folder of token shards (`manifest.json`): what the numbers in its files are and where they came from.
// A shard is two flat little-endian files: `tokens-00000.bin`, the documents' token ids one after another without [CLS] and
// [SEP], and `offsets-00000.bin`, documents + 1 uint32 of where each document begins. Numpy reads both with `fromfile`.
// A preparation in parts has such folders for each part, and over them a manifest that lists the shards of all: nothing is copied.
import { z } from "zod";
import { partNamed } from "../files/part.js";
import { quoteStyles } from "./read/records.js";

export const manifestFile = "manifest.json";
export const shardFiles = (shard: number) => {
  const number = String(shard).padStart(5, "0");
  return { tokens: `tokens-${number}.bin`, offsets: `offsets-${number}.bin` };
};

const count = z.int().nonnegative();

export const specialIdsSchema = z.strictObject({
  ...{ cls: count, sep: count, mask: count, pad: count },
  unk: count.exactOptional(),
});
/** The ids of [CLS], [SEP], [MASK] and [PAD] in the tokenizer's vocabulary, and of [UNK] where a text can have one. */
export type ManifestIds = z.infer<typeof specialIdsSchema>;

export const sourceFileSchema = z.strictObject({ path: z.string(), bytes: count, sha256: z.string() });
export type SourceFile = z.infer<typeof sourceFileSchema>;

export const shardSchema = z.strictObject({
  documents: count,
  tokens: count,
  sha256: z.string(),
  /** In a merged manifest: the part's folder in which the shard's files lie, and the shard's number there. */
  part: z
    .string()
    .refine((name) => partNamed(name) !== undefined, "expected the name of a part")
    .exactOptional(),
  number: count.exactOptional(),
});
/** One shard's counts and the sha256 of its tokens file. */
export type ShardEntry = z.infer<typeof shardSchema>;

export const tokenizerSchema = z.strictObject({ hash: z.string(), vocabSize: count });

export const settingsSchema = z.strictObject({
  format: z.enum(["text", "jsonl", "json", "csv", "tsv", "parquet"]).nullable(),
  column: z.string(),
  header: z.boolean(),
  /** Absent where each format has its own. */
  quotes: z.enum(quoteStyles).exactOptional(),
  split: z.enum(["file", "line", "paragraph"]),
  minTokens: count,
  maxTokens: count.nullable(),
  shardTokens: count,
  validation: z.strictObject({ fraction: z.number(), seed: count }).nullable(),
});
/** The settings of `prepareData` that decide which tokens a folder holds. */
export type PrepareSettings = z.infer<typeof settingsSchema>;

export const manifestSchema = z.strictObject({
  format: z.literal("neobert-tokens"),
  version: z.literal(1),
  split: z.enum(["train", "validation"]),
  dtype: z.enum(["uint16", "uint32"]),
  documents: count,
  tokens: count,
  tokenizer: tokenizerSchema,
  specialIds: specialIdsSchema,
  settings: settingsSchema,
  sources: z.array(sourceFileSchema),
  shards: z.array(shardSchema),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** The files of a manifest's shard, as paths from the manifest's folder: beside it, or in the folder of a part. */
export function filesOfShard({ shards, split }: Manifest, shard: number): ReturnType<typeof shardFiles> {
  const { part, number = shard } = shards[shard]!;
  const { tokens, offsets } = shardFiles(number);
  const folder = part === undefined ? "" : `../${part}/${split}/`;
  return { tokens: folder + tokens, offsets: folder + offsets };
}

/** The narrowest type that holds every id up to the largest of a vocabulary, whose ids may have gaps: uint16 to 65,535. */
export const tokenType = (maxId: number): Manifest["dtype"] => (maxId < 65_536 ? "uint16" : "uint32");

export type TokenArray = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export const newTokenArray = (dtype: Manifest["dtype"], length: number): TokenArray =>
  dtype === "uint16" ? new Uint16Array(length) : new Uint32Array(length);
