// The only way out of the page: requests to the server that it came from. A busy server is asked again after the time it
// names, a missing key is asked for, and every refusal is a sentence.

import { el } from "./dom.js";

export interface Labels {
  id2label: Record<string, string>;
}
export interface Model {
  model_id: string;
  model_sha: string | null;
  model_dtype: string | null;
  max_input_length: number;
  model_type: {
    embedding?: { pooling: string; dimension: number; prompts: Record<string, string> };
    classifier?: Labels;
    reranker?: Labels;
    fill_mask?: { mask_token: string };
    tagger?: Labels;
  };
}
export interface Info {
  version: string;
  max_client_batch_size: number;
  max_concurrent_requests: number;
  payload_limit: number;
  models: Model[];
}
export type Task = keyof Model["model_type"];

export function modelsFor(info: Info, task: Task): Model[] {
  return info.models.filter(({ model_type }) => model_type[task] !== undefined);
}

const KEY = "neobert-api-key";
const BUSY_TRIES = 20;
let asking: Promise<void> | undefined;

/** The answer to a POST of JSON. Rejects with a sentence for people. */
export async function post<T>(path: string, body: object, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    const key = sessionStorage.getItem(KEY);
    const headers = { "content-type": "application/json", ...(key !== null && { authorization: `Bearer ${key}` }) };
    const response = await send(path, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (response.ok) return response.json();
    if (response.status === 401) {
      await askForKey(key !== null, signal);
    } else if ((response.status === 429 || response.status === 503) && tries < BUSY_TRIES) {
      await pause(1000 * Number(response.headers.get("retry-after") ?? 1), signal);
    } else throw new Error(await sentence(response));
  }
}

export async function getText(path: string): Promise<string> {
  const response = await send(path, {});
  if (!response.ok) throw new Error(await sentence(response));
  return response.text();
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Error(`The server at ${location.host} does not answer. Is it still running?`, { cause: error });
  }
}

async function sentence(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return `${response.status}: ${JSON.parse(text).message}`;
  } catch {
    return `The server answered ${response.status} ${response.statusText}`;
  }
}

/** Shows the field for a key, and waits until one is given. All requests that wait, wait for the same. */
async function askForKey(wasWrong: boolean, signal: AbortSignal): Promise<void> {
  const form = document.querySelector<HTMLFormElement>("#key")!;
  const input = form.querySelector("input")!;
  asking ??= new Promise((resolve) => {
    form.hidden = false;
    form.querySelector("label")!.textContent = wasWrong
      ? "Not the server's key. API key"
      : "The server asks for an API key";
    input.select();
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, input.value.trim());
      form.hidden = true;
      asking = undefined;
      resolve();
    };
  });
  await Promise.race([asking, aborted(signal)]);
}

function pause(ms: number, signal: AbortSignal): Promise<unknown> {
  return Promise.race([new Promise((resolve) => setTimeout(resolve, ms)), aborted(signal)]);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export interface Run {
  signal: AbortSignal;
  progress(done: number, of: number): void;
}

const PART_TEXTS = 64;
const PART_CHARACTERS = 200_000;
/** Parts on their way at once: the server is not idle while an answer is read. */
const LANES = 2;

/** What `send` makes of each text: of parts of them, as large as a server takes well. */
export async function inParts<T>(
  texts: readonly string[],
  { max_client_batch_size, payload_limit }: Info,
  run: Run,
  send: (part: readonly string[], signal: AbortSignal, start: number) => Promise<readonly T[]>,
): Promise<T[]> {
  const starts = partStarts(
    texts,
    Math.min(max_client_batch_size, PART_TEXTS),
    Math.min(payload_limit / 8, PART_CHARACTERS),
  );
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  const results: (readonly T[])[] = [];
  let [next, done] = [0, 0];
  const lane = async () => {
    while (next < starts.length) {
      const at = next++;
      const part = texts.slice(starts[at], starts[at + 1]);
      results[at] = await send(part, signal, starts[at]!);
      done += part.length;
      run.progress(done, texts.length);
    }
  };
  run.progress(0, texts.length);
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    stop.abort();
  }
  return results.flat();
}

function partStarts(texts: readonly string[], most: number, mostCharacters: number): number[] {
  const starts: number[] = [];
  let characters = Number.POSITIVE_INFINITY;
  texts.forEach(({ length }, i) => {
    characters += length;
    if (characters <= mostCharacters && i - starts.at(-1)! < most) return;
    starts.push(i);
    characters = length;
  });
  return starts;
}

/** A button that runs a piece of work, is its stop button meanwhile, and a place beside it for how it goes and how it ended. */
export class Job {
  readonly button = el("button", { type: "button", class: "primary", click: () => this.run() });
  readonly note = el("div", { class: "job" });
  readonly #work: (run: Run) => Promise<string>;
  #label: string;
  #stop: AbortController | undefined;
  #running: Promise<void> | undefined;

  /** `work` resolves to a sentence about what it did. */
  constructor(label: string, work: (run: Run) => Promise<string>) {
    this.#label = label;
    this.#work = work;
    this.button.textContent = label;
  }

  set label(label: string) {
    this.#label = label;
    if (!this.#stop) this.button.textContent = label;
  }

  /** Begins; stops where it has begun. */
  run(): void {
    if (this.#stop) this.#stop.abort();
    else this.#running = this.#begin();
  }

  /** Begins, anew where it has begun. */
  async restart(): Promise<void> {
    this.#stop?.abort();
    await this.#running;
    if (!this.#stop) this.run();
  }

  async #begin(): Promise<void> {
    const { signal } = (this.#stop = new AbortController());
    const bar = el("progress", { "aria-label": this.#label });
    const count = el("span");
    this.button.textContent = "Stop";
    this.note.replaceChildren(bar, count);
    let reached = "";
    const progress = (done: number, of: number) => {
      [bar.max, bar.value] = [of, done];
      reached = `${done.toLocaleString("en")} of ${of.toLocaleString("en")}`;
      count.textContent = reached;
    };
    try {
      this.note.replaceChildren(el("p", { role: "status" }, await this.#work({ signal, progress })));
    } catch (error) {
      const stopped = reached === "" ? "Stopped." : `Stopped at ${reached}.`;
      const text = signal.aborted ? stopped : (error as Error).message;
      this.note.replaceChildren(el("p", signal.aborted ? { role: "status" } : { role: "alert", class: "error" }, text));
    } finally {
      this.#stop = undefined;
      this.button.textContent = this.#label;
    }
  }
}
