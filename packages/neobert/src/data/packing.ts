// Packing whole pieces into bins of a token budget. Pieces are taken in order while they fit; the gap that is left is
// filled with the largest waiting piece that fits, again and again (best fit). The pieces that wait are bounded in number
// and the oldest opens the next bin, so a piece waits for at most as many bins as there are places to wait.

/** Fills bins from `next`, which returns undefined at the end of a finite sequence. `waiting` is the state to save. */
export class Packer<Item extends { size: number }> {
  readonly waiting: Item[];
  readonly #next: () => Item | undefined;
  readonly #lookAhead: number;

  constructor(next: () => Item | undefined, lookAhead: number, waiting: Item[] = []) {
    this.#next = next;
    this.#lookAhead = lookAhead;
    this.waiting = waiting;
  }

  /** Items of at most `budget` tokens together; empty at the end of the sequence. No item may be larger than `budget`. */
  bin(budget: number): Item[] {
    const items: Item[] = [];
    let rest = budget;
    for (;;) {
      this.#refill();
      const place = this.#placeFor(rest);
      if (place < 0) return items;
      const [item] = this.waiting.splice(place, 1);
      rest -= item!.size;
      items.push(item!);
    }
  }

  #refill(): void {
    while (this.waiting.length < this.#lookAhead) {
      const item = this.#next();
      if (item === undefined) return;
      this.waiting.push(item);
    }
  }

  #placeFor(rest: number): number {
    const oldest = this.waiting[0];
    if (oldest === undefined || oldest.size <= rest) return oldest === undefined ? -1 : 0;
    let best = -1;
    for (let place = 1; place < this.waiting.length; place++) {
      const { size } = this.waiting[place]!;
      if (size <= rest && (best < 0 || size > this.waiting[best]!.size)) best = place;
    }
    return best;
  }
}
