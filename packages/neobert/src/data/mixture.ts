// The endless sequence of pieces that pretraining reads. Draw t takes its piece from source s with probability
// proportional to the weight of s, whatever was drawn before; each source walks through a shuffle of all its pieces and,
// at its end, through the next shuffle (epoch). All of it is computed from (seed, source, draw number).
import type { Piece, PieceIndex } from "./pieces.js";
import { Permutation, randomStreams, uniform } from "./random.js";

/** The random stream of a use of randomness within one source. */
export const sourceStream = (stream: number, source: number): number => stream + 16 * source;

export class Mixture {
  readonly #indexes: PieceIndex[];
  readonly #weights: number[];
  readonly #totalWeight: number;
  readonly #seed: number;
  readonly #orders: { epoch: number; permutation: Permutation }[] = [];

  constructor(sources: { index: PieceIndex; weight: number }[], seed: number) {
    this.#indexes = sources.map(({ index }) => index);
    this.#weights = sources.map(({ weight }) => weight);
    this.#totalWeight = this.#weights.reduce((sum, weight) => sum + weight, 0);
    this.#seed = seed;
  }

  /** The source of the mixture's draw number `draw`. */
  sourceOf(draw: number): number {
    let rest = uniform(this.#seed, randomStreams.mixture, draw) * this.#totalWeight;
    const last = this.#weights.length - 1;
    for (let source = 0; source < last; source++) {
      rest -= this.#weights[source]!;
      if (rest < 0) return source;
    }
    return last;
  }

  /** The piece that a source gives at its own draw number `draw`. */
  piece(source: number, draw: number): Piece {
    const index = this.#indexes[source]!;
    const epoch = Math.floor(draw / index.count);
    if (this.#orders[source]?.epoch !== epoch) {
      const stream = sourceStream(randomStreams.order, source);
      this.#orders[source] = { epoch, permutation: new Permutation(index.count, this.#seed, stream, epoch) };
    }
    return index.at(this.#orders[source]!.permutation.at(draw % index.count));
  }
}
