// TokenClassifier: named entities and the like, from a model with a token-classification head. Tokens are joined into words
// and words into entities by the rules of transformers' pipeline; entities carry their place in the text. A text that
// is too long is read in overlapping windows, and a token's scores are those of the window in which it stands furthest
// from a cut.

import { TokenizedTexts } from "../texts/tokenized.js";
import type { Encoding } from "../tokenizer/index.js";
import { type Aggregation, aggregate, type Entity, type TokenScores } from "./entities.js";
import { labelNames, scoresOf } from "./labels.js";
import { type CallOptions, LoadedModel, type LoadOptions, loadWith, nameText, waitingOf } from "./loaded-model.js";

export interface TagOptions extends CallOptions {
  /**
   * "none": tokens; "simple" (default): neighbouring tokens of one label; "first", "average", "max": whole words,
   * labelled by their first token, their tokens' mean or the surest of them.
   */
  aggregation?: Aggregation;
  /** Labels to leave out; default "O". */
  ignore?: readonly string[];
}

export class TokenClassifier extends LoadedModel {
  /** Loads a token classifier by folder or name on the Hub. Rejects if it has no token-classification head. */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<TokenClassifier> {
    const head = "tokenClassification";
    return loadWith("TokenClassifier.load", nameOrFolder, head, options, (parts) => new TokenClassifier(parts));
  }

  /** The entities of a text in its order, or those of each text of a list. */
  tag(text: string, options?: TagOptions): Promise<Entity[]>;
  tag(texts: readonly string[], options?: TagOptions): Promise<Entity[][]>;
  async tag(input: string | readonly string[], options: TagOptions = {}): Promise<Entity[] | Entity[][]> {
    const { aggregation = "simple", ignore = ["O"], signal } = options;
    const texts = typeof input === "string" ? [input] : input;
    const where = "tag";
    const maxTokens = this.lengthFor(where, options.maxTokens);
    const stride = maxTokens >> 2;
    const tokens: TokenScores[][] = texts.map(() => []);
    await this.thread.call(where, async () => {
      const encodings = await this.texts.encodeAll(texts, { where, maxTokens, signal, stride });
      const windows = encodings.flatMap((encoding, text) => this.#inOrder(encoding, stride, text));
      const best = texts.map(() => new Map<number, TokenScores & { margin: number }>());
      await this.thread.compute({
        ...waitingOf(options),
        where,
        texts: TokenizedTexts.of(windows.map(({ window }) => window)),
        describe: (i) => nameText(windows[i]!.text, texts[windows[i]!.text]!),
        task: () => ({ kind: "tokenLogits" }),
        take: (order, cuSeqlens, { data }) => {
          const labels = data.length / cuSeqlens.at(-1)!;
          for (const [i, index] of order.entries()) {
            const { text, window, firstPlace } = windows[index]!;
            let place = firstPlace - 1;
            for (let token = 0; token < window.ids.length; token++) {
              if (window.specialTokensMask[token] === 1) continue;
              place++;
              const margin = Math.min(token, window.ids.length - 1 - token);
              if (margin <= (best[text]!.get(place)?.margin ?? -1)) continue;
              const [start, end] = [window.offsets[2 * token]!, window.offsets[2 * token + 1]!];
              const at = (cuSeqlens[i]! + token) * labels;
              const scores = scoresOf(data.subarray(at, at + labels), "softmax");
              best[text]!.set(place, { margin, start, end, token: window.tokens[token]!, scores });
            }
          }
        },
      });
      for (const [text, found] of best.entries()) {
        tokens[text] = [...found].sort(([a], [b]) => a - b).map(([, token]) => token);
      }
    });
    const prefix = wordPiecePrefix(this.tokenizer.toJSON().model);
    const entities = tokens.map((list, text) => {
      const names = labelNames(this.config, list[0]?.scores.length ?? 0);
      return aggregate(texts[text]!, list, names, aggregation, prefix).filter(({ label }) => !ignore.includes(label));
    });
    return typeof input === "string" ? entities[0]! : entities;
  }

  /** The windows of a text from its start on, with the place of each one's first token among all of the text. */
  #inOrder(encoding: Encoding, stride: number, text: number) {
    const windows = [encoding, ...encoding.overflowing];
    if (this.tokenizer.truncationSide === "left") windows.reverse();
    let end = stride;
    return windows.map((window) => {
      const firstPlace = end - stride; // neighbours share so many tokens
      end = firstPlace + window.specialTokensMask.filter((mask) => mask === 0).length;
      return { text, window, firstPlace };
    });
  }
}

function wordPiecePrefix(model: object): string | undefined {
  const { type, continuing_subword_prefix } = model as { type?: string; continuing_subword_prefix?: string };
  return type === "WordPiece" ? (continuing_subword_prefix ?? "##") : undefined;
}
