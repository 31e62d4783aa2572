// TokenClassifier: named entities and the like, from a model with a token-classification head. Tokens are joined into words
// and words into entities by the rules of transformers' pipeline; entities carry their place in the text. A text that
// is too long is read in overlapping windows, and a token's scores are those of the window in which it stands furthest
// from a cut.

import { TokenizedTexts } from "../texts/tokenized.js";
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
      const windows = encodings.flatMap((encoding, text) =>
        [encoding, ...encoding.overflowing].map((window) => ({ text, window })),
      );
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
            const { text, window } = windows[index]!;
            for (let token = 0; token < window.ids.length; token++) {
              if (window.specialTokensMask[token] === 1) continue;
              const margin = Math.min(token, window.ids.length - 1 - token);
              const [start, end] = [window.offsets[2 * token]!, window.offsets[2 * token + 1]!];
              if (margin <= (best[text]!.get(start)?.margin ?? -1)) continue;
              const at = (cuSeqlens[i]! + token) * labels;
              const scores = scoresOf(data.subarray(at, at + labels), "softmax");
              best[text]!.set(start, { margin, start, end, token: window.tokens[token]!, scores });
            }
          }
        },
      });
      for (const [text, found] of best.entries()) {
        tokens[text] = [...found.values()].sort((a, b) => a.start - b.start);
      }
    });
    const prefix = wordPiecePrefix(this.tokenizer.toJSON().model);
    const entities = tokens.map((list, text) => {
      const names = labelNames(this.config, list[0]?.scores.length ?? 0);
      return aggregate(texts[text]!, list, names, aggregation, prefix).filter(({ label }) => !ignore.includes(label));
    });
    return typeof input === "string" ? entities[0]! : entities;
  }
}

function wordPiecePrefix(model: object): string | undefined {
  const { type, continuing_subword_prefix } = model as { type?: string; continuing_subword_prefix?: string };
  return type === "WordPiece" ? (continuing_subword_prefix ?? "##") : undefined;
}
