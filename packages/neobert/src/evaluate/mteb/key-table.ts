// Where the vector of each text lies, for millions of texts: an open-addressed table in typed arrays, 22 bytes a place, where
// a Map of strings and objects would take some two hundred. Keys are hashes, so their own first bits say where they go.

const KEY_WORDS = 4;
/** Bytes of a key. */
export const KEY_BYTES = 4 * KEY_WORDS;

export class KeyTable {
  #size = 0;
  #keys = new Uint32Array(0);
  /** One more than the row; 0 where the place is free. */
  #rows = new Uint32Array(0);
  #segments = new Uint16Array(0);

  get size(): number {
    return this.#size;
  }

  /** Notes the segment and row of a key, the 16 bytes of `bytes` from `at` on; a key that is there gets the new ones. */
  set(bytes: Buffer, at: number, segment: number, row: number): void {
    if (4 * (this.#size + 1) > 3 * this.#rows.length) this.#grow();
    const place = this.#placeOf(bytes, at);
    if (this.#rows[place] === 0) {
      this.#size++;
      for (let word = 0; word < KEY_WORDS; word++) {
        this.#keys[place * KEY_WORDS + word] = bytes.readUInt32LE(at + 4 * word);
      }
    }
    this.#rows[place] = row + 1;
    this.#segments[place] = segment;
  }

  get(bytes: Buffer): { segment: number; row: number } | undefined {
    if (this.#size === 0) return undefined;
    const place = this.#placeOf(bytes, 0);
    const row = this.#rows[place]!;
    return row === 0 ? undefined : { segment: this.#segments[place]!, row: row - 1 };
  }

  /** The place that has the key, or the free one where it belongs. */
  #placeOf(bytes: Buffer, at: number): number {
    const mask = this.#rows.length - 1;
    for (let place = bytes.readUInt32LE(at) & mask; ; place = (place + 1) & mask) {
      if (this.#rows[place] === 0) return place;
      let word = 0;
      while (word < KEY_WORDS && this.#keys[place * KEY_WORDS + word] === bytes.readUInt32LE(at + 4 * word)) word++;
      if (word === KEY_WORDS) return place;
    }
  }

  #grow(): void {
    const [keys, rows, segments] = [this.#keys, this.#rows, this.#segments];
    const length = Math.max(1 << 10, 2 * rows.length);
    const mask = length - 1;
    this.#keys = new Uint32Array(length * KEY_WORDS);
    this.#rows = new Uint32Array(length);
    this.#segments = new Uint16Array(length);
    for (let from = 0; from < rows.length; from++) {
      if (rows[from] === 0) continue;
      let place = keys[from * KEY_WORDS]! & mask;
      while (this.#rows[place] !== 0) place = (place + 1) & mask;
      for (let word = 0; word < KEY_WORDS; word++) {
        this.#keys[place * KEY_WORDS + word] = keys[from * KEY_WORDS + word]!;
      }
      this.#rows[place] = rows[from]!;
      this.#segments[place] = segments[from]!;
    }
  }
}
