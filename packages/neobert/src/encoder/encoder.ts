// Encoder: texts to vectors, by a sentence-transformers folder or any plain encoder, on ONNX Runtime or libtorch, off the
// event loop. What a folder says (pooling, prompts, longest text, similarity) is the default of every call. Texts are
// computed sorted by length under a budget of tokens and given back in the caller's order; a text's vector does not
// depend on the others.

import { isTokenIds, type TokenIds } from "../texts/text-input.js";
import { TokenizedTexts } from "../texts/tokenized.js";
import { checkPooling, type PoolingMode } from "../vectors/pooling.js";
import { bytesOf, type Output, type OutputArrays, outputs, type Ranges, rangesOf } from "../vectors/quantize.js";
import { type NumberArray, Rows } from "../vectors/rows.js";
import { preparation, type SentenceFolder } from "../vectors/sentence-transformers.js";
import { type SimilarityFunction, similarities } from "../vectors/similarity.js";
import type { VectorSettings } from "../vectors/vector-head.js";
import {
  type CallOptions,
  LoadedModel,
  type LoadOptions,
  loadWith,
  type ModelParts,
  nameText,
  waitingOf,
} from "./loaded-model.js";
import { untilAborted } from "./until-aborted.js";

export interface TokenOptions extends CallOptions {
  /** What the text is in a search; chooses the model's prompt for it, if it has one. */
  role?: "query" | "document";
  /** One of the model's own prompts, by name. */
  promptName?: string;
  /** A prompt to put before each text. */
  prompt?: string;
}

export interface EncodeOptions<O extends Output = "float"> extends TokenOptions {
  /** Default: as the folder says; the mean over the tokens where it says nothing. Several are put side by side. */
  pooling?: PoolingMode | readonly PoolingMode[];
  /** Whether vectors have length 1; default: as the folder says. */
  normalize?: boolean;
  /** Keeps the first dimensions only (for models trained so), normalised anew where vectors are. */
  dimensions?: number;
  /** "float" (default), "int8" (by `ranges` or `calibration`), or a bit a dimension: "binary", "ubinary". */
  output?: O;
  /** Range of each dimension for "int8", from `calibrate`. */
  ranges?: Ranges;
  /** Texts, or float vectors, to take the ranges from. */
  calibration?: readonly string[] | Rows<Float32Array>;
}

export interface StreamOptions<O extends Output = "float"> extends EncodeOptions<O> {
  /** Texts of one chunk; default 1024, fewer where texts are long. */
  chunkTexts?: number;
}

/** Vectors of texts, row after row. */
export class Embeddings<T extends NumberArray = Float32Array> extends Rows<T> {
  readonly output: Output;
  /** Tokens that each text was computed from, special ones and prompt included. */
  readonly tokenCounts: Int32Array;

  constructor(data: T, shape: readonly [number, number], output: Output, tokenCounts: Int32Array) {
    super(data, shape);
    this.output = output;
    this.tokenCounts = tokenCounts;
  }
}

/** Vectors of the tokens of one text, special tokens included. */
export class TokenVectors extends Rows<Float32Array> {
  /** The text as the model saw it: with prompt, trimmed; empty, as are all places in it, where token ids were given. */
  readonly text: string;
  readonly ids: Int32Array;
  readonly tokens: string[];
  /** Start and end of each token in `text`. */
  readonly offsets: Int32Array;

  constructor(data: Float32Array, d: number, text: string, encoding: Pick<TokenVectors, "ids" | "tokens" | "offsets">) {
    super(data, [encoding.ids.length, d]);
    this.text = text;
    this.ids = encoding.ids;
    this.tokens = encoding.tokens;
    this.offsets = encoding.offsets;
  }
}

const CHUNK_TEXTS = 1024;
const CHUNK_CHARACTERS = 2 ** 22;

export class Encoder extends LoadedModel {
  /** Names and texts of the model's prompts. */
  readonly prompts: Readonly<Record<string, string>>;
  readonly pooling: readonly PoolingMode[];
  /** The function that `similarity` computes. */
  readonly similarityFunction: SimilarityFunction;
  /** Dimensions of a vector. */
  readonly dimension: number;
  readonly #sentence: SentenceFolder;
  readonly #hiddenSize: number;

  private constructor(parts: ModelParts) {
    super(parts);
    const { sentence } = parts;
    this.#sentence = sentence;
    this.prompts = sentence.prompts;
    this.pooling = sentence.pooling;
    this.similarityFunction = sentence.similarity;
    this.#hiddenSize = this.config.hidden_size;
    this.dimension = this.#widthOf(sentence.pooling);
  }

  /**
   * Loads an encoder by folder, run folder or name on the Hub (`owner/name`, fetched once into the cache that Python
   * shares). Rejects where it is not found or its files do not fit together.
   */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<Encoder> {
    return loadWith("Encoder.load", nameOrFolder, "none", options, (parts) => new Encoder(parts));
  }

  /**
   * The vector of a text, or those of a list of texts in its order. Token ids in place of a text reach the model as they
   * are. Rejects naming the text that fails.
   */
  encode<O extends Output = "float">(text: string | TokenIds, options?: EncodeOptions<O>): Promise<OutputArrays[O]>;
  encode<O extends Output = "float">(
    texts: readonly (string | TokenIds)[],
    options?: EncodeOptions<O>,
  ): Promise<Embeddings<OutputArrays[O]>>;
  async encode<O extends Output>(
    input: string | TokenIds | readonly (string | TokenIds)[],
    options: EncodeOptions<O> = {},
  ) {
    const texts = isSingle(input) ? [input] : input;
    const vectors = await this.thread.call("encode", async () => {
      return this.#encodeAll(texts, await this.#calibrated(options), 0);
    });
    return isSingle(input) ? vectors.data : vectors;
  }

  /**
   * Vectors of any number of texts, chunk by chunk in their order. At most two chunks are held; the next is computed while
   * the caller uses the last.
   */
  async *encodeStream<O extends Output = "float">(
    texts: Iterable<string> | AsyncIterable<string>,
    options: StreamOptions<O> = {},
  ): AsyncGenerator<Embeddings<OutputArrays[O]>, void> {
    const { chunkTexts = CHUNK_TEXTS, onProgress, signal, ...rest } = await this.#calibrated(options);
    const stop = new AbortController();
    const settings = { ...rest, signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal };
    let ahead: Promise<Embeddings<OutputArrays[O]>> | undefined;
    let [given, done] = [0, 0];
    const finished = async (chunk: Promise<Embeddings<OutputArrays[O]>>) => {
      const vectors = await chunk;
      done += vectors.length;
      onProgress?.({ done, total: given });
      return vectors;
    };
    try {
      for await (const chunk of untilAborted(chunksOf(texts, chunkTexts), signal)) {
        const firstIndex = given;
        const next = this.thread.call("encode", () => this.#encodeAll(chunk, settings as EncodeOptions<O>, firstIndex));
        next.catch(() => {}); // it is awaited below
        given += chunk.length;
        if (ahead) yield await finished(ahead);
        ahead = next;
      }
      if (ahead) yield await finished(ahead);
    } finally {
      stop.abort();
    }
  }

  /** The vectors of a text's tokens, or of each text of a list. */
  tokens(text: string | TokenIds, options?: TokenOptions): Promise<TokenVectors>;
  tokens(texts: readonly (string | TokenIds)[], options?: TokenOptions): Promise<TokenVectors[]>;
  async tokens(
    input: string | TokenIds | readonly (string | TokenIds)[],
    options: TokenOptions = {},
  ): Promise<TokenVectors | TokenVectors[]> {
    const texts = isSingle(input) ? [input] : input;
    const prepare = this.#preparation(this.promptFor("tokens", options));
    const maxTokens = this.lengthFor("tokens", options.maxTokens);
    const { signal } = options;
    const vectors: TokenVectors[] = [];
    await this.thread.call("tokens", async () => {
      const encodings = await this.texts.encodeAll(texts, { where: "tokens", maxTokens, signal, prepare });
      await this.thread.compute({
        ...this.#callOptions("tokens", texts, options),
        texts: TokenizedTexts.of(encodings),
        task: () => ({ kind: "hidden" }),
        take: (order, cuSeqlens, { data }) => {
          const C = this.#hiddenSize;
          for (const [i, text] of order.entries()) {
            const own = data.slice(cuSeqlens[i]! * C, cuSeqlens[i + 1]! * C) as Float32Array;
            const given = texts[text]!;
            vectors[text] = new TokenVectors(own, C, isTokenIds(given) ? "" : prepare(given), encodings[text]!);
          }
        },
      });
    });
    return isSingle(input) ? vectors[0]! : vectors;
  }

  /** The ranges that "int8" takes, from texts like those to come (some hundreds or more) or from their vectors. */
  async calibrate(
    calibration: readonly string[] | Rows<Float32Array>,
    options: Omit<EncodeOptions, "output" | "ranges" | "calibration"> = {},
  ): Promise<Ranges> {
    return this.thread.call("calibrate", () => this.#rangesOf(calibration, options));
  }

  async #rangesOf(
    calibration: readonly string[] | Rows<Float32Array>,
    options: Omit<EncodeOptions, "output" | "ranges" | "calibration">,
  ): Promise<Ranges> {
    const vectors =
      calibration instanceof Rows
        ? calibration
        : await this.#encodeAll(calibration, { ...options, output: "float" }, 0);
    return rangesOf(vectors.data, vectors.shape[1]);
  }

  /**
   * How alike two vectors are, or each row of `a` and each of `b` [n, m], by the model's own function (usually cosine).
   * Distances are negative. Computed at once, in the calling thread.
   */
  similarity(a: Float32Array | Int8Array, b: Float32Array | Int8Array): number;
  similarity(a: Vectors, b: Vectors): Rows<Float32Array>;
  similarity(a: Vectors, b: Vectors): number | Rows<Float32Array> {
    const rows = [a, b].map((side) => {
      if (side instanceof Embeddings && side.output.endsWith("binary")) {
        throw new Error(`similarity: expected output "float" or "int8", got "${side.output}"`);
      }
      return side instanceof Rows ? side : new Rows<NumberArray>(side, [1, side.length]);
    });
    const scores = similarities(rows[0]!, rows[1]!, this.similarityFunction);
    return a instanceof Rows || b instanceof Rows ? scores : scores.data[0]!;
  }

  async #encodeAll<O extends Output>(
    texts: readonly (string | TokenIds)[],
    options: EncodeOptions<O>,
    firstIndex: number,
  ): Promise<Embeddings<OutputArrays[O]>> {
    const where = "encode";
    const prompt = this.promptFor(where, options);
    const settings = this.#settings(where, options, prompt);
    const width = settings.dimensions ?? this.#widthOf(settings.pooling);
    const d = settings.output.endsWith("binary") ? bytesOf(width) : width;
    const data = makeArray(settings.output, texts.length * d);
    const tokenCounts = new Int32Array(texts.length);
    const tokenizing = {
      where,
      maxTokens: this.lengthFor(where, options.maxTokens),
      signal: options.signal,
      firstIndex,
      prepare: this.#preparation(prompt),
    };
    await this.thread.compute({
      ...this.#callOptions(where, texts, options, firstIndex),
      texts: await this.texts.tokenizeAll(texts, tokenizing),
      task: () => ({ kind: "vectors", settings }),
      take: (order, cuSeqlens, result) => {
        if (result.data.length !== order.length * d) {
          const got = `${result.data.length / order.length}`;
          throw new Error(`${where}: expected vectors of ${d} numbers from the model, got ${got}`);
        }
        for (const [i, text] of order.entries()) {
          data.set(result.data.subarray(i * d, (i + 1) * d), text * d);
          tokenCounts[text] = cuSeqlens[i + 1]! - cuSeqlens[i]!;
        }
      },
    });
    return new Embeddings(data as OutputArrays[O], [texts.length, d], settings.output, tokenCounts);
  }

  #callOptions(where: string, texts: readonly (string | TokenIds)[], options: CallOptions, firstIndex = 0) {
    const describe = (text: number) => nameText(firstIndex + text, texts[text]!);
    return { ...waitingOf(options), where, describe };
  }

  async #calibrated<T extends EncodeOptions<Output>>(options: T): Promise<T> {
    const { calibration, ...rest } = options;
    if (options.output !== "int8" || options.ranges || calibration === undefined) return options;
    const { onProgress: _, output: __, ...how } = rest;
    return { ...options, ranges: await this.#rangesOf(calibration, how) };
  }

  #settings(where: string, options: EncodeOptions<Output>, prompt: string): VectorSettings {
    const { normalize, dimensions, output = "float", ranges } = options;
    const pooling = options.pooling === undefined ? this.#sentence.pooling : checkPooling(where, options.pooling);
    const width = this.#widthOf(pooling);
    if (dimensions !== undefined && !(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= width)) {
      throw new RangeError(`${where}: expected dimensions from 1 to ${width}, got ${dimensions}`);
    }
    if (!outputs.includes(output)) {
      throw new Error(`${where}: expected output ${outputs.join(", ")}, got ${JSON.stringify(output)}`);
    }
    if (output === "int8" && !ranges) {
      throw new Error(
        `${where}: expected ranges or calibration texts for output "int8", got neither\nMake ranges with \`calibrate\`.`,
      );
    }
    const skip = this.#sentence.includePrompt || prompt === "" ? 0 : this.#promptTokens(prompt);
    const asksPooling = options.pooling !== undefined;
    return { pooling, asksPooling, skip, normalize, dimensions, output, ranges };
  }

  /** The prompt that a call with these options puts before each text. Throws where it is not among the model's. */
  promptFor(where: string, { prompt, promptName, role }: Pick<TokenOptions, "prompt" | "promptName" | "role">): string {
    if (prompt !== undefined) return prompt;
    const { prompts, defaultPromptName } = this.#sentence;
    if (role !== undefined && role !== "query" && role !== "document") {
      throw new Error(`${where}: expected role "query" or "document", got ${JSON.stringify(role)}`);
    }
    const names = role === "query" ? ["query"] : role === "document" ? ["document", "passage", "corpus"] : [];
    const name = promptName ?? names.find((name) => Object.hasOwn(prompts, name)) ?? defaultPromptName;
    if (name === undefined) return "";
    if (Object.hasOwn(prompts, name)) return prompts[name]!;
    const known = Object.keys(prompts).join(", ") || "no prompts";
    throw new Error(`${where}: expected promptName among the model's (${known}), got ${JSON.stringify(name)}`);
  }

  /** What sentence-transformers (since 5.4) does to a text: prompt before it, perhaps lower case. */
  #preparation(prompt: string): (text: string) => string {
    return preparation(prompt, this.#sentence.lowercase);
  }

  /** Tokens at the start of a text with this prompt that are the prompt's: the leading special ones count. */
  #promptTokens(prompt: string): number {
    return this.texts.leading + this.tokenizer.encodeIds(this.#preparation(prompt)("")).length;
  }

  #widthOf(pooling: readonly PoolingMode[]): number {
    const dense = this.#sentence.modules.findLast((module) => module.kind === "dense");
    return dense?.outFeatures ?? this.#hiddenSize * pooling.length;
  }
}

function isSingle(input: string | TokenIds | readonly (string | TokenIds)[]): input is string | TokenIds {
  return typeof input === "string" || isTokenIds(input);
}

/** One vector, or rows of them. */
export type Vectors = Float32Array | Int8Array | Rows<NumberArray>;

function makeArray(output: Output, length: number): NumberArray {
  if (output === "float") return new Float32Array(length);
  return output === "ubinary" ? new Uint8Array(length) : new Int8Array(length);
}

async function* chunksOf(texts: Iterable<string> | AsyncIterable<string>, chunkTexts: number) {
  let chunk: string[] = [];
  let characters = 0;
  for await (const text of texts) {
    chunk.push(text);
    characters += text?.length ?? 0;
    if (chunk.length < chunkTexts && characters < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = [];
    characters = 0;
  }
  if (chunk.length > 0) yield chunk;
}
