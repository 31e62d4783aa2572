// FillMask: the most likely tokens for each [MASK] of a text, from a masked language model in a Hugging Face folder. The
// engine behind it is loaded when a model is, so that importing this costs nothing.

import { resolveModel } from "../hub/resolve.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";

/** One way to fill a [MASK]. */
export interface Filling {
  /** Probability, from 0 to 1. */
  score: number;
  id: number;
  token: string;
  /** The text with this token in place of this [MASK]. */
  sequence: string;
}

/** What an engine offers: for each of `rows` (positions in `ids`) the `topK` likeliest tokens, best first. */
export interface MaskedLM {
  likeliest(ids: Int32Array, rows: Int32Array, topK: number): { ids: number[]; scores: number[] }[];
  dispose(): void;
}

export class FillMask {
  readonly tokenizer: Tokenizer;
  readonly #model: MaskedLM;

  constructor(model: MaskedLM, tokenizer: Tokenizer) {
    this.#model = model;
    this.tokenizer = tokenizer;
  }

  /**
   * Loads a model by folder, run folder or name on the Hub. Throws if it has no masked-language-model head, or if
   * libtorch is not there.
   */
  static async load(nameOrFolder: string): Promise<FillMask> {
    const folder = await resolveModel(nameOrFolder);
    const { loadTorchMaskedLM } = await import("./torch-masked-lm.js");
    return new FillMask(loadTorchMaskedLM(folder), loadTokenizer(folder));
  }

  /** The `topK` (5) best fillings of each [MASK] of the text, in order. Throws if the text has none. */
  fill(text: string, { topK = 5 }: { topK?: number } = {}): Filling[][] {
    const { mask } = this.tokenizer.specialIds;
    const { ids } = this.tokenizer.encode(text);
    const rows = Int32Array.from(ids.keys()).filter((row) => ids[row] === mask);
    if (rows.length === 0) {
      const name = mask === undefined ? "[MASK]" : this.tokenizer.idToToken(mask);
      throw new Error(`fill: expected a text with ${name}, got "${text}"\nPut ${name} where a word is to be guessed.`);
    }
    return this.#model.likeliest(ids, rows, topK).map((best, i) =>
      best.ids.map((id, k) => {
        const filled = Int32Array.from(ids).fill(id, rows[i], rows[i]! + 1);
        const token = this.tokenizer.idToToken(id) ?? "";
        return { score: best.scores[k]!, id, token, sequence: this.tokenizer.decode(filled) };
      }),
    );
  }

  dispose(): void {
    this.#model.dispose();
  }
}
