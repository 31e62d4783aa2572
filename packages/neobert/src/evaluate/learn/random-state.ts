// NumPy's legacy generator, numpy.random.RandomState: MT19937 (Matsumoto and Nishimura 1998) and the rules by which NumPy
// makes floats, bounded integers, normals and shuffles of its 32-bit outputs. mteb and scikit-learn draw from it, so the same
// seed must give the same rows. NumPy has frozen it (NEP 19).

const STATE_WORDS = 624;
const SHIFT = 397;

export class RandomState {
  readonly #state = new Uint32Array(STATE_WORDS);
  #at = STATE_WORDS;
  /** The polar method makes normals in pairs. */
  #nextNormal: number | undefined;

  /** `seed` is a whole number of 0 to 2^32 - 1. */
  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
      throw new RangeError(`RandomState: expected a seed of 0 to 2^32 - 1, got ${seed}`);
    }
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(1812433253, previous) + i;
    }
  }

  #refill(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const bits = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_WORDS]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % STATE_WORDS]! ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }

  /** The next 32 bits, as a whole number of 0 to 2^32 - 1. */
  uint32(): number {
    if (this.#at === STATE_WORDS) this.#refill();
    let bits = this.#state[this.#at++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return bits >>> 0;
  }

  /** A float in [0, 1) of 53 bits: random_sample, and uniform() without bounds. */
  randomSample(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** A whole number of 0 to `max`, both included: the bits that `max` has, drawn until they are not above it. */
  #interval(max: number): number {
    if (max === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(max);
    for (;;) {
      const value = (this.uint32() & mask) >>> 0;
      if (value <= max) return value;
    }
  }

  /** A whole number in [low, high); the two differ by at most 2^32. */
  randint(low: number, high: number): number {
    const range = high - low - 1;
    if (!(range >= 0 && range <= 0xffffffff)) {
      throw new RangeError(`randint: expected low < high, at most 2^32 apart, got ${low} and ${high}`);
    }
    return low + this.#interval(range);
  }

  /** Drawn from the standard normal distribution. */
  randn(): number {
    if (this.#nextNormal !== undefined) {
      const normal = this.#nextNormal;
      this.#nextNormal = undefined;
      return normal;
    }
    let [x, y, square] = [0, 0, 0];
    do {
      x = 2 * this.randomSample() - 1;
      y = 2 * this.randomSample() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    this.#nextNormal = factor * x;
    return factor * y;
  }

  /** Shuffles the list in place, from its end. */
  shuffle<T>(list: { [index: number]: T; readonly length: number }): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.#interval(i);
      const kept = list[i]!;
      list[i] = list[j]!;
      list[j] = kept;
    }
  }

  /** 0 .. n - 1 in random order. */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    this.shuffle(order);
    return order;
  }

  /**
   * `size` of the numbers 0 .. n - 1. With replacement each draw is a `randint`, or with probabilities `p` the place of a
   * `randomSample` among their running sums.
   */
  choice(n: number, size: number, options: { replace?: boolean; p?: ArrayLike<number> } = {}): Int32Array {
    const { replace = true, p } = options;
    if (!replace) {
      if (p || size > n) throw new RangeError(`choice: expected at most ${n} draws without replacement and without p`);
      return this.permutation(n).slice(0, size);
    }
    if (!p) return Int32Array.from({ length: size }, () => this.randint(0, n));
    if (p.length !== n) throw new RangeError(`choice: expected ${n} probabilities, got ${p.length}`);
    const sums = new Float64Array(n);
    for (let i = 0, sum = 0; i < n; i++) sums[i] = sum += p[i]!;
    for (let i = 0, total = sums[n - 1]!; i < n; i++) sums[i]! /= total;
    return Int32Array.from({ length: size }, () => firstAbove(sums, this.randomSample()));
  }
}

/** The first index whose value is above `value` (searchsorted, side="right"); the length where there is none. */
function firstAbove(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
