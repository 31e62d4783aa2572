// A growing Int32Array, the sink of the fast path: one buffer serves many texts without an allocation per text.
// `ids` is longer than what is in it; `length` says how much counts.

export class IdBuffer {
  ids: Int32Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 1024) {
    this.ids = new Int32Array(capacity);
  }

  /** Makes room for `count` more ids. */
  reserve(count: number): void {
    if (this.length + count <= this.ids.length) return;
    const grown = new Int32Array(Math.max(this.ids.length * 2, this.length + count));
    grown.set(this.ids.subarray(0, this.length));
    this.ids = grown;
  }

  push(id: number): void {
    if (this.length === this.ids.length) this.reserve(1);
    this.ids[this.length++] = id;
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of the ids so far. */
  toArray(): Int32Array<ArrayBuffer> {
    return this.ids.slice(0, this.length);
  }
}
