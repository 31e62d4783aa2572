// The engine that works from npm alone: ONNX Runtime on the model's own forward pass, traced in memory and kept in the
// user's cache. It takes packed texts and computes no padding in linear layers, norms and activations. Lives in one
// thread, which a run blocks.

import { join } from "node:path";
import type { InferenceSession } from "onnxruntime-node";
import { cacheFolder, withCached } from "../files/model-cache.js";
import { packageVersion } from "../files/package.js";
import type { Head } from "../model/architecture.js";
import type { ModelArchitecture, ModelConfig } from "../model/architectures.js";
import { openModel } from "../model/model-folder.js";
import { checkBatch, expectHead, type PackedBatch } from "../model/packed-batch.js";
import { layersToKeep, quantizationErrors } from "../onnx/calibrate.js";
import { weightBits } from "../onnx/int8.js";
import { writeOnnx } from "../onnx/onnx-file.js";
import { importOnnxRuntime, openSession } from "../onnx/onnxruntime.js";
import { packedFeeds, runInputs, shortestFirst } from "../onnx/packed-feeds.js";
import { type Result, resultOf, tracePacked } from "../onnx/trace.js";
import { cutByTokens } from "./planner.js";

/** Most tokens of a run (a longer text has one of its own): bounds memory, and what is computed stays in the caches. */
const MOST_TOKENS = 2048;

export interface OnnxEngineOptions {
  dtype: "fp32" | "int8";
  /** Texts to choose int8 layers by, in place of built-in ones. */
  calibrate?: readonly string[];
  /** The head to load; the one that config.json names where absent. */
  head?: Head;
  /** Threads of one computation; default: as many as there are cores. */
  threads?: number;
}

/**
 * Loads a model folder (config.json and safetensors). The graph comes from the user's cache, or is made and kept there.
 * Throws where config, weights and head do not fit, naming every tensor.
 */
export async function loadOnnxEngine(folder: string, options: OnnxEngineOptions): Promise<OnnxEngine> {
  const engine = new OnnxEngine(folder, options);
  await engine.load(resultOf[engine.head]);
  return engine;
}

export class OnnxEngine {
  readonly kind = "onnx";
  readonly dtype: "fp32" | "int8";
  readonly config: ModelConfig;
  readonly head: Head;
  readonly mostTokens = MOST_TOKENS;
  readonly architecture: ModelArchitecture;
  readonly #folder: string;
  readonly #options: OnnxEngineOptions;
  readonly #sessions = new Map<Result, Promise<InferenceSession>>();
  readonly #scratch = new Scratch();

  /** Use `loadOnnxEngine`. */
  constructor(folder: string, options: OnnxEngineOptions) {
    const source = openModel(folder, options);
    source.close();
    this.config = source.architecture.config;
    this.dtype = options.dtype;
    this.head = source.head;
    this.architecture = source.architecture;
    this.#folder = folder;
    this.#options = options;
  }

  /** Last hidden state of every token, [N, C]. */
  hidden(batch: PackedBatch): Promise<Float32Array> {
    return this.#rows("hidden", batch);
  }

  /** Masked-LM logits [M, V] of the tokens at `rows` (indices into the packed ids). */
  async maskedLogits(batch: PackedBatch, rows: Int32Array): Promise<Float32Array> {
    const session = await this.#ready("maskedLogits", batch, "maskedLM");
    const V = this.config.vocab_size;
    const outside = rows.find((row) => row < 0 || row >= batch.ids.length);
    if (outside !== undefined) {
      throw new Error(`maskedLogits: expected rows from 0 to ${batch.ids.length - 1}, got ${outside}`);
    }
    const logits = new Float32Array(rows.length * V);
    for (const texts of runsOf(batch)) {
      const { rows: batchRows, inputs } = runInputs(batch, texts);
      const placeOf = new Map<number, number>();
      for (const [i, row] of batchRows.entries()) placeOf.set(row, i);
      const asked = [...rows.keys()].filter((i) => placeOf.has(rows[i]!));
      if (asked.length === 0) continue;
      const places = Int32Array.from(asked, (i) => placeOf.get(rows[i]!)!);
      const result = await this.#run(session, { ...inputs, rows: places });
      for (const [k, i] of asked.entries()) logits.set(result.subarray(k * V, (k + 1) * V), i * V);
    }
    return logits;
  }

  /** Class logits of the texts, [B, labels]. */
  async sequenceLogits(batch: PackedBatch): Promise<Float32Array> {
    const session = await this.#ready("sequenceLogits", batch, "sequenceClassification");
    let logits = new Float32Array(0);
    for (const texts of runsOf(batch)) {
      const result = await this.#run(session, runInputs(batch, texts).inputs);
      const width = result.length / texts.length;
      if (logits.length === 0) logits = new Float32Array((batch.cuSeqlens.length - 1) * width);
      for (const [i, text] of texts.entries()) logits.set(result.subarray(i * width, (i + 1) * width), text * width);
    }
    return logits;
  }

  /** Class logits of the tokens, [N, labels], or of an answer's start and end, [N, 2]. */
  tokenLogits(batch: PackedBatch): Promise<Float32Array> {
    return this.#rows("tokenLogits", batch, "tokenClassification", "questionAnswering");
  }

  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of await Promise.all(sessions)) await session.release();
  }

  /** The session that computes a result; its graph is traced if the cache does not have it. */
  load(result: Result): Promise<InferenceSession> {
    const known = this.#sessions.get(result);
    if (known) return known;
    const loading = this.#open(result);
    this.#sessions.set(result, loading);
    loading.catch(() => this.#sessions.delete(result)); // the next call tries again
    return loading;
  }

  async #open(result: Result): Promise<InferenceSession> {
    const { dtype, threads, calibrate } = this.#options;
    const bits = dtype === "int8" ? weightBits() : undefined;
    const folder = await cacheFolder("onnx", this.#folder, { result, dtype, bits, head: this.head, calibrate });
    const write = async (path: string) => {
      const source = openModel(this.#folder, { head: this.head });
      try {
        const errors = bits && (await quantizationErrors(this.#folder, source, bits, calibrate));
        const int8 = errors && { bits, keepFloat: layersToKeep(errors) };
        const graph = tracePacked(source, result, { dtype, ...int8 });
        writeOnnx(join(path, "model.onnx"), graph, { externalData: true, producerVersion: packageVersion() });
      } finally {
        source.close();
      }
    };
    const open = (path: string) => openSession(join(path, "model.onnx"), threads);
    return withCached(folder, write, open);
  }

  /** Results of every token, in the batch's order. */
  async #rows(result: Result, batch: PackedBatch, ...heads: Head[]): Promise<Float32Array> {
    const session = await this.#ready(result, batch, ...heads);
    let values = new Float32Array(0);
    for (const texts of runsOf(batch)) {
      const { rows, inputs } = runInputs(batch, texts);
      const N = rows.length;
      const place = result === "hidden" ? ([N, this.config.hidden_size] as const) : undefined;
      const part = await this.#run(session, inputs, place);
      const width = part.length / N;
      if (values.length === 0) values = new Float32Array(batch.ids.length * width);
      for (let i = 0; i < N; ) {
        let end = i + 1; // rows that stand together are copied together
        while (end < N && rows[end] === rows[end - 1]! + 1) end++;
        values.set(part.subarray(i * width, end * width), rows[i]! * width);
        i = end;
      }
    }
    return values;
  }

  async #ready(result: Result, batch: PackedBatch, ...heads: Head[]): Promise<InferenceSession> {
    if (heads.length > 0) expectHead(result, this, ...heads);
    checkBatch(result, this, batch);
    return this.load(result);
  }

  /** The result of one run; where its shape is given, in memory that the next run uses again. */
  async #run(
    session: InferenceSession,
    inputs: Record<string, Int32Array | BigInt64Array>,
    shape?: readonly [number, number],
  ): Promise<Float32Array> {
    const { Tensor } = await importOnnxRuntime();
    const feeds = packedFeeds(Tensor, session.inputNames, inputs);
    if (!shape) return (await session.run(feeds)).result!.data as Float32Array;
    const values = this.#scratch.take(shape[0] * shape[1]);
    await session.run(feeds, { result: new Tensor("float32", values, shape) });
    return values;
  }
}

/** The texts of each run, shortest first: one run where the batch was planned for this engine. */
function runsOf({ cuSeqlens }: PackedBatch): Generator<number[]> {
  return cutByTokens(shortestFirst(cuSeqlens), (text) => cuSeqlens[text + 1]! - cuSeqlens[text]!, MOST_TOKENS);
}

/** Memory for results that are soon read: arrays made anew for each run would wait for the garbage collector by the dozen. */
class Scratch {
  #memory = new Float32Array(0);

  take(length: number): Float32Array<ArrayBuffer> {
    if (this.#memory.length < length) this.#memory = new Float32Array(length);
    return this.#memory.subarray(0, length);
  }
}
