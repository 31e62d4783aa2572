// Reading token shards: documents by number, by positioned reads on the files. Nothing but the manifest is held in memory
// (the kernel's page cache is the cache), and few files are open at once, so a folder may be of any size. The format is in
// manifest.ts.
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { readJsonFile } from "../files/input-file.js";
import { partNamed } from "../files/part.js";
import { filesOfShard, type Manifest, manifestFile, manifestSchema, newTokenArray, type TokenArray } from "./manifest.js";

const maxOpenFiles = 64;

/**
 * The token shards of a folder that `prepareData` made (its `train` or `validation`). Throws if the manifest is absent or
 * not valid, or if a shard's files are absent or not of the size that the manifest gives.
 */
export function openShards(folder: string): TokenShards {
  const path = join(folder, manifestFile);
  if (!existsSync(path)) throw new Error(missingManifest(folder));
  let json: unknown;
  try {
    json = readJsonFile(path);
  } catch (error) {
    throw new Error(`openShards: expected JSON in ${path}, got ${(error as Error).message}`);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new Error(
      `openShards: expected a token manifest of version 1 in ${path}, got ${issue.path.join(".") || "the file"}: ${issue.message}\n` +
        "Prepare the data again with this version: neobert data prepare --force",
    );
  }
  return new TokenShards(folder, parsed.data);
}

function missingManifest(folder: string): string {
  const start = `openShards: expected ${manifestFile} in ${folder}, got no such file\n`;
  if (existsSync(join(folder, "train", manifestFile)))
    return `${start}Name one of its splits: ${join(folder, "train")}`;
  const parts = [folder, join(folder, "..")].find((path) => existsSync(path) && readdirSync(path).some(partNamed));
  if (parts !== undefined) return `${start}Its parts are not merged: neobert data merge ${parts}`;
  if (existsSync(join(folder, "..", "prepare.json"))) {
    return `${start}The preparation was not finished: run the same \`neobert data prepare\` again and it goes on from there.`;
  }
  return `${start}Make it with: neobert data prepare SOURCES... --tokenizer FOLDER --out FOLDER`;
}

export class TokenShards {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Hash of what decides the documents, the sha256 of each shard among it: equal fingerprints mean equal data. */
  readonly fingerprint: string;
  readonly #firstDocuments: number[] = [0];
  readonly #open = new Map<string, number>();

  constructor(folder: string, manifest: Manifest) {
    this.folder = folder;
    this.manifest = manifest;
    const { tokenizer, settings, shards } = manifest;
    const contents = shards.map(({ documents, tokens, sha256 }) => ({ documents, tokens, sha256 }));
    this.fingerprint = createHash("sha256")
      .update(JSON.stringify({ tokenizer, settings, shards: contents }))
      .digest("hex");
    for (const key of ["documents", "tokens"] as const) {
      const sum = shards.reduce((sum, shard) => sum + shard[key], 0);
      if (manifest[key] !== sum) {
        throw new Error(
          `openShards: expected ${sum} ${key} in ${join(folder, manifestFile)}, the sum of its shards, got ${manifest[key]}\n` +
            "Copy the file again, or prepare the data again: neobert data prepare --force",
        );
      }
    }
    for (const [shard, { documents, tokens }] of manifest.shards.entries()) {
      const files = filesOfShard(this.manifest, shard);
      this.#checkSize(files.tokens, tokens * this.#bytesPerToken);
      this.#checkSize(files.offsets, (documents + 1) * 4);
      this.#firstDocuments.push(this.#firstDocuments[shard]! + documents);
    }
  }

  get documents(): number {
    return this.manifest.documents;
  }

  get tokens(): number {
    return this.manifest.tokens;
  }

  /** The token ids of one document, without [CLS] and [SEP]. */
  document(index: number): TokenArray {
    return this.read(index, 0, this.lengths(index, 1)[0]!);
  }

  /** `length` token ids of a document from its token `start` on; the caller keeps to the document's length. */
  read(document: number, start: number, length: number): TokenArray {
    const shard = this.#shardOf(document);
    const files = filesOfShard(this.manifest, shard);
    const offset = this.#offsets(shard, document - this.#firstDocuments[shard]!, 1)[0]!;
    const tokens = newTokenArray(this.manifest.dtype, length);
    this.#readInto(files.tokens, tokens, (offset + start) * this.#bytesPerToken);
    return tokens;
  }

  /** The lengths in tokens of `count` documents from `first` on. */
  lengths(first: number, count: number): Uint32Array {
    if (first < 0 || count < 0 || first + count > this.documents) {
      throw new RangeError(
        `TokenShards.lengths: expected documents below ${this.documents}, got ${first} to ${first + count - 1}`,
      );
    }
    const lengths = new Uint32Array(count);
    for (let done = 0; done < count; ) {
      const shard = this.#shardOf(first + done);
      const local = first + done - this.#firstDocuments[shard]!;
      const here = Math.min(count - done, this.#firstDocuments[shard + 1]! - first - done);
      const offsets = this.#offsets(shard, local, here + 1);
      for (let i = 0; i < here; i++) lengths[done + i] = offsets[i + 1]! - offsets[i]!;
      done += here;
    }
    return lengths;
  }

  close(): void {
    for (const file of this.#open.values()) closeSync(file);
    this.#open.clear();
  }

  get #bytesPerToken(): number {
    return this.manifest.dtype === "uint16" ? 2 : 4;
  }

  #shardOf(document: number): number {
    if (!(document >= 0 && document < this.documents)) {
      throw new RangeError(`TokenShards: expected a document below ${this.documents}, got ${document}`);
    }
    let [low, high] = [0, this.manifest.shards.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#firstDocuments[middle]! <= document) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #offsets(shard: number, first: number, count: number): Uint32Array {
    const offsets = new Uint32Array(count);
    const { offsets: name } = filesOfShard(this.manifest, shard);
    this.#readInto(name, offsets, first * 4);
    const { tokens } = this.manifest.shards[shard]!;
    const wrong = offsets.findIndex((offset, i) => offset > (offsets[i + 1] ?? tokens));
    if (wrong < 0) return offsets;
    throw new Error(
      `TokenShards: expected offsets of ${join(this.folder, name)} that rise to ${tokens}, got ${offsets[wrong]} before ` +
        `${offsets[wrong + 1] ?? tokens} at document ${first + wrong}\nCopy the file again, or prepare the data again: neobert data prepare --force`,
    );
  }

  #readInto(name: string, target: TokenArray | Uint32Array, position: number): void {
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    const file = this.#fileOf(name);
    for (let done = 0; done < bytes.length; ) {
      const got = readSync(file, bytes, done, bytes.length - done, position + done);
      if (got === 0) {
        throw new Error(
          `TokenShards: expected ${bytes.length} bytes at ${position} of ${join(this.folder, name)}, got ${done}\n` +
            "The file was changed after it was opened: prepare the data again.",
        );
      }
      done += got;
    }
  }

  /** Keeps the last used files open: a Map iterates in the order of insertion, so its first key is the least recent. */
  #fileOf(name: string): number {
    let file = this.#open.get(name);
    if (file === undefined) {
      if (this.#open.size >= maxOpenFiles) {
        const [oldest, oldFile] = this.#open.entries().next().value!;
        closeSync(oldFile);
        this.#open.delete(oldest);
      }
      file = openSync(join(this.folder, name), "r");
    } else {
      this.#open.delete(name);
    }
    this.#open.set(name, file);
    return file;
  }

  #checkSize(name: string, bytes: number): void {
    const path = join(this.folder, name);
    const got = existsSync(path) ? `${statSync(path).size} bytes` : "no such file";
    if (got !== `${bytes} bytes`) {
      throw new Error(
        `openShards: expected ${path} of ${bytes} bytes as its manifest says, got ${got}\n` +
          "Copy the file again, or prepare the data again: neobert data prepare --force",
      );
    }
  }
}
