// FillMask: the most likely tokens for each [MASK] of a text, from a masked language model in a Hugging Face folder.

import type { PackedBatch } from "../engine/engine.js";
import type { EngineResult } from "../engine/engine-tasks.js";
import type { TokenizedTexts } from "../texts/tokenized.js";
import {
  type CallOptions,
  LoadedModel,
  type LoadOptions,
  loadWith,
  type ModelParts,
  nameText,
  waitingOf,
} from "./loaded-model.js";

/** One way to fill a [MASK]. */
export interface Filling {
  /** Probability, from 0 to 1. */
  score: number;
  id: number;
  token: string;
  /** The text with this token in place of this [MASK]. */
  sequence: string;
}

export interface FillOptions extends CallOptions {
  /** Fillings of each mask; default 5. */
  topK?: number;
}

export class FillMask extends LoadedModel {
  private constructor(parts: ModelParts) {
    super(parts);
    if (this.maskToken !== undefined) return;
    throw new Error(`${parts.folder}: expected a tokenizer with a mask token, got one without\nName it mask_token.`);
  }

  /**
   * Loads a model by folder, run folder or name on the Hub. Rejects if it has no masked-language-model head, or no
   * token for the mask.
   */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<FillMask> {
    return loadWith("FillMask.load", nameOrFolder, "maskedLM", options, (parts) => new FillMask(parts));
  }

  /** What stands in a text where a token is to be guessed: "[MASK]", or "<mask>". */
  get maskToken(): string | undefined {
    const { mask } = this.tokenizer.specialIds;
    return mask === undefined ? undefined : this.tokenizer.idToToken(mask);
  }

  /** The best fillings of each mask of a text in order, or those of each text of a list. Rejects if a text has none. */
  fill(text: string, options?: FillOptions): Promise<Filling[][]>;
  fill(texts: readonly string[], options?: FillOptions): Promise<Filling[][][]>;
  async fill(input: string | readonly string[], options: FillOptions = {}): Promise<Filling[][] | Filling[][][]> {
    const { topK = 5, signal } = options;
    if (!Number.isInteger(topK) || topK < 1) throw new RangeError(`fill: expected topK of 1 or more, got ${topK}`);
    const texts = typeof input === "string" ? [input] : input;
    const where = "fill";
    const maxTokens = this.lengthFor(where, options.maxTokens);
    const fillings: Filling[][][] = [];
    await this.thread.call(where, async () => {
      const tokenized = await this.texts.tokenizeAll(texts, { where, maxTokens, signal });
      const masks = texts.map((text, i) => this.#masksOf(text, tokenized.ids(i)));
      await this.thread.compute({
        ...waitingOf(options),
        where,
        texts: tokenized,
        describe: (text) => nameText(text, texts[text]!),
        task: (order, cuSeqlens) => {
          const rows = order.flatMap((text, i) => masks[text]!.map((mask) => cuSeqlens[i]! + mask));
          return { kind: "fill", rows: Int32Array.from(rows), topK };
        },
        take: (order, _, { data, ids }) => {
          const k = data.length / order.reduce((sum, text) => sum + masks[text]!.length, 0);
          let row = 0;
          for (const text of order) {
            fillings[text] = masks[text]!.map((mask) => {
              const best = { ids: ids!.subarray(row * k, (row + 1) * k), scores: data.subarray(row * k, ++row * k) };
              return this.#fillingsOf(tokenized, text, mask, best);
            });
          }
        },
      });
    });
    return typeof input === "string" ? fillings[0]! : fillings;
  }

  /**
   * The log-probability that the model gives to token `ids[i]` at row `rows[i]` of packed texts whose masks are in place
   * already. The arrays of `batch` are given away.
   */
  async logProbabilities(batch: PackedBatch, rows: Int32Array, ids: Int32Array): Promise<Float32Array> {
    const { vocab_size } = this.config;
    this.checkRows(batch.ids, () => "logProbabilities");
    this.checkRows(ids, () => "logProbabilities");
    const foreign = ids.find((id) => id < 0 || id >= vocab_size);
    if (foreign !== undefined || ids.length !== rows.length) {
      const got = foreign === undefined ? `${ids.length}` : `id ${foreign}`;
      throw new Error(
        `logProbabilities: expected an id from 0 to ${vocab_size - 1} for each of ${rows.length} rows, got ${got}`,
      );
    }
    let found: EngineResult | undefined;
    await this.thread.call("logProbabilities", () =>
      this.thread.compute({
        where: "logProbabilities",
        texts: { length: 1, tokenCount: () => batch.ids.length, pack: () => batch },
        describe: () => "the batch",
        task: (order) => ({
          kind: "logProbabilities",
          rows: order.length > 0 ? rows : new Int32Array(0),
          ids: order.length > 0 ? ids : new Int32Array(0),
        }),
        take: (_, __, result) => {
          found = result;
        },
      }),
    );
    return found!.data.slice() as Float32Array;
  }

  /** Throws, naming the token and what `where` calls the text, where the model knows no token of an id. */
  checkRows(ids: Int32Array, where: () => string): void {
    this.texts.checkRows(ids, where);
  }

  #masksOf(text: string, ids: Int32Array): number[] {
    const { mask } = this.tokenizer.specialIds;
    const places = [...ids.keys()].filter((i) => ids[i] === mask);
    if (places.length > 0) return places;
    const name = this.maskToken!;
    const cut = text.includes(name) ? `one only behind its first ${ids.length} tokens, in` : "";
    throw new Error(
      `fill: expected a text with ${name}, got ${cut && `${cut} `}"${text}"\nPut ${name} where a word is to be guessed.`,
    );
  }

  #fillingsOf(
    tokenized: TokenizedTexts,
    text: number,
    mask: number,
    best: { ids: Int32Array; scores: ArrayLike<number> },
  ): Filling[] {
    return Array.from(best.ids, (id, i) => {
      const filled = tokenized
        .ids(text)
        .slice()
        .fill(id, mask, mask + 1);
      const token = this.tokenizer.idToToken(id) ?? "";
      return { score: best.scores[i]!, id, token, sequence: this.tokenizer.decode(filled) };
    });
  }
}
