// Choosing the tokens that masked-language modelling predicts (Devlin et al. 2018; NeoBERT: 20 %, always [MASK]). As in
// Hugging Face's DataCollatorForLanguageModeling each token is chosen on its own with probability `rate`, and special
// tokens never are: [CLS], [SEP], [PAD], [MASK] and also [UNK]. Each token's draw is a function of (seed, source, draw
// number of its piece, place in the piece), so it depends on neither packing nor batch.
import type { ManifestIds } from "./manifest.js";
import { randomBelow, randomBlock, uniformOf } from "./random.js";

/** `rate` of the tokens are chosen; of those `maskShare` become [MASK], `randomShare` a random token, the rest stay. */
export interface MaskingOptions {
  rate: number;
  maskShare: number;
  randomShare: number;
  keepShare: number;
}

/** The paper's masking: 20 % of the tokens, all replaced by [MASK]. */
export const defaultMasking: MaskingOptions = { rate: 0.2, maskShare: 1, randomShare: 0, keepShare: 0 };

export class Masker {
  readonly #options: MaskingOptions;
  readonly #maskId: number;
  readonly #special: Set<number>;
  readonly #specialAscending: number[];
  readonly #ordinaryCount: number;
  readonly #seed: number;
  readonly #draws = new Uint32Array(4);

  /** Throws if a number is not a probability or if the three shares do not sum to 1. */
  constructor(options: Partial<MaskingOptions>, specialIds: ManifestIds, vocabSize: number, seed: number) {
    this.#options = { ...defaultMasking, ...options };
    const { rate, maskShare, randomShare, keepShare } = this.#options;
    const shares = maskShare + randomShare + keepShare;
    if (![rate, maskShare, randomShare, keepShare].every((value) => value >= 0 && value <= 1) || rate === 0) {
      throw new RangeError(
        `masking: expected a rate above 0 and shares, all at most 1, got ${JSON.stringify(this.#options)}`,
      );
    }
    if (Math.abs(shares - 1) > 1e-9) {
      throw new RangeError(
        `masking: expected maskShare + randomShare + keepShare = 1, got ${shares}\n` +
          "Give all three, for instance 0.8, 0.1 and 0.1.",
      );
    }
    this.#maskId = specialIds.mask;
    this.#special = new Set(Object.values(specialIds));
    this.#specialAscending = [...this.#special].sort((a, b) => a - b);
    this.#ordinaryCount = vocabSize - this.#special.size;
    this.#seed = seed;
  }

  /**
   * Masks `ids[from..to)` in place and appends the rows it chose, ascending, and their true ids. `stream` and `counter`
   * name the piece.
   */
  mask(ids: Int32Array, from: number, to: number, stream: number, counter: number, rows: number[], labels: number[]) {
    const { rate, maskShare, randomShare } = this.#options;
    const limit = rate * 2 ** 32;
    const draws = this.#draws;
    for (let row = from; row < to; row++) {
      const id = ids[row]!;
      if (this.#special.has(id)) continue;
      randomBlock(draws, this.#seed, stream, counter, row - from);
      if (draws[0]! >= limit) continue;
      rows.push(row);
      labels.push(id);
      const action = draws[1]! / 2 ** 32;
      if (action < maskShare) ids[row] = this.#maskId;
      else if (action < maskShare + randomShare) {
        ids[row] = this.#ordinaryId(Math.floor(uniformOf(draws[2]!, draws[3]!) * this.#ordinaryCount));
      }
    }
  }

  /** Masks one token of `ids` with [MASK] where `mask` chose none; leaves it if all tokens are special. */
  maskOne(ids: Int32Array, stream: number, counter: number, rows: number[], labels: number[]): void {
    const candidates: number[] = [];
    for (const [row, id] of ids.entries()) if (!this.#special.has(id)) candidates.push(row);
    if (candidates.length === 0) return;
    const row = candidates[randomBelow(candidates.length, this.#seed, stream, counter)]!;
    rows.push(row);
    labels.push(ids[row]!);
    ids[row] = this.#maskId;
  }

  /** The `index`-th id of the vocabulary that is not special. */
  #ordinaryId(index: number): number {
    let id = index;
    for (const special of this.#specialAscending) if (special <= id) id++;
    return id;
  }
}
