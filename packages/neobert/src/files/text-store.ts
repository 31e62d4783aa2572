// Texts in memory, outside the JavaScript heap: their UTF-8 one after another, and where each begins. Millions of texts take
// their bytes and twelve more for each, where strings and objects would fill the heap.

const CHUNK_BYTES = 1 << 26;
/** Texts whose places stand in one array: growing by arrays moves none, which would hold the event loop. */
const TEXTS_BITS = 16;
const TEXTS = 1 << TEXTS_BITS;

interface Places {
  /** Of each text: its chunk and offset as one number. */
  starts: Float64Array;
  lengths: Uint32Array;
}

export class TextStore {
  readonly #chunks: Buffer[] = [];
  #used = 0;
  readonly #places: Places[] = [];
  #texts = 0;

  /** Number of texts. */
  get length(): number {
    return this.#texts;
  }

  add(text: string): void {
    const bytes = Buffer.byteLength(text);
    if (this.#used + bytes > (this.#chunks.at(-1)?.length ?? 0)) {
      this.#chunks.push(Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes)));
      this.#used = 0;
    }
    this.#chunks.at(-1)?.write(text, this.#used);
    const { starts, lengths } = this.#placesFor(this.#texts);
    starts[this.#texts % TEXTS] = Math.max(0, this.#chunks.length - 1) * 2 ** 32 + this.#used;
    lengths[this.#texts++ % TEXTS] = bytes;
    this.#used += bytes;
  }

  text(index: number): string {
    const { starts, lengths } = this.#places[index >>> TEXTS_BITS]!;
    const start = starts[index % TEXTS]!;
    const [chunk, offset] = [Math.floor(start / 2 ** 32), start % 2 ** 32];
    return this.#chunks[chunk]?.toString("utf8", offset, offset + lengths[index % TEXTS]!) ?? "";
  }

  /** Byte `at` of a text's UTF-8; -1 behind its end. */
  byte(index: number, at: number): number {
    const { starts, lengths } = this.#places[index >>> TEXTS_BITS]!;
    if (at >= lengths[index % TEXTS]!) return -1;
    const start = starts[index % TEXTS]!;
    return this.#chunks[Math.floor(start / 2 ** 32)]![(start % 2 ** 32) + at]!;
  }

  /** The array of a text's place; of the first ones' it doubles, so that a store of few texts is small. */
  #placesFor(index: number): Places {
    const places = (this.#places[index >>> TEXTS_BITS] ??= placesOf(index === 0 ? 1 << 8 : TEXTS));
    if (index < places.lengths.length || index >= TEXTS) return places;
    const larger = placesOf(2 * places.lengths.length);
    larger.starts.set(places.starts);
    larger.lengths.set(places.lengths);
    this.#places[0] = larger;
    return larger;
  }
}

const placesOf = (length: number): Places => ({
  starts: new Float64Array(length),
  lengths: new Uint32Array(length),
});
