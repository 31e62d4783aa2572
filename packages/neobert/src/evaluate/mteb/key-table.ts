// Where the vector of each text lies, for millions of texts: open-addressed tables in typed arrays, some 30 to 60 bytes a
// key, where a Map of strings and objects would take some two hundred. Keys are hashes, so their own bits say where they go.
// The table is of many parts, each of which grows by itself: none is ever so large that moving it holds the event loop.

const KEY_WORDS = 4;
/** Bytes of a key. */
export const KEY_BYTES = 4 * KEY_WORDS;
/** The first bits of a key's first word name its part, its last ones a place there. */
const PART_BITS = 10;
const FIRST_PLACES = 16;
/** A place: the key, one more than the row (0 where it is free), the segment. */
const ROW = KEY_WORDS;
const SEGMENT = KEY_WORDS + 1;
const PLACE_WORDS = KEY_WORDS + 2;

interface Part {
  size: number;
  places: Uint32Array;
}

export class KeyTable {
  #size = 0;
  readonly #parts: (Part | undefined)[] = Array.from({ length: 1 << PART_BITS });

  get size(): number {
    return this.#size;
  }

  /** Notes the segment and row of a key, the 16 bytes of `bytes` from `at` on; a key that is there gets the new ones. */
  set(bytes: Buffer, at: number, segment: number, row: number): void {
    const number = bytes.readUInt32LE(at) >>> (32 - PART_BITS);
    const part = (this.#parts[number] ??= { size: 0, places: new Uint32Array(FIRST_PLACES * PLACE_WORDS) });
    if (4 * (part.size + 1) * PLACE_WORDS > 3 * part.places.length) grow(part);
    const { places } = part;
    const place = placeOf(places, bytes, at);
    if (places[place + ROW] === 0) {
      this.#size++;
      part.size++;
      for (let word = 0; word < KEY_WORDS; word++) places[place + word] = bytes.readUInt32LE(at + 4 * word);
    }
    places[place + ROW] = row + 1;
    places[place + SEGMENT] = segment;
  }

  get(bytes: Buffer): { segment: number; row: number } | undefined {
    const places = this.#parts[bytes.readUInt32LE(0) >>> (32 - PART_BITS)]?.places;
    if (!places) return undefined;
    const place = placeOf(places, bytes, 0);
    const row = places[place + ROW]!;
    return row === 0 ? undefined : { segment: places[place + SEGMENT]!, row: row - 1 };
  }
}

/** Where the place begins that has the key, or the free one where it belongs. */
function placeOf(places: Uint32Array, bytes: Buffer, at: number): number {
  const mask = places.length / PLACE_WORDS - 1;
  for (let number = bytes.readUInt32LE(at) & mask; ; number = (number + 1) & mask) {
    const place = number * PLACE_WORDS;
    if (places[place + ROW] === 0) return place;
    let word = 0;
    while (word < KEY_WORDS && places[place + word] === bytes.readUInt32LE(at + 4 * word)) word++;
    if (word === KEY_WORDS) return place;
  }
}

function grow(part: Part): void {
  const before = part.places;
  part.places = new Uint32Array(2 * before.length);
  const mask = part.places.length / PLACE_WORDS - 1;
  for (let from = 0; from < before.length; from += PLACE_WORDS) {
    if (before[from + ROW] === 0) continue;
    let number = before[from]! & mask;
    while (part.places[number * PLACE_WORDS + ROW] !== 0) number = (number + 1) & mask;
    for (let word = 0; word < PLACE_WORDS; word++) part.places[number * PLACE_WORDS + word] = before[from + word]!;
  }
}
