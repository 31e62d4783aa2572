// A corpus of any size: the ids and texts of its documents outside the JavaScript heap, and the order of the ids, in which
// a search goes through them.

import { TextStore } from "../../files/text-store.js";
import type { Sliced } from "../learn/slices.js";
import { compareIds } from "../metrics/ranking.js";

export interface Document {
  id: string;
  text: string;
}

/** What a search needs to know of a corpus; a document's place is its number in it. */
export interface Documents {
  readonly length: number;
  id(place: number): string;
  text(place: number): string;
  /** The places by falling id, in the byte order of UTF-8. */
  byFallingId(): Sliced<Uint32Array>;
}

/** Millions of documents. */
export class DocumentStore implements Documents {
  readonly #ids = new TextStore();
  readonly #texts = new TextStore();

  get length(): number {
    return this.#ids.length;
  }

  add({ id, text }: Document): void {
    this.#ids.add(id);
    this.#texts.add(text);
  }

  id(place: number): string {
    return this.#ids.text(place);
  }

  text(place: number): string {
    return this.#texts.text(place);
  }

  *byFallingId(): Sliced<Uint32Array> {
    const places = new Uint32Array(this.length);
    for (let i = 0; i < places.length; i++) places[i] = i;
    yield* sortFalling(this.#ids, places);
    return places;
  }
}

/** The same of a list. */
export function documentsOf(list: readonly Document[]): Documents {
  return {
    length: list.length,
    id: (place) => list[place]!.id,
    text: (place) => list[place]!.text,
    *byFallingId() {
      return Uint32Array.from(list.keys()).sort((a, b) => compareIds(list[b]!.id, list[a]!.id));
    },
  };
}

const FEW = 12;
const STEPS_OF_A_SLICE = 1 << 18;

/** Multikey quicksort (Bentley and Sedgewick 1997): by the byte at some depth into larger, equal and smaller ones. */
function* sortFalling(ids: TextStore, places: Uint32Array): Sliced<void> {
  const open: [from: number, to: number, depth: number][] = [[0, places.length, 0]];
  let steps = 0;
  for (let part = open.pop(); part; part = open.pop()) {
    const [from, to, depth] = part;
    if (to - from <= FEW) {
      insertionSort(ids, places, from, to, depth);
      continue;
    }
    const pivot = ids.byte(places[(from + to) >>> 1]!, depth);
    let [larger, next, smaller] = [from, from, to]; // [from, larger) > pivot, [larger, next) equal, [smaller, to) < pivot
    while (next < smaller) {
      const place = places[next]!;
      const byte = ids.byte(place, depth);
      if (byte > pivot) {
        places[next++] = places[larger]!;
        places[larger++] = place;
      } else if (byte < pivot) {
        places[next] = places[--smaller]!;
        places[smaller] = place;
      } else next++;
      if (++steps % STEPS_OF_A_SLICE === 0) yield;
    }
    open.push([from, larger, depth], [smaller, to, depth]);
    if (pivot >= 0) open.push([larger, smaller, depth + 1]);
  }
}

function insertionSort(ids: TextStore, places: Uint32Array, from: number, to: number, depth: number): void {
  for (let i = from + 1; i < to; i++) {
    const place = places[i]!;
    let at = i;
    for (; at > from && compareFrom(ids, places[at - 1]!, place, depth) < 0; at--) places[at] = places[at - 1]!;
    places[at] = place;
  }
}

function compareFrom(ids: TextStore, a: number, b: number, depth: number): number {
  for (let at = depth; ; at++) {
    const [x, y] = [ids.byte(a, at), ids.byte(b, at)];
    if (x !== y || x < 0) return x - y;
  }
}
