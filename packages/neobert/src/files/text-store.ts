// Texts in memory, outside the JavaScript heap: their UTF-8 one after another, and where each begins. Millions of texts take
// their bytes and twelve more for each, where strings and objects would fill the heap.

const CHUNK_BYTES = 1 << 26;

export class TextStore {
  readonly #chunks: Buffer[] = [];
  #used = 0;
  /** Of each text: its chunk and offset as one number. */
  #starts = new Float64Array(1 << 10);
  #lengths = new Uint32Array(1 << 10);
  #texts = 0;

  /** Number of texts. */
  get length(): number {
    return this.#texts;
  }

  add(text: string): void {
    if (this.#texts === this.#lengths.length) {
      this.#starts = grown(this.#starts);
      this.#lengths = grown(this.#lengths);
    }
    const bytes = Buffer.byteLength(text);
    if (this.#used + bytes > (this.#chunks.at(-1)?.length ?? 0)) {
      this.#chunks.push(Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes)));
      this.#used = 0;
    }
    this.#chunks.at(-1)?.write(text, this.#used);
    this.#starts[this.#texts] = Math.max(0, this.#chunks.length - 1) * 2 ** 32 + this.#used;
    this.#lengths[this.#texts++] = bytes;
    this.#used += bytes;
  }

  text(index: number): string {
    const start = this.#starts[index]!;
    const [chunk, offset] = [Math.floor(start / 2 ** 32), start % 2 ** 32];
    return this.#chunks[chunk]?.toString("utf8", offset, offset + this.#lengths[index]!) ?? "";
  }

  /** Byte `at` of a text's UTF-8; -1 behind its end. */
  byte(index: number, at: number): number {
    if (at >= this.#lengths[index]!) return -1;
    const start = this.#starts[index]!;
    return this.#chunks[Math.floor(start / 2 ** 32)]![(start % 2 ** 32) + at]!;
  }
}

/** A copy of twice the length. */
export function grown<T extends Uint32Array | Float64Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(2 * array.length);
  larger.set(array);
  return larger;
}
