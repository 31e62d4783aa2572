// Labelled texts, tokenized once and packed batch by batch: what both training and evaluation read. A question with a long
// context is several windows, which go together: an epoch shows each question once.

import { type AnswerWindow, answerWindows, defaultStride } from "../../encoder/answers.js";
import { cutByTokens, longestFirst } from "../../engine/planner.js";
import type { TextInput } from "../../texts/text-input.js";
import { TextTokenizer, TokenizedTexts } from "../../texts/tokenized.js";
import type { Encoding, Tokenizer } from "../../tokenizer/index.js";
import { IGNORED, type LabelledBatch, type Problem } from "./problem.js";

/** Texts or pairs with what is to be learnt of each. Of the labels' kinds `Problem.type` says which it is. */
export interface LabelledInputs {
  inputs: TextInput[];
  /** A class or value a text; numbers of the labels it has; a class a word; or the answer's place in the pair, if any. */
  labels: (number | readonly number[])[];
  /** The words of each text where they have labels: its text is these joined by spaces. */
  words?: (readonly string[])[];
  /** The right answers to each question; none where its context has none. */
  answers?: (readonly string[])[];
  /** What errors call each text: its file and row. */
  places?: (string | undefined)[];
}

/** A question's context as it was read, to find answers in. */
export interface Passage {
  context: string;
  windows: AnswerWindow[];
  answers: readonly string[];
}

/** The words of a text with their classes, and the token that each is judged by: none where it is cut away, or has none. */
export interface LabelledWords {
  labels: readonly number[];
  tokens: readonly (number | undefined)[];
}

/** What is kept of texts beside their tokens and targets, by kind of problem. */
interface Kept {
  passages?: Passage[];
  words?: LabelledWords[];
}

export class Examples {
  readonly #texts: TokenizedTexts;
  /** The targets of each text. */
  readonly #targets: Float32Array[];
  readonly #words: LabelledWords[] | undefined;
  /** Of questions: their contexts, and where the windows of each begin and the last end. */
  readonly #passages: Passage[] | undefined;
  readonly #windowStarts: number[];
  /** The token in front of each text that stands for "no answer". */
  readonly clsId: number | undefined;

  private constructor(
    texts: TokenizedTexts,
    targets: Float32Array[],
    tokenizer: Tokenizer,
    { passages, words }: Kept = {},
  ) {
    this.#words = words;
    this.clsId = tokenizer.specialIds.cls;
    this.#texts = texts;
    this.#targets = targets;
    this.#passages = passages;
    this.#windowStarts = [0];
    for (const { windows } of passages ?? []) this.#windowStarts.push(this.#windowStarts.at(-1)! + windows.length);
  }

  /** Tokenizes; texts longer than `maxTokens` are cut, and contexts of questions read in windows with `stride`. */
  static async tokenize(
    problem: Problem,
    data: LabelledInputs,
    tokenizer: Tokenizer,
    options: { where: string; maxTokens: number; stride?: number | undefined; vocabSize?: number },
  ): Promise<Examples> {
    const { inputs, labels, words, places } = data;
    const textTokenizer = new TextTokenizer(tokenizer, options.vocabSize);
    if (problem.type === "spans") return Examples.#questions(data, textTokenizer, options);
    const tokenizing = { ...options, needsTokens: true, placeOf: (text: number) => places?.[text] };
    if (problem.type !== "tokens") {
      const texts = await textTokenizer.tokenizeAll(inputs, tokenizing);
      const targets = labels.map((label) => targetsOf(problem, label));
      return new Examples(texts, targets, tokenizer);
    }
    const encodings = await textTokenizer.encodeAll(inputs, tokenizing);
    const labelled = encodings.map(
      (encoding, i): LabelledWords => ({
        labels: labels[i] as readonly number[],
        tokens: firstTokens(encoding, words![i]!),
      }),
    );
    const targets = encodings.map(({ ids }, i) => wordTargets(ids.length, labelled[i]!));
    return new Examples(TokenizedTexts.of(encodings), targets, tokenizer, { words: labelled });
  }

  static async #questions(
    { inputs, labels, answers, places }: LabelledInputs,
    tokenizer: TextTokenizer,
    options: { where: string; maxTokens: number; stride?: number | undefined },
  ): Promise<Examples> {
    const { stride = defaultStride(options.maxTokens) } = options;
    const placeOf = (text: number) => places?.[text];
    const encodings = await tokenizer.encodeAll(inputs, { ...options, stride, placeOf, truncation: "onlySecond" });
    const passages = encodings.map((encoding, i) => {
      const { text, pair } = inputs[i] as { text: string; pair: string };
      return { context: pair, windows: answerWindows(tokenizer, text, encoding), answers: answers![i]! };
    });
    const targets = passages.map(({ windows }, i) =>
      Float32Array.from(windows.flatMap((window) => alignSpan(window, labels[i] as readonly number[]))),
    );
    const windows = passages.flatMap(({ windows }) => windows.map(({ encoding }) => encoding));
    return new Examples(TokenizedTexts.of(windows), targets, tokenizer.tokenizer, { passages });
  }

  get length(): number {
    return this.#targets.length;
  }

  tokenCount(text: number): number {
    return this.#windowsOf(text).reduce((sum, window) => sum + this.#texts.tokenCount(window), 0);
  }

  /** The context of a question. */
  passage(text: number): Passage {
    const passage = this.#passages?.[text];
    if (!passage) throw new Error(`internal: text ${text} has no context`);
    return passage;
  }

  /** The labelled words of a text. */
  words(text: number): LabelledWords {
    const words = this.#words?.[text];
    if (!words) throw new Error(`internal: text ${text} has no labelled words`);
    return words;
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
    const rows = order.flatMap((text) => this.#windowsOf(text));
    return { ...this.#texts.pack(rows), targets: packed, order };
  }

  /** The places of a text's windows among the tokenized texts. */
  #windowsOf(text: number): number[] {
    if (!this.#passages) return [text];
    const [start, end] = [this.#windowStarts[text]!, this.#windowStarts[text + 1]!];
    return Array.from({ length: end - start }, (_, i) => start + i);
  }

  /** The targets of one text. */
  targets(text: number): Float32Array {
    return this.#targets[text]!;
  }

  /** The texts of each batch of an evaluation: of near-equal length, at most `tokens` together or one alone. */
  plan(tokens: number): number[][] {
    return [...cutByTokens(longestFirst(this), (text) => this.tokenCount(text), tokens)];
  }
}

function targetsOf({ type, labels }: Problem, label: number | readonly number[]): Float32Array {
  if (type !== "multi") return Float32Array.of(label as number);
  const targets = new Float32Array(labels.length);
  for (const one of label as readonly number[]) targets[one] = 1;
  return targets;
}

/** The first and last token of an answer [start, end) of the context; 0 and 0 where the window has not all of it. */
export function alignSpan({ encoding, first, end }: AnswerWindow, [from, to]: readonly number[]): [number, number] {
  const { offsets } = encoding;
  if (from === undefined || to === undefined || first === end) return [0, 0];
  if (offsets[2 * first]! > from || offsets[2 * end - 1]! < to) return [0, 0];
  let start = first;
  while (offsets[2 * start + 1]! <= from) start++;
  let last = end - 1;
  while (offsets[2 * last]! >= to) last--;
  return [start, last];
}

/** A word's class at its first piece; `IGNORED` at its other pieces and at special tokens. */
function wordTargets(length: number, { labels, tokens }: LabelledWords): Float32Array {
  const targets = new Float32Array(length).fill(IGNORED);
  for (const [word, token] of tokens.entries()) if (token !== undefined) targets[token] = labels[word]!;
  return targets;
}

/** The first piece of each of a text's words, which are joined by spaces there. */
export function firstTokens(
  { ids, offsets, specialTokensMask }: Pick<Encoding, "ids" | "offsets" | "specialTokensMask">,
  words: readonly string[],
): (number | undefined)[] {
  const tokens = new Array<number | undefined>(words.length).fill(undefined);
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
    tokens[here] = token;
  }
  return tokens;
}
