// A repository's own .onnx file on ONNX Runtime, on request: the layout of transformers.js and optimum, input_ids and
// attention_mask [B, S] (and token_type_ids where the graph asks) to last_hidden_state, token_embeddings, logits or
// sentence_embedding. Packed texts become padded batches of texts of about one length.

import { join } from "node:path";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { readJsonFile } from "../files/input-file.js";
import type { Head } from "../model/architecture.js";
import { architectureOf, headOf, type ModelArchitecture, type ModelConfig } from "../model/architectures.js";
import { toFloat32 } from "../model/float32.js";
import { checkBatch, expectHead, type PackedBatch } from "../model/packed-batch.js";
import { importOnnxRuntime, openSession } from "../onnx/onnxruntime.js";
import { shortestFirst } from "../onnx/packed-feeds.js";
import { spanOutputs } from "../onnx/trace.js";
import { cutPadded } from "./planner.js";

export interface OnnxFileEngineOptions {
  /** Path of the graph. */
  onnxFile: string;
  /** The head whose result the graph gives; the one that config.json names where absent. */
  head?: Head;
  threads?: number;
}

const inputNames = ["input_ids", "attention_mask", "token_type_ids"] as const;
type InputName = (typeof inputNames)[number];

/**
 * Names of the outputs that a head may have, the better first, the name of a second one whose values go beside it, and
 * the number of their dimensions.
 */
const outputsOf: Record<Head, { names: string[]; beside?: string; rank: number }> = {
  none: { names: ["last_hidden_state", "token_embeddings"], rank: 3 },
  maskedLM: { names: ["logits"], rank: 3 },
  sequenceClassification: { names: ["logits"], rank: 2 },
  tokenClassification: { names: ["logits"], rank: 3 },
  questionAnswering: { names: [spanOutputs[0]], beside: spanOutputs[1], rank: 2 },
};
/** What a graph gives that pools by itself. */
const POOLED = "sentence_embedding";

/** Most tokens of a padded batch, and of one whose results are as wide as the vocabulary. */
const [MOST_TOKENS, MOST_WIDE_TOKENS] = [2048, 512];
/** Share of a padded batch that may be padding. */
const MOST_PADDING = 1 / 8;

/** Opens a graph for the config.json in `folder`. Throws where its inputs or outputs are not those of the head. */
export async function loadOnnxFileEngine(folder: string, options: OnnxFileEngineOptions): Promise<OnnxFileEngine> {
  const raw: unknown = readJsonFile(join(folder, "config.json"));
  const architecture = architectureOf(raw);
  const { onnxFile, head = headOf(architecture), threads } = options;
  const session = await openSession(onnxFile, threads).catch((cause: Error) => {
    if (cause.message.startsWith(onnxFile)) throw cause;
    throw new Error(`${onnxFile}: expected a graph that ONNX Runtime opens, got ${cause.message}`, { cause });
  });
  try {
    return new OnnxFileEngine(onnxFile, session, { architecture, head });
  } catch (error) {
    await session.release();
    throw error;
  }
}

interface GraphOutput {
  name: string;
  beside?: string;
  rank: number;
}

interface OpenGraph {
  architecture: ModelArchitecture;
  head: Head;
}

export class OnnxFileEngine {
  readonly kind = "onnx";
  readonly architecture: ModelArchitecture;
  readonly config: ModelConfig;
  readonly head: Head;
  readonly mostTokens: number;
  /** Vectors of the texts [B, d], where the graph pools by itself and has no result for each token. */
  readonly sentences: ((batch: PackedBatch) => Promise<Float32Array>) | undefined;
  readonly #file: string;
  readonly #session: InferenceSession;
  readonly #inputs: { name: InputName; type: "int32" | "int64" }[];
  readonly #output: GraphOutput;

  /** Use `loadOnnxFileEngine`. */
  constructor(file: string, session: InferenceSession, { architecture, head }: OpenGraph) {
    this.architecture = architecture;
    this.config = architecture.config;
    this.head = head;
    this.mostTokens = head === "maskedLM" ? MOST_WIDE_TOKENS : MOST_TOKENS;
    this.#file = file;
    this.#session = session;
    this.#inputs = checkInputs(file, session);
    this.#output = chooseOutput(file, session, head);
    const { name, rank } = this.#output;
    const metadata = session.outputMetadata.find((output) => output.name === name);
    const shape = metadata?.isTensor ? metadata.shape : [];
    if (shape.length > 0) this.#checkShape(shape, rank);
    this.sentences = name === POOLED ? (batch) => this.#texts("encode", batch) : undefined;
  }

  /** Last hidden state of every token, [N, C]. */
  async hidden(batch: PackedBatch): Promise<Float32Array> {
    if (!this.sentences) return this.#tokens("hidden", batch);
    const expected = outputsOf.none.names.join(" or ");
    throw new Error(`${this.#file}: expected an output ${expected} for vectors of tokens, got ${POOLED} only`);
  }

  /** Masked-LM logits [M, V] of the tokens at `rows` (indices into the packed ids). */
  async maskedLogits(batch: PackedBatch, rows: Int32Array): Promise<Float32Array> {
    expectHead("maskedLogits", this, "maskedLM");
    const V = this.config.vocab_size;
    const logits = new Float32Array(rows.length * V);
    await this.#each("maskedLogits", batch, MOST_WIDE_TOKENS, (texts, result, S) => {
      for (const [i, text] of texts.entries()) {
        const [start, end] = [batch.cuSeqlens[text]!, batch.cuSeqlens[text + 1]!];
        for (const [m, row] of rows.entries()) {
          if (row < start || row >= end) continue;
          const at = (i * S + row - start) * V;
          logits.set(result.subarray(at, at + V), m * V);
        }
      }
    });
    return logits;
  }

  /** Class logits of the texts, [B, labels]. */
  async sequenceLogits(batch: PackedBatch): Promise<Float32Array> {
    expectHead("sequenceLogits", this, "sequenceClassification");
    return this.#texts("sequenceLogits", batch);
  }

  /** Class logits of the tokens, [N, labels], or of an answer's start and end, [N, 2]. */
  async tokenLogits(batch: PackedBatch): Promise<Float32Array> {
    expectHead("tokenLogits", this, "tokenClassification", "questionAnswering");
    return this.#tokens("tokenLogits", batch);
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }

  /** A row of results for each text. */
  async #texts(where: string, batch: PackedBatch): Promise<Float32Array> {
    const B = batch.cuSeqlens.length - 1;
    let values = new Float32Array(0);
    await this.#each(where, batch, MOST_TOKENS, (texts, result) => {
      const width = result.length / texts.length;
      if (values.length === 0) values = new Float32Array(B * width);
      for (const [i, text] of texts.entries()) values.set(result.subarray(i * width, (i + 1) * width), text * width);
    });
    return values;
  }

  /** A row of results for each token, without the padding's. */
  async #tokens(where: string, batch: PackedBatch): Promise<Float32Array> {
    const { cuSeqlens, ids } = batch;
    let values = new Float32Array(0);
    await this.#each(where, batch, MOST_TOKENS, (texts, result, S) => {
      const width = result.length / (texts.length * S);
      if (values.length === 0) values = new Float32Array(ids.length * width);
      for (const [i, text] of texts.entries()) {
        const length = cuSeqlens[text + 1]! - cuSeqlens[text]!;
        values.set(result.subarray(i * S * width, (i * S + length) * width), cuSeqlens[text]! * width);
      }
    });
    return values;
  }

  /** Runs the batch in padded parts; `take` gets each part's texts, its result and its padded length. */
  async #each(
    where: string,
    batch: PackedBatch,
    mostTokens: number,
    take: (texts: readonly number[], result: Float32Array, S: number) => void,
  ): Promise<void> {
    checkBatch(where, this, batch);
    const { Tensor } = await importOnnxRuntime();
    const { name, beside, rank } = this.#output;
    for (const texts of paddedRuns(batch.cuSeqlens, mostTokens)) {
      const { arrays, S } = padded(batch, texts, this.config.pad_token_id ?? 0);
      const feeds: Record<string, Tensor> = {};
      for (const { name, type } of this.#inputs) {
        const values = type === "int64" ? BigInt64Array.from(arrays[name], BigInt) : arrays[name];
        feeds[name] = new Tensor(type, values, [texts.length, S]);
      }
      const names = beside === undefined ? [name] : [name, beside];
      const results = await this.#session.run(feeds, names);
      for (const name of names) this.#checkShape(results[name]!.dims, rank);
      const [values, others] = names.map((name) => floatsOf(results[name]!));
      take(texts, others ? alternating(values!, others) : values!, S);
    }
  }

  /** Throws where the graph's result has not the form that the head's has; names stand for sizes known at run time. */
  #checkShape(shape: readonly (number | string)[], rank: number): void {
    const { hidden_size, vocab_size } = this.config;
    const wide = this.head === "maskedLM" ? vocab_size : hidden_size;
    const last = shape.at(-1);
    const isBound = this.head === "maskedLM" || (this.#output.rank === 3 && this.head === "none");
    const fits = shape.length === rank && !(isBound && typeof last === "number" && last > 0 && last !== wide);
    if (fits) return;
    const isSpans = this.head === "questionAnswering";
    const dims = ["texts", ...(rank === 3 ? ["tokens"] : []), isBound ? wide : isSpans ? "tokens" : "width"];
    const { classNames } = this.architecture;
    throw new Error(
      `${this.#file}: expected output ${this.#output.name} [${dims.join(", ")}] of ${classNames[this.head]}, ` +
        `got [${shape.join(", ")}]\nTake the file that was exported with this head.`,
    );
  }
}

function checkInputs(file: string, session: InferenceSession) {
  const inputs = session.inputMetadata.map((input) => ({ name: input.name, type: input.isTensor ? input.type : "" }));
  const known = (name: string): name is InputName => (inputNames as readonly string[]).includes(name);
  const foreign = inputs.filter(({ name, type }) => !known(name) || !/^int(32|64)$/.test(type));
  if (foreign.length > 0 || inputs.length === 0) {
    const got = foreign.map(({ name, type }) => `${name} (${type})`).join(", ") || "none";
    throw new Error(`${file}: expected whole-number inputs ${inputNames.join(", ")}, got ${got}`);
  }
  return inputs as { name: InputName; type: "int32" | "int64" }[];
}

function chooseOutput(file: string, { outputNames }: InferenceSession, head: Head): GraphOutput {
  const { names, beside, rank } = outputsOf[head];
  const found = names.find((name) => outputNames.includes(name));
  const hasAll = beside === undefined || outputNames.includes(beside);
  if (found && hasAll) return { name: found, rank, ...(beside !== undefined && { beside }) };
  if (head === "none" && outputNames.includes(POOLED)) return { name: POOLED, rank: 2 };
  const expected = head === "none" ? [...names, POOLED] : names;
  throw new Error(
    `${file}: expected an output ${expected.join(" or ")}${beside === undefined ? "" : ` and ${beside}`}, got ${outputNames.join(", ")}\n` +
      "Take the file that was exported for this task.",
  );
}

/** Texts sorted by length, cut where a batch would have too many tokens or too much padding. */
export function paddedRuns(cuSeqlens: Int32Array, mostTokens: number): number[][] {
  const tokenCount = (text: number) => cuSeqlens[text + 1]! - cuSeqlens[text]!;
  return [...cutPadded(shortestFirst(cuSeqlens), tokenCount, { maxTokens: mostTokens, maxPadding: MOST_PADDING })];
}

function padded({ ids, tokenTypes, cuSeqlens }: PackedBatch, texts: readonly number[], padId: number) {
  const S = Math.max(...texts.map((text) => cuSeqlens[text + 1]! - cuSeqlens[text]!));
  const arrays: Record<InputName, Int32Array> = {
    input_ids: new Int32Array(texts.length * S).fill(padId), // RoBERTa's graphs tell padding by its id
    attention_mask: new Int32Array(texts.length * S),
    token_type_ids: new Int32Array(texts.length * S),
  };
  for (const [i, text] of texts.entries()) {
    const [start, end] = [cuSeqlens[text]!, cuSeqlens[text + 1]!];
    arrays.input_ids.set(ids.subarray(start, end), i * S);
    arrays.attention_mask.fill(1, i * S, i * S + end - start);
    if (tokenTypes) arrays.token_type_ids.set(tokenTypes.subarray(start, end), i * S);
  }
  return { arrays, S };
}

/** One value of each in turn. */
function alternating(a: Float32Array, b: Float32Array): Float32Array {
  const values = new Float32Array(2 * a.length);
  for (let i = 0; i < a.length; i++) {
    values[2 * i] = a[i]!;
    values[2 * i + 1] = b[i]!;
  }
  return values;
}

function floatsOf({ type, data }: Tensor): Float32Array {
  if (type === "float32") return data as Float32Array;
  if (type !== "float16") throw new Error(`expected results of float32 or float16, got ${type}`);
  const { buffer, byteOffset, length } = data as Uint16Array<ArrayBuffer>;
  return toFloat32({ dtype: "F16", data: new Uint16Array(buffer, byteOffset, length), shape: [length] });
}
