// Names to local files: a folder is itself, a name is a repository of the Hugging Face Hub, downloaded once into the
// cache that Python uses too. Settings come from the variables that Hugging Face documents (environment.ts, and
// HF_ENDPOINT). What is in the cache is used without asking whether it is still the newest, and a cache that may not be
// written serves what it has. An endpoint is not trusted: what it sends becomes part of a path only once it is checked.

import { existsSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import type { ListFileEntry } from "@huggingface/hub";
import { shortened, shown } from "../files/checked.js";
import { globToRegExp, walkFiles } from "../files/glob.js";
import { modelFolder } from "../files/run-folder.js";
import { isHash, isUnwritable, type RemoteFile, RepoCache, type RepoType } from "./cache.js";
import { hubAddress, hubCachePath, hubFetch, isOffline } from "./environment.js";
import { splitRevision } from "./pinned.js";

export interface HubOptions {
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  /** Never ask the Hub; default: whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set. */
  offline?: boolean;
  /** Ask the Hub for the newest commit of the revision even if one is in the cache. */
  refresh?: boolean;
  /** The cache's folder; default as HF_HUB_CACHE and HF_HOME say. */
  cacheDir?: string;
  onProgress?: (progress: DownloadProgress) => void;
  signal?: AbortSignal;
}

export interface DownloadProgress {
  file: string;
  fileBytes: number;
  /** Bytes of this file so far. */
  receivedBytes: number;
}

/** Patterns of the files to get, see `globToRegExp`; or what chooses among the repository's paths. */
export interface FileChoice {
  files?: Choice;
  /** In place of safetensors files, this graph, with the weights that lie beside it. */
  onnxFile?: string;
}

type Choice = string[] | ((paths: string[]) => string[]);

// What any of our engines reads; weights in other formats (pickled, TensorFlow, ONNX variants) stay where they are.
const SMALL_FILES = ["*.json", "*.txt", "*.md", "*_*/*.json", "*_*/model.safetensors"];
const MODEL_FILES = [...SMALL_FILES, "model.safetensors", "model-*.safetensors"];
/** A graph, and the files that hold its weights as transformers.js and PyTorch name them. */
const graphFiles = (path: string) => [path, `${path}_data*`, `${path}.data`];

interface Snapshot {
  folder: string;
  paths: string[];
}

/** A file of a data set, by its path in there. */
export interface ListedFile {
  path: string;
  bytes: number;
}

/**
 * Returns the local folder of a model: `nameOrFolder` itself (or its model, if it is a run's) if such a folder exists, else the snapshot of the
 * Hub's repository of this name (`owner/name`, or `owner/name@revision`), with config, tokenizer and safetensors files or those of `files`.
 * Throws where it is neither, saying where it looked.
 */
export async function resolveModel(nameOrFolder: string, options: HubOptions & FileChoice = {}): Promise<string> {
  if (isFolder(nameOrFolder)) return modelFolder(nameOrFolder);
  const { name, revision } = splitRevision(nameOrFolder);
  const { onnxFile } = options;
  const chosen = onnxFile === undefined ? MODEL_FILES : [...SMALL_FILES, ...graphFiles(onnxFile)];
  const patterns = options.files ?? chosen;
  const how = { ...options, ...(revision !== undefined && { revision }), needed: onnxFile };
  return (await fetchSnapshot("model", name, patterns, how)).folder;
}

/**
 * Returns the local paths of a data set's files, sorted: those of a folder if one exists under this name, else those
 * of the Hub's repository (`owner/name`); all of them or those that match `files`.
 * Throws where there is none, saying where it looked.
 */
export async function resolveDataset(nameOrFolder: string, options: HubOptions & FileChoice = {}): Promise<string[]> {
  const patterns = options.files ?? ["**"];
  const { folder, paths } = isFolder(nameOrFolder)
    ? { folder: nameOrFolder, paths: matching(walkFiles(nameOrFolder), patterns) }
    : await fetchSnapshot("dataset", nameOrFolder, patterns, options);
  return paths.map((path) => join(folder, path)).sort();
}

/** The files that `resolveDataset` would give, by their paths in the folder or repository, sorted; none is downloaded. */
export async function listDataset(nameOrFolder: string, options: HubOptions & FileChoice = {}): Promise<ListedFile[]> {
  const patterns = options.files ?? ["**"];
  const { folder, paths, listing } = isFolder(nameOrFolder)
    ? { folder: nameOrFolder, paths: matching(walkFiles(nameOrFolder), patterns), listing: null }
    : await findSnapshot("dataset", nameOrFolder, patterns, options);
  const bytes = new Map(listing?.map((file) => [file.path, file.bytes]));
  return paths.sort().map((path) => ({ path, bytes: bytes.get(path) ?? statSync(join(folder, path)).size }));
}

async function fetchSnapshot(...question: Parameters<typeof findSnapshot>): Promise<Snapshot> {
  const { folder, paths, download } = await findSnapshot(...question);
  await download?.();
  return { folder, paths };
}

interface FoundSnapshot extends Snapshot {
  /** What the commit has; null where only the cache's folder could be asked. */
  listing: RemoteFile[] | null;
  /** Gets what the folder lacks of the paths. */
  download?: () => Promise<void>;
}

async function findSnapshot(
  type: RepoType,
  name: string,
  patterns: Choice,
  options: HubOptions & { needed?: string | undefined },
): Promise<FoundSnapshot> {
  if (!/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(name)) {
    throw new Error(`${name}: expected a folder or a name OWNER/NAME of the Hub, got a path where there is no folder`);
  }
  const hub = await import("@huggingface/hub");
  const cacheDir = options.cacheDir ?? hubCachePath();
  const revision = checkRevision(options.revision ?? "main", name);
  const offline = options.offline ?? isOffline();
  const hubUrl = hubAddress() ?? hub.HUB_URL;
  const cache = new RepoCache(cacheDir, type, name);

  const known = cache.commitOf(revision);
  if (known && !options.refresh) {
    const listing = cache.listing(known);
    const wanted = wantedPaths(listing, patterns);
    if (listing) expectFile(name, listing, options.needed);
    if (wanted?.length && wanted.every((path) => cache.has(known, path))) {
      return { folder: cache.snapshotFolder(known), paths: wanted, listing };
    }
  }
  // What the cache holds of a commit, complete or not, when the Hub cannot be asked.
  const held = (): FoundSnapshot | null => {
    const folder = known && cache.snapshotFolder(known);
    const paths = folder && existsSync(folder) ? matching(walkFiles(folder), patterns) : [];
    return folder && paths.length > 0 ? { folder, paths, listing: null } : null;
  };
  const notFound = (reason: string) =>
    new Error(
      `${name}: expected a folder or a ${type} of the Hub (revision ${revision}), got neither\n` +
        `Looked in ${process.cwd()}, in the cache ${cache.folder}, and ${reason}`,
    );
  if (offline) {
    const snapshot = held();
    if (snapshot) return snapshot;
    throw notFound(
      "not on the Hub, since HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) or offline is set: unset it to download.",
    );
  }

  const access = { hubUrl, fetch: await hubFetch(hubUrl, options.signal) };
  const repo = { type, name };
  let commit: string;
  const entries: ListFileEntry[] = [];
  try {
    const question = { ...access, name, revision, additionalFields: ["sha" as const] };
    const info = type === "model" ? await hub.modelInfo(question) : await hub.datasetInfo(question);
    commit = info.sha;
    if (!isHash(commit) || (isHash(revision) && commit !== revision)) {
      throw distrust(name, isHash(revision) ? `commit ${revision}` : "a commit in 40 or 64 hexadecimal digits", commit);
    }
    for await (const entry of hub.listFiles({ ...access, repo, revision: commit, recursive: true }))
      entries.push(checkEntry(entry, name));
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof DistrustError) throw error;
    const status = error instanceof hub.HubApiError ? error.statusCode : null;
    const snapshot = status === null || status >= 500 ? held() : null;
    if (snapshot) return snapshot;
    throw notFound(`at ${hubUrl}: ${explain(error, status)}`);
  }
  const files = entries
    .filter(({ type }) => type === "file")
    .map(({ path, size, lfs, oid }): RemoteFile => {
      const etag = lfs ? lfs.oid : oid;
      if (!isHash(etag)) throw distrust(name, `the hash of ${path} in 40 or 64 hexadecimal digits`, etag);
      if (!Number.isSafeInteger(size) || size < 0) throw distrust(name, `the size of ${path} in bytes`, size);
      return { path: safePath(path, name), bytes: size, etag, isLarge: lfs !== undefined };
    });
  try {
    cache.record(revision, commit, files);
  } catch (error) {
    if (!isUnwritable(error)) throw error;
    // What is held of the commit that this revision had is no worse in a cache that cannot be written.
    const snapshot = commit === known || options.refresh ? null : held();
    if (snapshot) return snapshot;
  }
  if (patterns === MODEL_FILES) expectSafetensors(name, files);
  expectFile(name, files, options.needed);
  const chosen = new Set(wantedPaths(files, patterns));
  if (chosen.size === 0) {
    throw new Error(
      `${name}: expected files that match ${typeof patterns === "function" ? "what is asked for" : patterns.join(" ")}, got ${files.map(({ path }) => path).join(", ") || "an empty repository"}\n` +
        "Choose some of these with files.",
    );
  }
  const download = async () => {
    for (const file of files) {
      if (!chosen.has(file.path) || cache.has(commit, file.path)) continue;
      let receivedBytes = 0;
      const open = () => hub.downloadFile({ ...access, repo, path: file.path, revision: commit });
      try {
        await cache.add(
          commit,
          file,
          open,
          (count) => {
            receivedBytes += count;
            options.onProgress?.({ file: file.path, fileBytes: file.bytes, receivedBytes });
          },
          options.signal,
        );
      } catch (error) {
        options.signal?.throwIfAborted();
        if (isUnwritable(error)) {
          throw new Error(
            `${name}: expected a cache that can be written for ${file.path}, got ${(error as Error).message}\n` +
              "Name another folder with HF_HUB_CACHE or HF_HOME, or download the model as a user who may write there.",
          );
        }
        const got = error instanceof Error ? error.message : error; // the library's streams throw strings
        throw new Error(
          `${name}: expected ${file.path} from ${hubUrl}, got ${got}\nRun it again: it goes on where it stopped.`,
        );
      }
    }
  };
  return { folder: cache.snapshotFolder(commit), paths: [...chosen], listing: files, download };
}

/** Throws where the repository lacks a file, naming those of its kind. */
function expectFile(name: string, files: RemoteFile[], needed: string | undefined): void {
  if (needed === undefined || files.some(({ path }) => path === needed)) return;
  const kind = files.map(({ path }) => path).filter((path) => extname(path) === extname(needed));
  throw new Error(
    `${name}: expected ${needed} in the repository, got no such file\n` +
      `${extname(needed)} files there: ${kind.sort().join(", ") || "none"}`,
  );
}

/** Throws where a model has pickled weights only. */
function expectSafetensors(name: string, files: RemoteFile[]): void {
  const weights = files.filter(({ path }) => /\.safetensors$/.test(path));
  const pickled = files.find(({ path }) => /^(pytorch_model.*\.bin|tf_model\.h5|flax_model\.msgpack)$/.test(path));
  if (weights.length > 0 || !pickled) return;
  throw new Error(
    `${name}: expected model.safetensors, got ${pickled.path}, which is not opened here, since it could run code\n` +
      "The Hub converts it (huggingface.co/spaces/safetensors/convert) in a pull request: load that with its revision, refs/pr/N.",
  );
}

function explain(error: unknown, status: number | null): string {
  if (status === 404) return "nothing of this name and revision. Check both.";
  if (status === 401 || status === 403) {
    return `no access (${status}). Check the name; a private or gated repository needs a token (\`hf auth login\`, or HF_TOKEN), and its terms accepted.`;
  }
  const { message, cause } = error as Error;
  return `${cause instanceof Error ? cause.message || message : message}. Check the network, HF_ENDPOINT and HF_TOKEN.`;
}

function wantedPaths(files: RemoteFile[] | null, patterns: Choice): string[] | null {
  const paths = files?.map(({ path }) => path);
  return paths ? matching(paths, patterns) : null;
}

function matching(paths: string[], patterns: Choice): string[] {
  if (typeof patterns === "function") return patterns(paths).sort();
  const expressions = patterns.map(globToRegExp);
  return paths.filter((path) => expressions.some((expression) => expression.test(path))).sort();
}

/** An endpoint's answer that would lead out of the cache, or that is none. */
class DistrustError extends Error {}

function distrust(name: string, expected: string, got: unknown): DistrustError {
  const text = shown(got, 200);
  return new DistrustError(
    `${name}: expected ${shortened(expected)} from the Hub, got ${text}\nDo not trust it; check HF_ENDPOINT.`,
  );
}

/** An entry of a listing, if it is one. */
function checkEntry<Entry>(entry: Entry, name: string): Entry {
  const { type, path } = Object(entry) as { type?: unknown; path?: unknown };
  if (typeof type === "string" && typeof path === "string") return entry;
  throw distrust(name, "a listing of files with their paths", shown(entry));
}

/** The path, which is about to be joined to the cache's, or an error if it would lead out of there. */
function safePath(path: string, name: string): string {
  if (typeof path === "string" && path !== "" && !/^[/\\]|\\|:|\0|(^|\/)\.{0,2}(\/|$)/.test(path)) return path;
  throw distrust(name, "paths inside the repository", path);
}

/** The revision, if Git allows a branch or tag of this name (git check-ref-format). */
function checkRevision(revision: string, name: string): string {
  const isForbidden = /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|^[-/]|[/.]$|(^|\/)\.|\.lock(\/|$)|^@?$/.test(revision);
  if (!isForbidden) return revision;
  throw new Error(
    `${name}: expected revision to be a branch, a tag or a commit, got ${JSON.stringify(revision)}\n` +
      "Pass a name as `git branch` and `git tag` list it, refs/pr/N, or a commit's full hash.",
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
