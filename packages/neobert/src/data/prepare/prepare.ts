// Text to token shards: reads documents in order, tokenizes them on all cores, filters them by length, puts some whole
// documents aside for validation, and writes shards. The output is a function of the inputs and settings alone (not of
// workers, timing or interruptions); after a kill the same call goes on behind the last finished shard. A shard of
// `train` and one of `validation` always end at the same place in the input, so one position is all the state.
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { writeFileAtomic } from "../../files/atomic.js";
import { lockFolder } from "../../files/folder-lock.js";
import { type Part, partName } from "../../files/part.js";
import { isAddress } from "../../hub/address.js";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import {
  type Manifest,
  type ManifestIds,
  manifestFile,
  type PrepareSettings,
  specialIdsSchema,
  type TokenArray,
  tokenType,
} from "../manifest.js";
import { randomStreams, uniform } from "../random.js";
import { fetchPart, fetchSources, type ReadOptions } from "../read/read.js";
import { fetchTokenizer } from "../remote/remote-tokenizer.js";
import { readBatches, type TextBatch } from "../text-batches.js";
import { differences, hashSources, hasState, type PrepareState, readState, writeState } from "./prepare-state.js";
import { ShardWriter } from "./shard-writer.js";
import { tokenizeInOrder } from "./tokenize-pool.js";

export interface PrepareOptions extends Pick<ReadOptions, "format" | "column" | "header" | "quotes" | "split"> {
  /** Files, folders, patterns or `hf://datasets/...`. */
  sources: string | string[];
  /** Folder of the tokenizer. */
  tokenizer: string;
  /** Folder to make: `train/`, `validation/` and `tokenizer/` in it. */
  out: string;
  /** Prepares this part of the files alone, into a folder of its own in `out`; `mergeParts` makes `out` of all parts. */
  part?: Part;
  /** Documents of fewer or more tokens ([CLS] and [SEP] not counted) are dropped; default 1 and no limit. */
  minTokens?: number;
  maxTokens?: number;
  /** Tokens after which a shard ends with its document; default 2^26. */
  shardTokens?: number;
  /** Share of the documents put aside as `validation/`, drawn with `seed` (default 0); default none. */
  validation?: { fraction: number; seed?: number };
  /** Worker threads; default one a core. */
  workers?: number;
  /** Make the folder anew if it holds the result of other settings or inputs. */
  force?: boolean;
  onProgress?: (progress: PrepareProgress) => void;
  /** Lines for a person: that the folder was taken over from a process that is gone. */
  onNote?: (text: string) => void;
  signal?: AbortSignal;
}

export interface PrepareProgress {
  phase: "hashing" | "tokenizing";
  /** Input files done, and all. */
  filesDone: number;
  files: number;
  /** Documents, tokens and bytes of text tokenized by this call, and the seconds it took. */
  documents: number;
  tokens: number;
  textBytes: number;
  seconds: number;
}

export interface PrepareResult {
  /** "unchanged": all was there already. "resumed": earlier shards were kept. */
  status: "prepared" | "resumed" | "unchanged";
  train: { folder: string; documents: number; tokens: number };
  validation: { folder: string; documents: number; tokens: number } | null;
  /** Documents dropped by `minTokens` and `maxTokens`. */
  dropped: { short: number; long: number };
}

const splits = ["train", "validation"] as const;
export type ShardSplit = (typeof splits)[number];

/**
 * Tokenizes `sources` into `out/train` and `out/validation`. Throws if `out` was made with other settings or inputs and
 * `force` is not set, if another process is writing there, or if a split ends up without documents (that of a part may);
 * rejects with the signal's reason when aborted, keeping the finished shards.
 */
export async function prepareData(options: PrepareOptions): Promise<PrepareResult> {
  const { force = false, signal, part } = options;
  const out = part ? join(options.out, partName(part)) : options.out;
  const settings = settingsOf(options);
  const tokenizer = loadTokenizer(options.tokenizer);
  const { files, ...division } = part
    ? await fetchPart(options.sources, part, signal ? { signal } : {})
    : { files: await fetchSources(options.sources, signal ? { signal } : {}) };
  const input = {
    out,
    settings,
    tokenizer,
    files,
    ...(part && { part: { ...part, ...division } as PrepareState["part"] }),
  };
  // What is finished is only looked at, which needs no right to write there.
  if (!force && readState(out)?.complete) return prepareFrom(input, options);
  const release = lockFolder(out, options.onNote);
  try {
    return await prepareFrom(input, options);
  } finally {
    release();
  }
}

type PrepareInput = Pick<PrepareState, "settings" | "part"> & { out: string; tokenizer: Tokenizer; files: string[] };

async function prepareFrom(
  { out, settings, tokenizer, files, part }: PrepareInput,
  options: PrepareOptions,
): Promise<PrepareResult> {
  const { signal, onProgress = () => {} } = options;
  const previous = options.force ? undefined : stateWithShards(out);
  const empty = { filesDone: 0, files: files.length, documents: 0, tokens: 0, textBytes: 0, seconds: 0 };
  const sources = await hashSources(files, previous?.sources ?? [], (filesDone) => {
    signal?.throwIfAborted();
    onProgress({ ...empty, phase: "hashing", filesDone });
  });
  const fresh: PrepareState = {
    format: "neobert-prepare",
    version: 2,
    settings,
    tokenizer: { hash: tokenizer.hash, vocabSize: tokenizer.vocabSize },
    specialIds: specialIdsOf(tokenizer),
    sources,
    ...(part && { part }),
    position: { file: 0, documentInFile: 0, document: 0 },
    dropped: { short: 0, long: 0 },
    shards: { train: [], validation: [] },
    complete: false,
  };
  const changes = previous === undefined ? [] : differences(previous, fresh);
  if (changes.length > 0) {
    const lines = changes.map(({ name, before, after }) => `${name}: ${before}, now ${after}`);
    throw new Error(
      `prepareData: expected the settings and inputs that ${out} was made with, got others\n  ${lines.join("\n  ")}\n` +
        "Use another folder, or `force` to make this one anew.",
    );
  }
  if (previous?.complete) return resultOf(out, previous, "unchanged");
  const state = previous ?? fresh;
  claimOut(out, state, options.tokenizer, previous !== undefined);
  const tokenizerCopy = join(out, "tokenizer");
  if (resolve(options.tokenizer) !== resolve(tokenizerCopy)) saveTokenizer(tokenizer, tokenizerCopy);
  const run = new Preparation(out, state, tokenType(tokenizer.maxId));
  const batches = readBatches(files, state.position, options);
  const workers = options.workers ?? availableParallelism();
  const progress: PrepareProgress = { ...empty, phase: "tokenizing" };
  const start = performance.now();
  try {
    for await (const { batch, tokenized } of tokenizeInOrder(batches, options.tokenizer, workers)) {
      signal?.throwIfAborted();
      let position = 0;
      for (const [index, length] of tokenized.lengths.entries()) {
        run.add(batch, index, tokenized.tokens.subarray(position, position + length));
        position += length;
      }
      progress.filesDone = batch.file;
      progress.documents += batch.texts.length;
      progress.tokens += position;
      progress.textBytes += tokenized.textBytes;
      progress.seconds = (performance.now() - start) / 1000;
      onProgress({ ...progress });
    }
    run.finish();
  } finally {
    run.discard();
  }
  onProgress({ ...progress, filesDone: files.length, seconds: (performance.now() - start) / 1000 });
  return resultOf(out, state, previous === undefined ? "prepared" : "resumed");
}

/** The folder of the tokenizer that a split (`OUT/train`) or a whole prepared folder (`OUT`) was made with. */
export function preparedTokenizer(folder: string): string {
  if (isAddress(folder)) return fetchTokenizer(folder);
  return [join(folder, "tokenizer"), join(folder, "..", "tokenizer")].find((path) => existsSync(path)) ?? folder;
}

/** The state of an earlier run; one that finished no shard binds nobody to its settings. */
function stateWithShards(out: string): PrepareState | undefined {
  const state = readState(out);
  const isBinding = state && (state.complete || splits.some((split) => state.shards[split].length > 0));
  return isBinding ? state : undefined;
}

function specialIdsOf(tokenizer: Tokenizer): ManifestIds {
  const { cls, sep, mask, pad, unk } = tokenizer.specialIds;
  const knowsAll = unk === undefined && tokenizer.toJSON().model.unk_token === null; // bytes, of which none is unknown
  const ids = specialIdsSchema.safeParse({ cls, sep, mask, pad, ...(!knowsAll && { unk }) });
  if (ids.success) return ids.data;
  const missing = ids.error.issues.map(({ path }) => tokenizer.specialTokens[path[0] as keyof ManifestIds]);
  throw new Error(
    `prepareData: expected a tokenizer with all special tokens, got one without ${missing.join(", ")}\n` +
      "Masked-language modelling needs them: name them in the tokenizer's special_tokens_map.json.",
  );
}

function settingsOf(options: PrepareOptions): PrepareSettings {
  const { format = null, column = "text", header = true, split = "file", quotes } = options;
  const { minTokens = 1, maxTokens = null, shardTokens = 2 ** 26, validation = null } = options;
  const expect = (holds: boolean, what: string, got: unknown) => {
    if (!holds) throw new RangeError(`prepareData: expected ${what}, got ${got}`);
  };
  expect(Number.isInteger(minTokens) && minTokens >= 1, "minTokens to be a whole number above 0", minTokens);
  const longEnough = maxTokens === null || (Number.isInteger(maxTokens) && maxTokens >= minTokens);
  expect(longEnough, `maxTokens to be a whole number of at least minTokens = ${minTokens}`, maxTokens);
  const fits = Number.isInteger(shardTokens) && shardTokens >= 1 && shardTokens <= 2 ** 31;
  expect(fits, "shardTokens to be a whole number of 1 to 2^31", shardTokens);
  if (validation !== null) {
    const { fraction } = validation;
    expect(fraction > 0 && fraction < 1, "validation.fraction between 0 and 1", fraction);
  }
  const heldOut = validation && { fraction: validation.fraction, seed: validation.seed ?? 0 };
  const common = { format, column, header, split, minTokens, maxTokens, shardTokens, validation: heldOut };
  return quotes === undefined ? common : Object.assign(common, { quotes });
}

/** The shards in progress and the state behind them. */
class Preparation {
  readonly #out: string;
  readonly #state: PrepareState;
  readonly #dtype: Manifest["dtype"];
  readonly #writers: Partial<Record<ShardSplit, ShardWriter>> = {};
  #next: PrepareState["position"];
  readonly #dropped: PrepareState["dropped"];

  constructor(out: string, state: PrepareState, dtype: Manifest["dtype"]) {
    this.#dtype = dtype;
    this.#out = out;
    this.#state = state;
    this.#next = state.position;
    this.#dropped = { ...state.dropped };
  }

  add(batch: TextBatch, index: number, tokens: TokenArray): void {
    const { minTokens, maxTokens, shardTokens, validation } = this.#state.settings;
    const { file, documentInFile, document } = batch;
    this.#next = { file, documentInFile: documentInFile + index + 1, document: document + index + 1 };
    if (tokens.length < minTokens) this.#dropped.short++;
    else if (tokens.length > (maxTokens ?? Number.POSITIVE_INFINITY)) this.#dropped.long++;
    else {
      const split = validation !== null && this.#isHeldOut(batch, index, validation) ? "validation" : "train";
      this.#writers[split] ??= new ShardWriter(join(this.#out, split), this.#state.shards[split].length);
      this.#writers[split].append(tokens);
      if (this.#writers[split].tokens >= shardTokens) this.#endShards();
    }
  }

  /** By the document's file, numbered among those of all parts, and its number there. */
  #isHeldOut(batch: TextBatch, index: number, { fraction, seed }: NonNullable<PrepareSettings["validation"]>): boolean {
    const { version, part } = this.#state;
    const file = batch.file + (part?.firstFile ?? 0);
    const place = version === 1 ? ([batch.document, 0] as const) : ([batch.documentInFile, file] as const);
    return uniform(seed, randomStreams.heldOut, place[0] + index, place[1]) < fraction;
  }

  finish(): void {
    const { settings, tokenizer, specialIds, shards, part } = this.#state;
    for (const split of part ? [] : wantedSplits(settings)) {
      if (shards[split].length === 0 && !this.#writers[split]) throw this.#emptySplit(split);
    }
    this.#endShards();
    for (const split of wantedSplits(settings)) {
      const manifest: Manifest = {
        format: "neobert-tokens",
        version: 1,
        split,
        dtype: this.#dtype,
        ...countsOf(this.#state, split),
        tokenizer,
        specialIds,
        settings,
        sources: this.#state.sources.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
        shards: shards[split],
      };
      writeFileAtomic(join(this.#out, split, manifestFile), `${JSON.stringify(manifest, null, 1)}\n`);
    }
    this.#state.complete = true;
    writeState(this.#out, this.#state);
  }

  /** Says what may be wrong, and forgets the finished shards: no next run has to be forced because of them. */
  #emptySplit(split: ShardSplit): Error {
    const { sources, settings } = this.#state;
    this.discard();
    writeState(this.#out, { ...this.#state, shards: { train: [], validation: [] } });
    const isWhole = settings.split === "file" && this.#next.document === sources.length;
    return new Error(
      `prepareData: expected documents for ${split}, got none of ${this.#next.document} ` +
        `(${this.#dropped.short} too short, ${this.#dropped.long} too long)\n` +
        (isWhole && this.#dropped.short + this.#dropped.long === 0
          ? "Each text file is one document: set `split` to line or paragraph to have more."
          : "Check the sources and length filters, or change the validation fraction or seed."),
    );
  }

  /** Closes what an error or a stop left open; nothing after `finish`. */
  discard(): void {
    for (const split of splits) this.#writers[split]?.discard();
  }

  #endShards(): void {
    for (const split of splits) {
      const writer = this.#writers[split];
      if (writer === undefined) continue;
      this.#state.shards[split].push(writer.finish());
      delete this.#writers[split];
    }
    this.#state.position = this.#next;
    this.#state.dropped = { ...this.#dropped };
    writeState(this.#out, this.#state);
  }
}

export const wantedSplits = (settings: PrepareSettings): ShardSplit[] =>
  settings.validation ? [...splits] : ["train"];

function countsOf(state: PrepareState, split: ShardSplit): { documents: number; tokens: number } {
  const counts = { documents: 0, tokens: 0 };
  for (const { documents, tokens } of state.shards[split]) {
    counts.documents += documents;
    counts.tokens += tokens;
  }
  return counts;
}

function resultOf(out: string, state: PrepareState, status: PrepareResult["status"]): PrepareResult {
  const [train, validation] = splits.map((split) => ({ folder: join(out, split), ...countsOf(state, split) }));
  return { status, train: train!, validation: state.settings.validation && validation!, dropped: state.dropped };
}

/**
 * Makes `out` ready: throws if it holds such folders of another origin, removes an earlier result, or only the unfinished
 * files of a run that goes on. The state is written before anything is removed, so that a kill leaves no state without
 * its shards.
 */
function claimOut(out: string, state: PrepareState, tokenizer: string, goesOn: boolean): void {
  if (!hasState(out)) {
    const paths = [...splits, "tokenizer"].map((name) => join(out, name));
    const foreign = paths.find((path) => existsSync(path) && resolve(path) !== resolve(tokenizer));
    if (foreign !== undefined) {
      throw new Error(
        `prepareData: expected ${out} to be new or made by an earlier preparation, got ${foreign} of another origin\n` +
          "Use another folder.",
      );
    }
  }
  mkdirSync(out, { recursive: true });
  writeState(out, state);
  const folders = splits.map((split) => join(out, split));
  if (!goesOn) for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  for (const split of wantedSplits(state.settings)) mkdirSync(join(out, split), { recursive: true });
  for (const folder of [out, ...folders].filter((path) => existsSync(path))) {
    for (const name of readdirSync(folder)) if (/^tokens-.*\.part$|^\..*\.tmp$/.test(name)) rmSync(join(folder, name));
  }
}
