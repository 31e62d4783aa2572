// Randomness without state: every draw is a function of (seed, stream, counter, sub), so that a resumed run, a second
// worker or a test reads the same numbers from the same place. The generator is Philox4x32-10 (Salmon et al. 2011,
// "Parallel random numbers: as easy as 1, 2, 3"; also PyTorch's CUDA generator). `Permutation` is a keyed shuffle of
// [0, n) that needs no memory: a Feistel network over the next even power of two, walked until it lands below n.

/** The uses of randomness in `data`, kept apart so that no two of them share a draw. */
export const randomStreams = {
  mixture: 1,
  order: 2,
  masking: 3,
  forcedMask: 4,
  heldOut: 5,
  evaluation: 6,
  evaluationOrder: 7,
  pairSet: 8,
  pairOrder: 9,
  pairNegatives: 10,
  labelledOrder: 11,
  labelledHeldOut: 12,
  pseudoPerplexity: 13,
  dropout: 14,
} as const;

const twoTo32 = 2 ** 32;

/** Writes the four uint32 of Philox4x32-10 for a counter `[4]` and a key `[2]` (words in Random123's order) into `out`. */
export function philox4x32(
  out: Uint32Array,
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    // The double product is wrong by less than 2^12, so subtracting its exact low half and rounding gives the high half.
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high0 = Math.round((0xd2511f53 * c0 - low0) / twoTo32);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    const high1 = Math.round((0xcd9e8d57 * c2 - low1) / twoTo32);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c1 = low1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Writes four random uint32 into `out`. `seed` and `counter` are integers below 2^53, `stream` and `sub` below 2^32. */
export function randomBlock(out: Uint32Array, seed: number, stream: number, counter: number, sub = 0): void {
  philox4x32(
    out,
    [counter >>> 0, Math.floor(counter / twoTo32), sub, stream],
    [seed >>> 0, Math.floor(seed / twoTo32) >>> 0],
  );
}

const block = new Uint32Array(4);

/** A float in [0, 1) with 53 random bits. */
export function uniform(seed: number, stream: number, counter: number, sub = 0): number {
  randomBlock(block, seed, stream, counter, sub);
  return uniformOf(block[0]!, block[1]!);
}

/** A float in [0, 1) made of 53 bits of two random uint32. */
export function uniformOf(high: number, low: number): number {
  return ((high >>> 5) * 67108864 + (low >>> 6)) / 9007199254740992;
}

/** An integer in [0, n), each equally likely (rejection, no modulo bias); n is 1 to 2^32. */
export function randomBelow(n: number, seed: number, stream: number, counter: number): number {
  const limit = twoTo32 - (twoTo32 % n);
  for (let sub = 0; ; sub++) {
    randomBlock(block, seed, stream, counter, sub);
    for (const word of block) if (word < limit) return word % n;
  }
}

/**
 * A shuffle of [0, n) that is computed, not stored: `at(i)` is the element at place i. The same (seed, stream, counter)
 * give the same order; n is 1 to 2^52.
 */
export class Permutation {
  readonly length: number;
  readonly #halfBits: number;
  readonly #keys = new Uint32Array(8);

  constructor(length: number, seed: number, stream: number, counter: number) {
    if (!Number.isInteger(length) || length < 1 || length > 2 ** 52) {
      throw new RangeError(`Permutation: expected a length of 1 to 2^52, got ${length}`);
    }
    this.length = length;
    // At least 4 bits a half: narrower networks reach only some of the orders of a short list.
    let halfBits = 4;
    while (4 ** halfBits < length) halfBits++;
    this.#halfBits = halfBits;
    randomBlock(this.#keys.subarray(0, 4), seed, stream, counter, 0);
    randomBlock(this.#keys.subarray(4, 8), seed, stream, counter, 1);
  }

  at(index: number): number {
    const halfBits = this.#halfBits;
    const keys = this.#keys;
    const length = this.length;
    const mask = 2 ** halfBits - 1;
    let value = index;
    do {
      let left = Math.floor(value / (mask + 1));
      let right = value & mask;
      for (let round = 0; round < 8; round++) {
        const next = left ^ (mix(right ^ keys[round]!) & mask);
        left = right;
        right = next;
      }
      value = left * (mask + 1) + right;
    } while (value >= length);
    return value;
  }
}

/** MurmurHash3's 32-bit finalizer: every input bit flips each output bit with probability near one half. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
