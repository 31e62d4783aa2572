// Writing one token shard. Tokens go to a temporary file as they come, so a shard needs memory for its document offsets
// only; `finish` makes both files durable under their names, and the shard counts once its entry stands in a manifest. A
// shard left half written by a kill is overwritten by the next run.
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { namingPath, writeAll, writeFileAtomic } from "../../files/atomic.js";
import { type ShardEntry, shardFiles, type TokenArray } from "../manifest.js";

const bufferBytes = 1 << 20;

export class ShardWriter {
  tokens = 0;
  readonly #offsets: number[] = [0];
  readonly #hash = createHash("sha256");
  readonly #buffer = new Uint8Array(bufferBytes);
  #buffered = 0;
  readonly #tokensPath: string;
  readonly #offsetsPath: string;
  #file: number | undefined;

  constructor(folder: string, shard: number) {
    const files = shardFiles(shard);
    this.#tokensPath = join(folder, files.tokens);
    this.#offsetsPath = join(folder, files.offsets);
    this.#file = openSync(`${this.#tokensPath}.part`, "w");
  }

  get documents(): number {
    return this.#offsets.length - 1;
  }

  append(document: TokenArray): void {
    const bytes = new Uint8Array(document.buffer, document.byteOffset, document.byteLength);
    if (this.#buffered + bytes.length > bufferBytes) this.#flush();
    if (bytes.length > bufferBytes) this.#write(bytes);
    else {
      this.#buffer.set(bytes, this.#buffered);
      this.#buffered += bytes.length;
    }
    this.tokens += document.length;
    this.#offsets.push(this.tokens);
  }

  /** Syncs the shard's files, gives them their names, and returns the shard's entry for the manifest. */
  finish(): ShardEntry {
    this.#flush();
    fsyncSync(this.#file!);
    this.#close();
    renameSync(`${this.#tokensPath}.part`, this.#tokensPath);
    writeFileAtomic(this.#offsetsPath, new Uint8Array(Uint32Array.from(this.#offsets).buffer)); // syncs the folder too
    return { documents: this.documents, tokens: this.tokens, sha256: this.#hash.digest("hex") };
  }

  /** Closes and removes what was written; also after a `finish` that failed. */
  discard(): void {
    this.#close();
    rmSync(`${this.#tokensPath}.part`, { force: true });
  }

  #close(): void {
    const file = this.#file;
    this.#file = undefined; // first: a close that fails has closed it too
    if (file !== undefined) closeSync(file);
  }

  #flush(): void {
    if (this.#buffered > 0) this.#write(this.#buffer.subarray(0, this.#buffered));
    this.#buffered = 0;
  }

  #write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    namingPath(this.#tokensPath, () => writeAll(this.#file!, bytes));
  }
}
