// Vectors of texts, each computed once: by model and prompt, and by the text's hash. They are kept in files, so that a run that
// was killed goes on where it was, and what another task needs again is there. A run adds files of its own (its segment),
// so several may share a folder; a segment that was cut off counts up to its last whole vector.

import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
} from "node:fs";
import { join } from "node:path";
import { writeAll, writeFileAtomic } from "../../files/atomic.js";
import { readJsonObject } from "../../files/input-file.js";
import type { VectorRows } from "../evaluators/types.js";
import { pauses } from "../learn/slices.js";
import { KEY_BYTES, KeyTable } from "./key-table.js";

const CHUNK_TEXTS = 2048;
const CHUNK_CHARACTERS = 2 ** 20;

export interface CacheCall {
  /** Computes the vectors of texts that no one has computed yet. */
  compute: (texts: readonly string[], onProgress: (done: number) => void) => Promise<VectorRows>;
  /** Called with the number of the call's texts that are done, cached ones included. */
  onProgress?: (done: number) => void;
}

export class EmbeddingCache {
  readonly #folder: string | undefined;
  readonly #identity: string;
  readonly #stores = new Map<string, Promise<Store>>();
  readonly #opened: Store[] = [];

  /** `identity` is all that makes this model's vectors: weights, type, longest text. Without a folder nothing is kept. */
  constructor(folder: string | undefined, identity: string) {
    this.#folder = folder;
    this.#identity = identity;
  }

  /** The vectors of `texts` after `prompt`, row for row. Equal texts are computed once. */
  async encode(texts: readonly string[], prompt: string, call: CacheCall): Promise<VectorRows> {
    const store = this.#folder === undefined ? undefined : await this.#storeOf(prompt);
    const places = new Map<string, number[]>();
    const pause = pauses();
    for (const [row, text] of texts.entries()) {
      const rows = places.get(text);
      if (rows) rows.push(row);
      else places.set(text, [row]);
      const paused = pause();
      if (paused) await paused;
    }
    let result: { data: Float32Array; d: number } | undefined;
    let done = 0;
    const put = (text: string, vector: Float32Array) => {
      result ??= { data: new Float32Array(texts.length * vector.length), d: vector.length };
      for (const row of places.get(text)!) result.data.set(vector, row * result.d);
    };
    const missing: string[] = [];
    for (const [text, rows] of places) {
      const vector = store?.read(text);
      if (!vector) missing.push(text);
      else {
        put(text, vector);
        done += rows.length;
      }
      const paused = pause();
      if (paused) await paused;
    }
    if (done > 0) call.onProgress?.(done);
    for (const chunk of chunksOf(missing)) {
      const before = done;
      const share = chunk.reduce((sum, text) => sum + places.get(text)!.length, 0) / chunk.length;
      const { data, shape } = await call.compute(chunk, (count) => call.onProgress?.(before + count * share));
      if (shape[0] !== chunk.length || (result && shape[1] !== result.d)) {
        const wanted = `${chunk.length} vectors${result ? ` of ${result.d} values` : ""}`;
        throw new Error(`encode: expected ${wanted}, got ${shape[0]} of ${shape[1]}`);
      }
      store?.append(chunk, data, shape[1]);
      for (const [i, text] of chunk.entries()) put(text, data.subarray(i * shape[1], (i + 1) * shape[1]));
      done = before + chunk.length * share;
      call.onProgress?.(done);
    }
    return { data: result?.data ?? new Float32Array(0), shape: [texts.length, result?.d ?? 0] };
  }

  close(): void {
    for (const store of this.#opened.splice(0)) store.close();
    this.#stores.clear();
  }

  #storeOf(prompt: string): Promise<Store> {
    const name = createHash("sha256").update(`${this.#identity}\0${prompt}`).digest("hex").slice(0, 16);
    let opening = this.#stores.get(name);
    if (!opening) {
      const store = new Store(join(this.#folder!, name), { model: this.#identity, prompt });
      this.#opened.push(store);
      opening = store.readSegments().then(() => store);
      this.#stores.set(name, opening);
    }
    return opening;
  }
}

/** The vectors after one prompt: `about.json`, and segments of `NAME.keys` with `NAME.vectors` beside it. */
class Store {
  readonly #folder: string;
  readonly #places = new KeyTable();
  /** The open files of vectors, a segment each. */
  readonly #vectors: number[] = [];
  readonly #open: number[] = [];
  #dimension = 0;
  #segment: { number: number; keys: number; vectors: number; rows: number } | undefined;

  constructor(folder: string, about: { model: string; prompt: string }) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    const aboutFile = join(folder, "about.json");
    if (existsSync(aboutFile)) this.#dimension = readJsonObject<{ dimension: number }>(aboutFile).dimension;
    else writeFileAtomic(aboutFile, `${JSON.stringify({ ...about, dimension: 0 }, null, 2)}\n`);
  }

  /** Reads what earlier runs have kept: to be called once, before all else. */
  async readSegments(): Promise<void> {
    const names = readdirSync(this.#folder).filter((name) => name.endsWith(".keys"));
    for (const name of names) await this.#readSegment(name);
  }

  read(text: string): Float32Array | undefined {
    const place = this.#places.get(keyOf(text));
    if (!place) return undefined;
    const vector = new Float32Array(this.#dimension);
    readSync(
      this.#vectors[place.segment]!,
      new Uint8Array(vector.buffer),
      0,
      vector.byteLength,
      place.row * vector.byteLength,
    );
    return vector;
  }

  /** Adds vectors [n, d]: first themselves, then their keys, so that a key has its vector whenever the process ends. */
  append(texts: readonly string[], data: Float32Array, d: number): void {
    if (this.#dimension === 0) this.#setDimension(d);
    if (d !== this.#dimension) {
      throw new Error(`${this.#folder}: expected vectors of ${this.#dimension} values as before, got ${d}`);
    }
    this.#segment ??= this.#newSegment();
    const keys = texts.map(keyOf);
    writeAll(this.#segment.vectors, new Uint8Array(data.buffer, data.byteOffset, texts.length * d * 4));
    writeAll(this.#segment.keys, Buffer.concat(keys));
    for (const key of keys) this.#places.set(key, 0, this.#segment.number, this.#segment.rows++);
  }

  close(): void {
    for (const fd of this.#open) closeSync(fd);
  }

  #setDimension(d: number): void {
    this.#dimension = d;
    const file = join(this.#folder, "about.json");
    writeFileAtomic(file, `${JSON.stringify({ ...readJsonObject(file), dimension: d }, null, 2)}\n`);
  }

  #newSegment() {
    const base = join(this.#folder, randomBytes(6).toString("hex"));
    // The vectors first: a file of keys, by which others find the segment, always has them beside it.
    const vectors = openSync(`${base}.vectors`, "wx+");
    const keys = openSync(`${base}.keys`, "wx");
    this.#open.push(keys, vectors);
    return { number: this.#vectors.push(vectors) - 1, keys, vectors, rows: 0 };
  }

  async #readSegment(name: string): Promise<void> {
    const path = join(this.#folder, name);
    const vectors = path.replace(/\.keys$/, ".vectors");
    if (!existsSync(vectors)) return; // a kill between the two: nothing was kept
    const fd = openSync(vectors, "r");
    this.#open.push(fd);
    const whole = this.#dimension === 0 ? 0 : Math.floor(fstatSync(fd).size / (4 * this.#dimension));
    const number = this.#vectors.push(fd) - 1;
    let row = 0;
    // A chunk is of whole keys; the last may have a torn one behind them.
    for await (const keys of createReadStream(path, { highWaterMark: 2048 * KEY_BYTES })) {
      for (let at = 0; at + KEY_BYTES <= keys.length && row < whole; at += KEY_BYTES) {
        this.#places.set(keys, at, number, row++);
      }
    }
  }
}

const keyOf = (text: string) => createHash("sha256").update(text).digest().subarray(0, KEY_BYTES);

/** As many texts as are encoded before they are kept: enough to sort by length, few enough to lose little by a kill. */
function* chunksOf(texts: readonly string[]): Generator<string[]> {
  let chunk: string[] = [];
  let characters = 0;
  for (const text of texts) {
    chunk.push(text);
    characters += text.length;
    if (chunk.length < CHUNK_TEXTS && characters < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = [];
    characters = 0;
  }
  if (chunk.length > 0) yield chunk;
}
