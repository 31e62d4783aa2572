// The pairs of neighbouring symbols in all words, how often each occurs, and which is the most frequent: a binary heap
// whose entries may be out of date and are corrected when they reach the top (as in Hugging Face's trainer).

export interface Pair {
  left: number;
  right: number;
  count: number;
  /** Indices of the words it was seen in; some may have lost it since. */
  words: number[];
}

interface Entry {
  pair: Pair;
  count: number;
}

const maxSymbols = 2 ** 24;

/** More frequent first; ties by symbol number, so that training repeats exactly. */
function comesBefore(a: Entry, b: Entry): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right;
}

export class PairQueue {
  readonly #pairs = new Map<number, Pair>();
  readonly #heap: Entry[] = [];
  readonly #grown = new Set<Pair>();

  /** Counts `change` more (or fewer) of the pair, in `word`. New counts are queued by `enqueue`. */
  add(left: number, right: number, change: number, word: number): void {
    const key = left * maxSymbols + right;
    let pair = this.#pairs.get(key);
    if (!pair) {
      if (change < 0) return;
      pair = { left, right, count: 0, words: [] };
      this.#pairs.set(key, pair);
    }
    pair.count += change;
    if (change < 0) return;
    if (pair.words.at(-1) !== word) pair.words.push(word);
    this.#grown.add(pair);
  }

  /** Queues the pairs that `add` made more frequent. */
  enqueue(): void {
    for (const pair of this.#grown) if (pair.count > 0) this.#push({ pair, count: pair.count });
    this.#grown.clear();
  }

  /** Removes and returns the most frequent pair. */
  pop(): Pair | undefined {
    for (let top: Entry | undefined; (top = this.#popEntry()); ) {
      const { pair } = top;
      const key = pair.left * maxSymbols + pair.right;
      if (this.#pairs.get(key) !== pair || pair.count <= 0) continue;
      if (top.count === pair.count) {
        this.#pairs.delete(key);
        return pair;
      }
      if (pair.count < top.count) this.#push({ pair, count: pair.count });
    }
    return undefined;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    for (let parent: number; at > 0; at = parent) {
      parent = (at - 1) >> 1;
      if (!comesBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
    }
    heap[at] = entry;
  }

  #popEntry(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let at = 0;
    for (let child: number; (child = 2 * at + 1) < heap.length; at = child) {
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!comesBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
    }
    heap[at] = last;
    return top;
  }
}
