// The rows that mteb keeps of a split that it cuts (ToxicConversations, to 2,048): those that train_test_split of Hugging Face's
// `datasets` draws with seed 42, each label keeping its share. That is NumPy's PCG64 generator and its shuffle.

// numpy.random.PCG64(42).state
const STATE = 274674114334540486603088602300644985544n;
const INCREMENT = 332724090758049132448979897138935081983n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n; // O'Neill, PCG, 2014
const MASK_64 = 2n ** 64n - 1n;
const MASK_128 = 2n ** 128n - 1n;

/** NumPy's Generator(PCG64(42)), as far as shuffling needs it. */
class Generator42 {
  #state = STATE;
  #half: number | undefined;

  #next32(): number {
    if (this.#half !== undefined) {
      const half = this.#half;
      this.#half = undefined;
      return half;
    }
    this.#state = (this.#state * MULTIPLIER + INCREMENT) & MASK_128;
    const folded = (this.#state >> 64n) ^ (this.#state & MASK_64);
    const turn = this.#state >> 122n;
    const bits = ((folded >> turn) | (folded << (64n - turn))) & MASK_64;
    this.#half = Number(bits >> 32n);
    return Number(bits & 0xffffffffn);
  }

  /** A whole number from 0 to `most`: the bits that it needs, drawn again while they are more. */
  #upTo(most: number): number {
    const mask = 2 ** (32 - Math.clz32(most)) - 1;
    for (;;) {
      const value = (this.#next32() & mask) >>> 0;
      if (value <= most) return value;
    }
  }

  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.#upTo(i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

/**
 * Row numbers, ascending, of a sample of `rows` of these labels. Throws where the shares tie, so that the choice would
 * be another random draw; no set of MTEB's does.
 */
export function stratifiedSample(labels: readonly (string | number)[], rows: number): number[] {
  const classes = new Map<string, number[]>();
  for (const [row, label] of labels.entries()) {
    const name = String(label);
    if (!classes.has(name)) classes.set(name, []);
    classes.get(name)!.push(row);
  }
  const members = [...classes.keys()].sort().map((name) => classes.get(name)!);
  const counts = members.map(({ length }) => length);
  const kept = shares(counts, labels.length - rows);
  const left = counts.map((count, i) => count - kept[i]!);
  const taken = shares(left, rows);
  const generator = new Generator42();
  const chosen = members.flatMap((own, i) => {
    const order = generator.permutation(own.length);
    return Array.from(order.subarray(kept[i]!, kept[i]! + taken[i]!), (place) => own[place]!);
  });
  return chosen.sort((a, b) => a - b);
}

/** How many of each class `draws` draws take: its share, the missing ones added where most was rounded off. */
function shares(counts: readonly number[], draws: number): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (draws * count) / total);
  const whole = exact.map(Math.floor);
  let missing = draws - whole.reduce((sum, count) => sum + count, 0);
  const rests = exact.map((value, i) => value - whole[i]!);
  for (const rest of [...new Set(rests)].sort((a, b) => b - a)) {
    if (missing === 0) break;
    const tied = rests.flatMap((value, i) => (value === rest ? [i] : []));
    if (tied.length > missing) throw new Error("internal: stratifiedSample: shares tie, which NumPy decides by a draw");
    for (const i of tied) whole[i]!++;
    missing -= tied.length;
  }
  return whole;
}
