// Words and their counts from any amount of text. What stands between ASCII spaces is counted as it is and normalized
// once per distinct run, not once per occurrence; normalizing never reaches across such a space.

import { type BertNormalizerOptions, normalizeBert, splitBert } from "../text/bert-text.js";

const maxRuns = 1 << 20;

export class WordCounter {
  readonly counts = new Map<string, number>();
  readonly #runs = new Map<string, number>();
  readonly #normalizer: BertNormalizerOptions;

  constructor(normalizer: BertNormalizerOptions) {
    this.#normalizer = normalizer;
  }

  add(text: string): void {
    for (const run of text.split(/[ \t\n\r]+/)) {
      const count = this.#runs.get(run);
      // NOTE: a part of a string keeps the whole alive, so a new key is copied.
      if (count === undefined) this.#runs.set(Array.from(run).join(""), 1);
      else this.#runs.set(run, count + 1);
    }
    if (this.#runs.size > maxRuns) this.flush();
  }

  /** Moves what was added into `counts`. */
  flush(): void {
    for (const [run, count] of this.#runs) {
      const { text } = normalizeBert(run, this.#normalizer);
      splitBert(text, 0, text.length, (start, end) => {
        const word = text.slice(start, end);
        this.counts.set(word, (this.counts.get(word) ?? 0) + count);
      });
    }
    this.#runs.clear();
  }
}
