// The BPE model (Sennrich et al. 2016): the symbols of a word, of which the two that were merged first in training are
// joined until none are left to join. Pairs wait in a binary heap of numbers, rank before position, so a word of n
// symbols takes n log n steps however long it is. The order is that of Hugging Face's Rust tokenizers.

import { IdBuffer } from "./id-buffer.js";

/** One past the greatest position; a rank times this plus a position stays a whole number below 2^53. */
const maxPosition = 2 ** 31;

/** A word being split. Symbol `i` is `ids[i]` and covers `[starts[i], ends[i])` of the text. */
export class Symbols {
  readonly ids = new IdBuffer(64);
  readonly starts = new IdBuffer(64);
  readonly ends = new IdBuffer(64);

  get length(): number {
    return this.ids.length;
  }

  clear(): void {
    this.ids.clear();
    this.starts.clear();
    this.ends.clear();
  }

  push(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.starts.push(start);
    this.ends.push(end);
  }
}

export class Merges {
  /** Steps of the heap so far: what grows with the length of words. */
  steps = 0;
  readonly #results: Int32Array;
  // Open addressing: slot is [left id + 1, right id, rank].
  readonly #slots: Int32Array;
  readonly #mask: number;
  #heap = new Float64Array(64);
  #heapLength = 0;
  #next = new Int32Array(64);
  #previous = new Int32Array(64);

  /** `merges[rank]` is the pair of ids and the id of the two joined. */
  constructor(merges: readonly (readonly [left: number, right: number, merged: number])[]) {
    const slotCount = 2 ** Math.ceil(Math.log2(2 * merges.length + 2));
    this.#mask = slotCount - 1;
    this.#slots = new Int32Array(3 * slotCount);
    this.#results = Int32Array.from(merges, ([, , merged]) => merged);
    for (const [rank, [left, right]] of merges.entries()) {
      const slot = this.#find(left, right);
      this.#slots[slot] = left + 1;
      this.#slots[slot + 1] = right;
      // A pair that is listed twice has its later rank.
      this.#slots[slot + 2] = rank;
    }
  }

  /** Joins the symbols of `word`, in place. */
  apply(word: Symbols): void {
    const count = word.length;
    if (count < 2) return;
    const results = this.#results;
    const ids = word.ids.ids;
    const ends = word.ends.ids;
    this.#reserve(count);
    const next = this.#next;
    const previous = this.#previous;
    this.#heapLength = 0;
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
      if (i > 0) this.#offer(ids, i - 1, i);
    }
    while (this.#heapLength > 0) {
      const entry = this.#pop();
      const rank = Math.floor(entry / maxPosition);
      const left = entry - rank * maxPosition;
      const right = next[left]!;
      // Entries of symbols that were merged meanwhile are out of date, unless the new pair makes the same token.
      if (ids[left]! < 0 || right >= count) continue;
      const now = this.#rankOf(ids[left]!, ids[right]!);
      if (now < 0 || results[now] !== results[rank]) continue;
      ids[left] = results[rank]!;
      ends[left] = ends[right]!;
      ids[right] = -1;
      const after = next[right]!;
      next[left] = after;
      if (after < count) {
        previous[after] = left;
        this.#offer(ids, left, after);
      }
      if (previous[left]! >= 0) this.#offer(ids, previous[left]!, left);
    }
    compact(word, next);
  }

  #offer(ids: Int32Array, left: number, right: number): void {
    const rank = this.#rankOf(ids[left]!, ids[right]!);
    if (rank >= 0) this.#push(rank * maxPosition + left);
  }

  #rankOf(left: number, right: number): number {
    const slot = this.#find(left, right);
    return this.#slots[slot] === 0 ? -1 : this.#slots[slot + 2]!;
  }

  /** The slot of the pair, or the empty one where it belongs. */
  #find(left: number, right: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    let at = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    at = (at ^ (at >>> 15)) & mask;
    while (slots[3 * at] !== 0 && (slots[3 * at] !== left + 1 || slots[3 * at + 1] !== right)) at = (at + 1) & mask;
    return 3 * at;
  }

  #reserve(count: number): void {
    if (count <= this.#next.length) return;
    this.#next = new Int32Array(2 * count);
    this.#previous = new Int32Array(2 * count);
  }

  #push(entry: number): void {
    if (this.#heapLength === this.#heap.length) {
      const grown = new Float64Array(2 * this.#heap.length);
      grown.set(this.#heap);
      this.#heap = grown;
    }
    const heap = this.#heap;
    let at = this.#heapLength++;
    for (let parent: number; at > 0; at = parent) {
      this.steps++;
      parent = (at - 1) >> 1;
      if (heap[parent]! <= entry) break;
      heap[at] = heap[parent]!;
    }
    heap[at] = entry;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0]!;
    const length = --this.#heapLength;
    const last = heap[length]!;
    let at = 0;
    for (let child: number; (child = 2 * at + 1) < length; at = child) {
      this.steps++;
      if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
    }
    heap[at] = last;
    return top;
  }
}

/** Moves the symbols that are left together. */
function compact(word: Symbols, next: Int32Array): void {
  const count = word.length;
  let kept = 0;
  for (let i = 0; i < count; i = next[i]!) {
    word.ids.ids[kept] = word.ids.ids[i]!;
    word.starts.ids[kept] = word.starts.ids[i]!;
    word.ends.ids[kept] = word.ends.ids[i]!;
    kept++;
  }
  word.ids.length = kept;
  word.starts.length = kept;
  word.ends.length = kept;
}
