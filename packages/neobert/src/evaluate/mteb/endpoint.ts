// Vectors over HTTP: servers that answer as OpenAI's /v1/embeddings does (theirs, text-embeddings-inference, vLLM, llama.cpp,
// ollama ...). Some batches are under way at a time; what may pass (429, 5xx, a broken connection) is tried again.

import { setTimeout as sleep } from "node:timers/promises";
import type { VectorRows } from "../evaluators/types.js";
import type { EncodeCall, TextEncoder } from "./model.js";

export interface EndpointOptions {
  /** Base (`https://host/v1`) or whole (`.../embeddings`) address. */
  url: string;
  /** The server's name of the model; default: the one model that it lists. */
  model?: string;
  /** Sent as `Authorization: Bearer`. */
  apiKey?: string;
  /** Asks for vectors of this length, where the model can. */
  dimensions?: number;
  /** Texts of one request (default 64), and requests at a time (default 4). */
  batchTexts?: number;
  concurrency?: number;
  /** Tries of one request (default 6), the first pause between them (default 500), and how long one may take (default 120,000). */
  attempts?: number;
  pauseMs?: number;
  timeoutMs?: number;
}

const defaults = { batchTexts: 64, concurrency: 4, attempts: 6, pauseMs: 500, timeoutMs: 120_000 };
const MAX_PAUSE_MS = 60_000;

/** An embedder behind `url`. Rejects where the server cannot be asked or does not say which model it has. */
export async function openEndpoint(options: EndpointOptions): Promise<HttpEmbedder> {
  if (!URL.canParse(options.url) || !/^https?:$/.test(new URL(options.url).protocol)) {
    throw new Error(`endpoint: expected an http or https address, got ${options.url}`);
  }
  const address = new URL(options.url);
  address.pathname = address.pathname.replace(/\/+$/, "").replace(/\/embeddings$/, "") || "/v1";
  address.hash = "";
  const base = address.href.replace(/\/+$/, "");
  const settings = { ...defaults, ...options };
  if (options.model !== undefined) return new HttpEmbedder(base, options.model, settings);
  const { data } = (await ask(`${base}/models`, undefined, settings)) as { data?: { id?: unknown }[] };
  const names = (Array.isArray(data) ? data : []).map(({ id }) => String(id));
  if (names.length === 1) return new HttpEmbedder(base, names[0]!, settings);
  throw new Error(
    `${base}/models: expected one model, got ${names.slice(0, 10).join(", ") || "none"}\nName the model as it is called there.`,
  );
}

type EndpointSettings = EndpointOptions & typeof defaults;

export class HttpEmbedder implements TextEncoder {
  readonly url: string;
  /** The server's name of the model. */
  readonly name: string;
  readonly #settings: EndpointSettings;

  /** Use `openEndpoint`. */
  constructor(base: string, name: string, settings: EndpointSettings) {
    this.url = `${base}/embeddings`;
    this.name = name;
    this.#settings = settings;
  }

  async encode(texts: readonly string[], { prompt = "", onProgress, signal }: EncodeCall = {}): Promise<VectorRows> {
    const { batchTexts, concurrency } = this.#settings;
    const starts = Array.from({ length: Math.ceil(texts.length / batchTexts) }, (_, i) => i * batchTexts);
    let result: { data: Float32Array; d: number } | undefined;
    let done = 0;
    const work = async () => {
      for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
        const batch = texts.slice(start, start + batchTexts);
        const vectors = await this.#embed(batch.map((text) => prompt + text), signal); // biome-ignore format: short
        result ??= { data: new Float32Array(texts.length * vectors[0]!.length), d: vectors[0]!.length };
        for (const [i, vector] of vectors.entries()) {
          if (vector.length !== result.d) {
            throw new Error(`${this.url}: expected vectors of ${result.d} values as before, got ${vector.length}`);
          }
          result.data.set(vector, (start + i) * result.d);
        }
        done += batch.length;
        onProgress?.({ done, total: texts.length });
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(concurrency, starts.length) }, work));
    } finally {
      starts.length = 0; // after an error the other workers end with the request that they are at
    }
    return { data: result?.data ?? new Float32Array(0), shape: [texts.length, result?.d ?? 0] };
  }

  async #embed(batch: readonly string[], signal: AbortSignal | undefined): Promise<ArrayLike<number>[]> {
    const { dimensions } = this.#settings;
    const body = {
      model: this.name,
      input: batch.map((text) => (text === "" ? " " : text)), // OpenAI's server refuses empty texts
      encoding_format: "float",
      ...(dimensions !== undefined && { dimensions }),
    };
    const answer = (await ask(this.url, body, this.#settings, signal)) as {
      data?: { index?: number; embedding?: unknown }[];
    };
    const entries = Array.isArray(answer?.data) ? answer.data : [];
    const vectors: ArrayLike<number>[] = [];
    for (const [i, { index = i, embedding }] of entries.entries()) vectors[index] = vectorOf(embedding, this.url);
    if (entries.length !== batch.length || batch.some((_, i) => vectors[i] === undefined)) {
      throw new Error(`${this.url}: expected ${batch.length} vectors for ${batch.length} texts, got ${entries.length}`);
    }
    return vectors;
  }
}

function vectorOf(embedding: unknown, url: string): ArrayLike<number> {
  if (typeof embedding === "string") {
    const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
    if (bytes.length > 0 && bytes.length % 4 === 0) return new Float32Array(bytes.buffer);
  }
  if (Array.isArray(embedding) && embedding.length > 0 && embedding.every(Number.isFinite)) return embedding;
  throw new Error(`${url}: expected an embedding as a list of numbers, got ${JSON.stringify(embedding)?.slice(0, 80)}`);
}

/** A request's JSON, tried until it succeeds or cannot. */
async function ask(url: string, body: unknown, settings: EndpointSettings, signal?: AbortSignal): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await request(url, body, settings, signal);
    if ("json" in outcome) return outcome.json;
    signal?.throwIfAborted();
    if (!outcome.mayPass || attempt >= settings.attempts) {
      const tries = attempt > 1 ? ` after ${attempt} tries` : "";
      throw new Error(`${url}: expected an answer, got ${outcome.problem}${tries}${outcome.wayOut}`);
    }
    const pause = outcome.retryAfterMs ?? settings.pauseMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
    await sleep(Math.min(pause, MAX_PAUSE_MS), undefined, signal && { signal });
  }
}

interface Failure {
  problem: string;
  mayPass: boolean;
  wayOut: string;
  retryAfterMs?: number;
}

async function request(
  url: string,
  body: unknown,
  { apiKey, timeoutMs }: EndpointSettings,
  signal: AbortSignal | undefined,
): Promise<{ json: unknown } | Failure> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const headers = { "content-type": "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
  try {
    const response = await fetch(url, {
      ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
      headers,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    if (response.ok) {
      try {
        return { json: JSON.parse(text) };
      } catch {
        return {
          problem: `${text.slice(0, 80)} instead of JSON`,
          mayPass: false,
          wayOut: "\nIs this the address of an API?",
        };
      }
    }
    const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
    return {
      problem: `status ${response.status}: ${messageOf(text)}`,
      mayPass: response.status === 429 || response.status === 408 || response.status >= 500,
      wayOut: wayOutOf(response.status),
      ...(Number.isFinite(retryAfter) && { retryAfterMs: 1000 * retryAfter }),
    };
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = timeout.aborted
      ? `nothing within ${timeoutMs / 1000} s`
      : cause instanceof Error
        ? cause.message
        : message;
    return { problem: reason || message, mayPass: true, wayOut: "\nIs the server running, and the address right?" };
  }
}

function wayOutOf(status: number): string {
  if (status === 401 || status === 403) return "\nGive its key.";
  if (status === 404) return "\nCheck the address and the model's name.";
  return "";
}

/** What OpenAI's and other servers put into an error's body. */
function messageOf(text: string): string {
  try {
    const { error, message } = JSON.parse(text);
    return String(error?.message ?? error ?? message ?? text).slice(0, 200);
  } catch {
    return text.slice(0, 200) || "no message";
  }
}
