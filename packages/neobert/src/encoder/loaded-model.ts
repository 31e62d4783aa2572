// What Encoder, FillMask and the classifiers have in common: a model by name or folder, its tokenizer here, its engine in
// a worker thread, the longest text it takes, and the end of it all.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkEngine, type DtypeChoice, type EngineDtype, type EngineName } from "../engine/engine.js";
import { EngineThread } from "../engine/engine-thread.js";
import type { WaitOptions } from "../engine/queue.js";
import { walkFiles } from "../files/glob.js";
import { type HubOptions, resolveModel } from "../hub/resolve.js";
import type { Head } from "../model/architecture.js";
import { architectureOf, type ModelArchitecture, type ModelConfig } from "../model/architectures.js";
import type { DeviceChoice } from "../model/device-choice.js";
import { LongTexts } from "../texts/long-texts.js";
import { quoted, type TextInput, type TokenIds } from "../texts/text-input.js";
import { TextTokenizer } from "../texts/tokenized.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";
import { readSentenceFolder, type SentenceFolder } from "../vectors/sentence-transformers.js";

/** How to find and load a model; the names of the Hub as in `HubOptions`. */
export interface LoadOptions extends HubOptions {
  /** "onnx" (default) is ONNX Runtime, from npm alone; "torch" is libtorch, where it is set up. */
  engine?: EngineName;
  /**
   * "fp32" (default); "int8"; with engine "torch" also "bf16", or "auto": bf16 where it is faster here and vectors keep a cosine of
   * 0.999 with fp32's, else fp32.
   */
  dtype?: DtypeChoice;
  /** Texts like yours, by which "int8" chooses and scales its layers; a few built-in ones in English unless given. */
  calibrate?: readonly string[];
  /** Is told what "int8" and "auto" of engine "torch" came to, once, in a line. */
  onNote?: (note: string) => void;
  /**
   * Where engine "torch" computes: "cpu" (default), "cuda", "cuda:1", or "auto", a GPU where one can be used. A GPU that is
   * asked for and cannot be used is an error that says what lacks.
   */
  device?: DeviceChoice;
  /**
   * A graph of the repository or folder itself, as "onnx/model_quantized.onnx", which engine "onnx" then runs as it is in
   * place of model.safetensors: in padded batches, in its own type.
   */
  onnxFile?: string;
  /** Threads of one computation; default: as many as there are cores. */
  threads?: number;
  /**
   * False: computes in the calling thread, whose event loop each run then holds up; a short text is spared the way to the worker and
   * back. For scripts and jobs, not for servers. Default true.
   */
  worker?: boolean;
  /** Most tokens computed at once; more needs more memory. Default: 4,096 (libtorch) or 2,048 (ONNX Runtime). */
  batchTokens?: number;
  /** Most tokens that wait for being computed; further calls wait before that, or fail with `wait: false`. Default 2^20. */
  maxWaitingTokens?: number;
  /**
   * Most milliseconds of one computation where more than one call waits. Default 25, or as many as are needed to lose no
   * more than about a tenth of the throughput.
   */
  maxRunMs?: number;
  /**
   * Other calls may come at any time, as in a server: a call that waits alone is computed in runs of `maxRunMs` (25) too, so its
   * vectors depend in their last bits on how fast the machine is. Default false.
   */
  shared?: boolean;
}

export interface ModelParts {
  /** The Hugging Face folder. */
  folder: string;
  sentence: SentenceFolder;
  tokenizer: Tokenizer;
  thread: EngineThread;
}

/** Options of every call that computes. */
export interface CallOptions {
  /** Cuts texts to this many tokens, special ones included; default: the model's `maxTokens`. */
  maxTokens?: number;
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Aborting it rejects the call at once; texts that are not being computed by then never are. */
  signal?: AbortSignal;
  /** Milliseconds after which the call rejects with a `DeadlineError`. Default: none. */
  timeoutMs?: number;
  /** False: reject with a `QueueFullError` where `maxWaitingTokens` tokens wait already. Default: wait. */
  wait?: boolean;
}

/** What the queue takes of a call's options. */
export function waitingOf({
  onProgress,
  signal,
  timeoutMs,
  wait,
}: CallOptions): WaitOptions & Pick<CallOptions, "onProgress"> {
  return { signal, timeoutMs, wait, ...(onProgress && { onProgress }) };
}

async function loadParts(
  where: string,
  nameOrFolder: string,
  head: Head,
  options: LoadOptions = {},
): Promise<ModelParts> {
  const {
    engine = "onnx",
    dtype = "fp32",
    device,
    threads,
    batchTokens,
    maxWaitingTokens,
    maxRunMs,
    shared,
    onnxFile,
    calibrate,
    onNote,
    worker,
    ...hub
  } = options;
  checkEngine(where, { engine, dtype, ...(device && { device }) });
  if (onnxFile !== undefined && (engine !== "onnx" || options.dtype !== undefined)) {
    const got = engine === "onnx" ? `dtype "${dtype}"` : `engine "${engine}"`;
    throw new Error(
      `${where}: expected engine "onnx" and no dtype beside onnxFile, a graph in its own type, got ${got}`,
    );
  }
  const folder = await resolveModel(nameOrFolder, { ...hub, ...(onnxFile !== undefined && { onnxFile }) });
  const graph = onnxFile !== undefined && findOnnxFile(where, folder, onnxFile);
  const sentence = readSentenceFolder(folder);
  const { modelFolder, modules } = sentence;
  const starting = EngineThread.start({
    folder: modelFolder,
    options: {
      engine,
      dtype,
      head,
      ...(device && { device }),
      ...(threads !== undefined && { threads }),
      ...(graph && { onnxFile: graph }),
      ...(calibrate && { calibrate }),
    },
    modules: head === "none" ? modules : [],
    ...(worker !== undefined && { worker }),
    queue: { batchTokens, maxWaitingTokens, maxRunMs, shared },
  });
  try {
    const tokenizer = loadTokenizer(modelFolder); // while the worker reads the weights
    const thread = await starting;
    if (thread.note) onNote?.(thread.note);
    return { folder, sentence, tokenizer, thread };
  } catch (error) {
    starting.then(
      (thread) => thread.dispose(),
      () => {},
    );
    throw error;
  }
}

/**
 * Finds, fetches and loads a model for `make`. Rejects with what is wrong about its files, or about engine and dtype; the
 * thread ends where `make` throws.
 */
export async function loadWith<Model>(
  where: string,
  nameOrFolder: string,
  head: Head,
  options: LoadOptions,
  make: (parts: ModelParts) => Model,
): Promise<Model> {
  const parts = await loadParts(where, nameOrFolder, head, options);
  try {
    return make(parts);
  } catch (error) {
    await parts.thread.dispose();
    throw error;
  }
}

function findOnnxFile(where: string, folder: string, onnxFile: string): string {
  const path = join(folder, onnxFile);
  if (existsSync(path)) return path;
  const there = walkFiles(folder, 3).filter((name) => name.endsWith(".onnx"));
  throw new Error(
    `${where}: expected ${onnxFile} in ${folder}, got no such file\n.onnx files there: ${there.join(", ") || "none"}`,
  );
}

/**
 * The longest text of a model: as an embedder's own settings say, whatever the tokenizer's are, else that of its training,
 * where the tokenizer's limit allows it; never more than the positions that it knows.
 */
export function maxTokensOf(
  architecture: ModelArchitecture,
  ofSentences: number | undefined,
  ofTokenizer: number = Number.POSITIVE_INFINITY,
): number {
  return Math.min(ofSentences ?? Math.min(architecture.longestText(), ofTokenizer), architecture.maxPositions());
}

export abstract class LoadedModel implements AsyncDisposable {
  /** The Hugging Face folder that was loaded. */
  readonly folder: string;
  readonly tokenizer: Tokenizer;
  /** The model's config.json. */
  readonly config: ModelConfig;
  /** Greatest number of tokens of a text, special ones included; longer texts are cut. */
  readonly maxTokens: number;
  /** Greatest number of tokens that the model can be given at all; infinite where positions are computed (RoPE). */
  readonly maxPositions: number;
  /** The type that it computes in, which "auto" chose; undefined for a graph of its own type. */
  readonly dtype: EngineDtype | undefined;
  protected readonly thread: EngineThread;
  protected readonly texts: TextTokenizer;
  readonly #longTexts: LongTexts;

  constructor({ folder, sentence, tokenizer, thread }: ModelParts) {
    this.folder = folder;
    this.tokenizer = tokenizer;
    this.thread = thread;
    this.config = thread.config;
    this.dtype = thread.dtype;
    this.#longTexts = new LongTexts(sentence.modelFolder);
    this.texts = new TextTokenizer(tokenizer, this.config.vocab_size, this.#longTexts);
    const architecture = architectureOf(this.config);
    this.maxPositions = architecture.maxPositions();
    this.maxTokens = maxTokensOf(architecture, sentence.maxTokens, tokenizer.modelMaxLength);
  }

  /** Tokens of all calls that wait to be computed. */
  get waitingTokens(): number {
    return this.thread.waitingTokens;
  }

  /** Texts of all calls that wait to be computed. */
  get waitingTexts(): number {
    return this.thread.waitingTexts;
  }

  /** Number of tokens of a text, special ones included, before it is cut. */
  countTokens(text: string | TokenIds): number {
    return this.texts.count(text);
  }

  /** The same, without holding up the event loop for a long text. Rejects when aborted. */
  countTokensAsync(text: string | TokenIds, signal?: AbortSignal): Promise<number> {
    return this.texts.countAsync(text, signal);
  }

  /** Frees the model when the calls so far are done. Later calls are refused. */
  async dispose(): Promise<void> {
    await this.thread.dispose();
    await this.#longTexts.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** The greatest length for a call. Throws where the model has no positions for that many tokens. */
  protected lengthFor(where: string, maxTokens = this.maxTokens): number {
    if (maxTokens <= this.maxPositions) return maxTokens;
    throw new RangeError(
      `${where}: expected \`maxTokens\` of at most the model's ${this.maxPositions} positions, got ${maxTokens}\nAsk for fewer, or leave it out.`,
    );
  }
}

/** `text 3 ("The first words ...")`, for errors. */
export function nameText(index: number, input: TextInput | TokenIds): string {
  return `text ${index} (${quoted(input)})`;
}
