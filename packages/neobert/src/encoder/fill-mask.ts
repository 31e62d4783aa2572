// FillMask: the most likely tokens for each [MASK] of a text, from a masked language model in a Hugging Face folder.

import { availableParallelism } from "node:os";
import { noGrad, setNumThreads, tidy } from "@neobert/torch";
import { TorchModel } from "../model/torch-model.js";
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

export class FillMask {
  readonly tokenizer: Tokenizer;
  readonly #model: TorchModel;

  private constructor(model: TorchModel, tokenizer: Tokenizer) {
    this.#model = model;
    this.tokenizer = tokenizer;
  }

  /** Loads a folder with config.json, model.safetensors and tokenizer. Throws if it has no masked-language-model head. */
  static load(folder: string): FillMask {
    setNumThreads(availableParallelism());
    return new FillMask(TorchModel.load(folder, { head: "maskedLM" }), loadTokenizer(folder));
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
    return tidy(() =>
      noGrad(() => {
        const batch = { ids, cuSeqlens: Int32Array.of(0, ids.length) };
        const probabilities = this.#model.logits(batch, rows).to("float32").softmax(-1); // [M, V]
        const { values, indices } = probabilities.topk(Math.min(topK, probabilities.shape[1]!));
        const [scores, best] = [values.toArray(), indices.toArray()];
        const width = values.shape[1]!;
        return Array.from(rows, (row, i) =>
          Array.from({ length: width }, (_, k) => {
            const id = best[i * width + k]!;
            const filled = Int32Array.from(ids).fill(id, row, row + 1);
            return {
              score: scores[i * width + k]!,
              id,
              token: this.tokenizer.idToToken(id) ?? "",
              sequence: this.tokenizer.decode(filled),
            };
          }),
        );
      }),
    );
  }

  dispose(): void {
    this.#model.dispose();
  }
}
