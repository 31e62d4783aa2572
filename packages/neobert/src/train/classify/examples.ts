// Labelled texts, tokenized once and packed batch by batch: what both training and evaluation read.

import { cutByTokens, longestFirst } from "../../engine/planner.js";
import { type TextInput, TextTokenizer, TokenizedTexts } from "../../texts/tokenized.js";
import type { Encoding, Tokenizer } from "../../tokenizer/index.js";
import { IGNORED, type LabelledBatch, type Problem } from "./problem.js";

/** Texts or pairs with what is to be learnt of each. Of the labels' kinds `Problem.type` says which it is. */
export interface LabelledInputs {
  inputs: TextInput[];
  /** A class or value a text; numbers of the labels it has; or a class a word. */
  labels: (number | readonly number[])[];
  /** The words of each text where they have labels: its text is these joined by spaces. */
  words?: (readonly string[])[];
}

export class Examples {
  readonly #texts: TokenizedTexts;
  /** The targets of each text. */
  readonly #targets: Float32Array[];

  private constructor(texts: TokenizedTexts, targets: Float32Array[]) {
    this.#texts = texts;
    this.#targets = targets;
  }

  /** Tokenizes; texts longer than `maxTokens` are cut. */
  static async tokenize(
    problem: Problem,
    data: LabelledInputs,
    tokenizer: Tokenizer,
    options: { where: string; maxTokens: number },
  ): Promise<Examples> {
    const { inputs, labels, words } = data;
    const textTokenizer = new TextTokenizer(tokenizer);
    if (problem.type !== "tokens") {
      const texts = await textTokenizer.tokenizeAll(inputs, options);
      return new Examples(
        texts,
        labels.map((label) => targetsOf(problem, label)),
      );
    }
    const encodings = await textTokenizer.encodeAll(inputs, options);
    const targets = encodings.map((encoding, i) => alignLabels(encoding, words![i]!, labels[i] as readonly number[]));
    return new Examples(TokenizedTexts.of(encodings), targets);
  }

  get length(): number {
    return this.#texts.length;
  }

  tokenCount(text: number): number {
    return this.#texts.tokenCount(text);
  }

  /** The texts named by `order`, packed, with their targets. */
  pack(order: readonly number[]): LabelledBatch {
    const targets = order.map((text) => this.#targets[text]!);
    const packed = new Float32Array(targets.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of targets) {
      packed.set(part, at);
      at += part.length;
    }
    return { ...this.#texts.pack(order), targets: packed, order };
  }

  /** The targets of one text. */
  targets(text: number): Float32Array {
    return this.#targets[text]!;
  }

  /** The texts of each batch of an evaluation: of near-equal length, at most `tokens` together or one alone. */
  plan(tokens: number): number[][] {
    return [...cutByTokens(longestFirst(this.#texts), (text) => this.tokenCount(text), tokens)];
  }
}

function targetsOf({ type, labels }: Problem, label: number | readonly number[]): Float32Array {
  if (type !== "multi") return Float32Array.of(label as number);
  const targets = new Float32Array(labels.length);
  for (const one of label as readonly number[]) targets[one] = 1;
  return targets;
}

/** A word's class at its first piece; `IGNORED` at its other pieces and at special tokens. */
export function alignLabels(
  { ids, offsets, specialTokensMask }: Pick<Encoding, "ids" | "offsets" | "specialTokensMask">,
  words: readonly string[],
  labels: readonly number[],
): Float32Array {
  const targets = new Float32Array(ids.length).fill(IGNORED);
  const starts: number[] = [];
  let at = 0;
  for (const word of words) {
    starts.push(at);
    at += word.length + 1;
  }
  let word = -1;
  for (let token = 0; token < ids.length; token++) {
    if (specialTokensMask[token] === 1) continue;
    // Byte-level tokenizers count the space before a word as its first piece's, so the end tells where a piece stands.
    const end = offsets[2 * token + 1]!;
    let here = Math.max(word, 0);
    while (here + 1 < words.length && end > starts[here + 1]!) here++;
    if (here === word || end <= starts[here]!) continue;
    word = here;
    targets[token] = labels[here]!;
  }
  return targets;
}
