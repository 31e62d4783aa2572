// Files at an address by HTTP: ranges of their bytes, and whole ones. What passes is tried again (a cut connection, a server
// that is busy or has failed); what does not is an error at once. An answer is not believed: it must be of the range that was
// asked for, of a file of the size that the manifest says, and as long as it says itself.
import { setTimeout as wait } from "node:timers/promises";
import type { OpenAddress } from "../../hub/address.js";

/** Of one request; a range has tens of kilobytes, a whole file some megabytes. */
const REQUEST_MS = 60_000;
/** With the waits between them about a minute, in which a server is started anew. */
const ATTEMPTS = 9;
const FIRST_WAIT_MS = 200;
const MOST_WAIT_MS = 20_000;

const notWhole = "The folder is not whole, or was changed: prepare or upload it again.";

type Bytes = Uint8Array<ArrayBuffer>;
type Read<T> = (response: Response) => Promise<T>;

/** An answer that another attempt may better. */
class PassingError extends Error {
  /** What the server asks to wait. */
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number) {
    super(message);
    this.waitMs = waitMs;
  }
}

export class RangeClient {
  readonly #name: string;
  readonly #base: string;
  readonly #fetch: typeof fetch;
  readonly #attempts: number;
  /** Where the Hub has sent us for a file: a storage address that serves for some time. */
  readonly #redirects = new Map<string, string>();

  /** `name` is what a person calls the folder; file names are relative to it. */
  constructor(name: string, { url, fetch }: OpenAddress, attempts = ATTEMPTS) {
    this.#name = name;
    this.#base = `${url}/`;
    this.#fetch = fetch;
    this.#attempts = attempts;
  }

  /** `length` bytes from `position` on of a file of `size` bytes. Throws where the server gives no ranges, or another file's. */
  range(file: string, size: number, position: number, length: number): Promise<Bytes> {
    const last = position + length - 1;
    return this.#persist(file, { range: `bytes=${position}-${last}` }, async (response) => {
      const { status, headers } = response;
      if (status === 404) throw this.#absent(file);
      if (status !== 206) {
        const wayOut = "Download the folder and name it.";
        throw this.#error(file, "a server that gives ranges of files (status 206)", `status ${status}`, wayOut);
      }
      const wanted = `bytes ${position}-${last}/${size}`;
      const got = headers.get("content-range") ?? "none";
      if (got !== wanted) throw this.#error(file, `content-range ${wanted}`, got, notWhole);
      return this.#body(file, response, length, length);
    });
  }

  /** A whole file of `size` bytes. */
  whole(file: string, size: number): Promise<Bytes> {
    return this.#persist(file, {}, async (response) => {
      if (response.status === 404) throw this.#absent(file);
      return this.#body(file, response, size, size);
    });
  }

  /** A whole file of `most` bytes at most; undefined where there is none. */
  small(file: string, most: number): Promise<Bytes | undefined> {
    return this.#persist(file, {}, async (response) =>
      response.status === 404 ? undefined : this.#body(file, response, 0, most),
    );
  }

  async #persist<T>(file: string, headers: Record<string, string>, read: Read<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(file, headers, read);
      } catch (error) {
        if (!(error instanceof PassingError)) throw error;
        if (attempt === this.#attempts) {
          const wayOut = "Check the network and the server; the same command goes on.";
          throw this.#error(file, `an answer in ${this.#attempts} attempts`, error.message, wayOut);
        }
        const jitter = 0.5 + Math.random(); // ranks that were refused together do not come back together
        await wait(Math.min(MOST_WAIT_MS, error.waitMs ?? jitter * FIRST_WAIT_MS * 2 ** (attempt - 1)));
      }
    }
  }

  async #attempt<T>(file: string, headers: Record<string, string>, read: Read<T>): Promise<T> {
    const own = new URL(file, this.#base).href;
    const url = this.#redirects.get(file) ?? own;
    const signal = AbortSignal.timeout(REQUEST_MS);
    // Bytes as they lie there: compressed ones are no range of the file.
    const all = { ...headers, "accept-encoding": "identity" };
    const response = await this.#fetch(url, { headers: all, signal }).catch((error) => {
      throw passing(error);
    });
    const { status } = response;
    try {
      if (response.ok || (status === 404 && url === own)) {
        if (response.redirected && response.ok) this.#redirects.set(file, response.url);
        return await read(response);
      }
    } finally {
      await response.body?.cancel().catch(() => {}); // what was not read is not waited for
    }
    const isStale = url !== own && this.#redirects.delete(file);
    if (isStale || status === 408 || status === 429 || status >= 500) {
      const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
      throw new PassingError(`status ${status}`, seconds >= 0 ? 1000 * seconds : undefined);
    }
    const isClosed = status === 401 || status === 403;
    const token = "A private or gated data set needs a token (HF_TOKEN), and its terms accepted.";
    throw this.#error(file, "the file", `status ${status}`, isClosed ? token : "Check the address.");
  }

  async #body(file: string, { body }: Response, least: number, most: number): Promise<Bytes> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body ?? []) {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > most) break; // an endless answer does not fill the memory
      }
    } catch (error) {
      throw passing(error);
    }
    if (bytes > most) throw this.#error(file, `at most ${most} bytes`, "more", notWhole);
    if (bytes < least) throw new PassingError(`${bytes} bytes instead of ${least}`);
    const all = new Uint8Array(bytes);
    let position = 0;
    for (const chunk of chunks) {
      all.set(chunk, position);
      position += chunk.length;
    }
    return all;
  }

  #absent(file: string): Error {
    return this.#error(file, "the file", "status 404", "Check the address; the folder may not be whole.");
  }

  #error(file: string, expected: string, got: string, wayOut: string): Error {
    return new Error(`${this.#name}/${file}: expected ${expected}, got ${got}\n${wayOut}`);
  }
}

function passing(error: unknown): PassingError {
  const { message, cause } = error as Error;
  return new PassingError(cause instanceof Error ? cause.message || message : message);
}
