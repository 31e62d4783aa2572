// The ids of words seen before: an open-addressing table over typed arrays, keyed by the code units of the word as it
// stands in the text (ASCII letters folded), so that a hit costs no string and no allocation. Memory is bounded by
// `maxWords`, about 6 MB; a full table starts again empty, which Zipf's law makes cheap.

import type { IdBuffer } from "./id-buffer.js";

const maxWords = 1 << 16;
const slotCount = maxWords * 2;
const keyCapacity = maxWords * 12;
const idCapacity = maxWords * 4;

export class WordCache {
  /** Longer words are not kept. */
  static readonly maxWordLength = 64;

  // A slot is [hash, key offset, key length << 16 | id count, id offset (or the id itself if it is one)]; the third
  // is 0 in an empty slot.
  readonly #slots = new Int32Array(slotCount * 4);
  readonly #keys = new Uint16Array(keyCapacity);
  readonly #ids = new Int32Array(idCapacity);
  #words = 0;
  #keyLength = 0;
  #idLength = 0;

  /** Appends the ids of `text[start, end)` to `sink` and returns true, or returns false if the word is not known. */
  append(hash: number, text: string, start: number, end: number, folding: Int16Array, sink: IdBuffer): boolean {
    const slots = this.#slots;
    const keys = this.#keys;
    const length = end - start;
    for (let slot = spread(hash); ; slot = (slot + 4) & (slotCount * 4 - 1)) {
      const sizes = slots[slot + 2]!;
      if (sizes === 0) return false;
      if (slots[slot] !== hash || sizes >>> 16 !== length) continue;
      const key = slots[slot + 1]!;
      let i = 0;
      while (i < length) {
        const code = text.charCodeAt(start + i);
        if (keys[key + i] !== (code < 128 ? folding[code]! : code)) break;
        i++;
      }
      if (i < length) continue;
      const count = sizes & 0xffff;
      const at = slots[slot + 3]!;
      if (sink.length + count > sink.ids.length) sink.reserve(count);
      if (count === 1) sink.ids[sink.length++] = at;
      else for (let j = 0; j < count; j++) sink.ids[sink.length++] = this.#ids[at + j]!;
      return true;
    }
  }

  /** Keeps `ids` as those of `text[start, end)`, a word that `append` did not find. */
  add(hash: number, text: string, start: number, end: number, folding: Int16Array, ids: Int32Array): void {
    const length = end - start;
    const full =
      this.#words === maxWords || this.#keyLength + length > keyCapacity || this.#idLength + ids.length > idCapacity;
    if (full) this.#clear();
    let slot = spread(hash);
    while (this.#slots[slot + 2] !== 0) slot = (slot + 4) & (slotCount * 4 - 1);
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = this.#keyLength;
    this.#slots[slot + 2] = (length << 16) | ids.length;
    for (let i = start; i < end; i++) {
      const code = text.charCodeAt(i);
      this.#keys[this.#keyLength++] = code < 128 ? folding[code]! : code;
    }
    if (ids.length === 1) {
      this.#slots[slot + 3] = ids[0]!;
    } else {
      this.#slots[slot + 3] = this.#idLength;
      this.#ids.set(ids, this.#idLength);
      this.#idLength += ids.length;
    }
    this.#words++;
  }

  #clear(): void {
    this.#slots.fill(0);
    this.#words = 0;
    this.#keyLength = 0;
    this.#idLength = 0;
  }
}

function spread(hash: number): number {
  return ((hash ^ (hash >>> 15)) & (slotCount - 1)) << 2;
}
