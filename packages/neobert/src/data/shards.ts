// Reading token shards: documents by number, by positioned reads on the files of a folder or of an address (shard-files.ts).
// Nothing but the manifest is held in memory. The format is in manifest.ts.
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../files/input-error.js";
import { parseJson, readJsonFile } from "../files/input-file.js";
import { partNamed } from "../files/part.js";
import { isAddress } from "../hub/address.js";
import {
  filesOfShard,
  type Manifest,
  manifestFile,
  manifestSchema,
  newTokenArray,
  type TokenArray,
} from "./manifest.js";
import { RemoteFiles } from "./remote/remote-files.js";
import { LocalShardFiles, RemoteShardFiles, type ShardFiles } from "./shard-files.js";

/** Bytes of the largest manifest: a shard has 200. */
const mostManifestBytes = 400_000_000;

export interface OpenShardsOptions {
  /** Bytes of disk that tokens read from an address may take at once; default 4 GiB. */
  cacheBytes?: number | undefined;
}

/**
 * The token shards of a folder that `prepareData` made (its `train` or `validation`), or of such a folder at an address:
 * `hf://datasets/OWNER/NAME[@REVISION]/FOLDER` or `https://...`. Throws if the manifest is absent or not valid, or if a
 * shard's files are absent or not of the size that the manifest gives (at an address, when they are first read).
 */
export function openShards(folder: string, { cacheBytes }: OpenShardsOptions = {}): TokenShards {
  if (isAddress(folder)) return openRemoteShards(folder.replace(/\/+$/, ""), cacheBytes);
  const path = join(folder, manifestFile);
  if (!existsSync(path)) throw new InputError(missingManifest(folder));
  const manifest = parseManifest(path, () => readJsonFile(path));
  return new TokenShards(folder, manifest, () => new LocalShardFiles(folder, manifest));
}

function openRemoteShards(address: string, cacheBytes: number | undefined): TokenShards {
  const remote = new RemoteFiles(address, cacheBytes);
  try {
    const path = `${address}/${manifestFile}`;
    const bytes = remote.small(manifestFile, mostManifestBytes);
    if (bytes === undefined) {
      throw new InputError(
        `openShards: expected ${manifestFile} at ${address}, got no such file\n` +
          `Name a folder that \`neobert data prepare\` made, as one of its splits: ${address}/train`,
      );
    }
    const manifest = parseManifest(path, () => parseJson(Buffer.from(bytes).toString(), path));
    return new TokenShards(address, manifest, (fingerprint) => new RemoteShardFiles(remote, manifest, fingerprint));
  } catch (error) {
    remote.close();
    throw error;
  }
}

function parseManifest(path: string, read: () => unknown): Manifest {
  let json: unknown;
  try {
    json = read();
  } catch (error) {
    throw new InputError(`openShards: expected JSON in ${path}, got ${(error as Error).message}`);
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new InputError(
    `openShards: expected a token manifest of version 1 in ${path}, got ${issue.path.join(".") || "the file"}: ${issue.message}\n` +
      "Prepare the data again with this version: neobert data prepare --force",
  );
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
  readonly #files: ShardFiles;

  constructor(folder: string, manifest: Manifest, files: (fingerprint: string) => ShardFiles) {
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
        throw new InputError(
          `openShards: expected ${sum} ${key} in ${join(folder, manifestFile)}, the sum of its shards, got ${manifest[key]}\n` +
            "Copy the file again, or prepare the data again: neobert data prepare --force",
        );
      }
    }
    for (const [shard, { documents }] of manifest.shards.entries()) {
      this.#firstDocuments.push(this.#firstDocuments[shard]! + documents);
    }
    this.#files = files(this.fingerprint);
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
    const { shard, position } = this.#placeOf(document, start);
    const tokens = newTokenArray(this.manifest.dtype, length);
    this.#files.readTokens(shard, bytesOf(tokens), position);
    return tokens;
  }

  /** Says that `read` will be asked for these tokens soon: what has to be fetched is then under way. */
  prefetch(document: number, start: number, length: number): void {
    if (this.#files.prefetch === undefined) return;
    const { shard, position } = this.#placeOf(document, start);
    this.#files.prefetch(shard, position, length * this.#bytesPerToken);
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
    this.#files.close();
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

  /** The shard of a document, and the byte of its tokens where token `start` of the document begins. */
  #placeOf(document: number, start: number): { shard: number; position: number } {
    const shard = this.#shardOf(document);
    const offset = this.#offsets(shard, document - this.#firstDocuments[shard]!, 1)[0]!;
    return { shard, position: (offset + start) * this.#bytesPerToken };
  }

  #offsets(shard: number, first: number, count: number): Uint32Array {
    const offsets = new Uint32Array(count);
    this.#files.readOffsets(shard, bytesOf(offsets), first * 4);
    const { tokens } = this.manifest.shards[shard]!;
    for (let i = 0; i < count; i++) {
      const next = i + 1 < count ? offsets[i + 1]! : tokens;
      if (offsets[i]! > next) throw this.#notRising(shard, first + i, offsets[i]!, next);
    }
    return offsets;
  }

  #notRising(shard: number, document: number, offset: number, next: number): Error {
    const { offsets } = filesOfShard(this.manifest, shard);
    const path = isAddress(this.folder) ? `${this.folder}/${offsets}` : join(this.folder, offsets);
    return new Error(
      `TokenShards: expected offsets of ${path} that rise to ${this.manifest.shards[shard]!.tokens}, got ${offset} before ` +
        `${next} at document ${document}\nCopy the file again, or prepare the data again: neobert data prepare --force`,
    );
  }
}

const bytesOf = (array: TokenArray | Uint32Array<ArrayBuffer>) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
