// Answers out of start and end logits, by the rules of transformers' question-answering pipeline: softmax over the tokens
// of the context and the first token, which stands for "no answer"; the likeliest spans of each window, widened to whole
// words; the same words in several places or windows add up. Where spans are equally likely the earlier goes first.

import type { TextTokenizer } from "../texts/tokenized.js";
import type { Encoding } from "../tokenizer/index.js";

export interface Answer {
  /** Probability that the answer starts and ends here. */
  score: number;
  /** Place in the context, in UTF-16 units as `slice` counts; 0 and 0 where there is no answer. */
  start: number;
  end: number;
  /** The context's own words there; empty where there is no answer. */
  text: string;
}

export interface AnswerChoice {
  /** Answers to give, best first. */
  topK: number;
  /** Tokens of the longest answer. */
  maxAnswerTokens: number;
  /** Give "no answer" among them, with an empty text. */
  handleImpossibleAnswer: boolean;
  /** Widen answers to whole words, as the tokenizer's pre-tokenizer cuts them. */
  alignToWords: boolean;
}

export const answerDefaults: AnswerChoice = {
  topK: 1,
  maxAnswerTokens: 15,
  handleImpossibleAnswer: false,
  alignToWords: true,
};

/** One window of a question with its context: its tokens, and which of them are the context's, [first, end). */
export interface AnswerWindow {
  encoding: Encoding;
  first: number;
  end: number;
}

/** Tokens that neighbouring windows share unless told otherwise. */
export const defaultStride = (maxTokens: number) => Math.min(maxTokens >> 1, 128);

/** The windows of a question and its context, encoded together as a pair with the context cut. */
export function answerWindows(texts: TextTokenizer, question: string, encoding: Encoding): AnswerWindow[] {
  const asked = texts.tokenizer.encodeIds(question).length;
  return [encoding, ...encoding.overflowing].map((window) => {
    const { specialTokensMask } = window;
    let first = texts.leading + asked;
    while (specialTokensMask[first] === 1) first++;
    let end = first;
    while (specialTokensMask[end] === 0) end++;
    return { encoding: window, first, end };
  });
}

/** The best answers over all windows of one context; `logits` has [T, 2] of each: a token's start and its end. */
export function findAnswers(
  context: string,
  windows: readonly AnswerWindow[],
  logits: readonly ArrayLike<number>[],
  choice: AnswerChoice & { clsId: number | undefined },
): Answer[] {
  const { topK, handleImpossibleAnswer, alignToWords, clsId } = choice;
  const answers: Answer[] = [];
  let noAnswer = Number.POSITIVE_INFINITY;
  for (const [i, window] of windows.entries()) {
    const { encoding } = window;
    const hasCls = clsId !== undefined && encoding.ids[0] === clsId;
    const starts = probabilities(window, hasCls, logits[i]!, 0);
    const ends = probabilities(window, hasCls, logits[i]!, 1);
    noAnswer = Math.min(noAnswer, starts[0]! * ends[0]!);
    // More than are asked for, as widening makes some the same.
    const spans = likeliestSpans(window, starts, ends, choice).slice(0, alignToWords ? 2 * topK + 10 : topK);
    for (const { first, last, score } of spans) {
      const [from, to] = alignToWords ? wholeWords(window, first, last) : [first, last];
      const [start, end] = [encoding.offsets[2 * from]!, encoding.offsets[2 * to + 1]!];
      const text = context.slice(start, end);
      const same = answers.find((answer) => answer.text.toLowerCase() === text.toLowerCase());
      if (same) same.score += score;
      else answers.push({ score, start, end, text });
    }
  }
  if (handleImpossibleAnswer) answers.push({ score: noAnswer, start: 0, end: 0, text: "" });
  return answers.sort((a, b) => b.score - a.score).slice(0, topK);
}

/** Softmax of start (0) or end (1) logits over the tokens that may be one; 0 for the others. */
function probabilities({ first, end }: AnswerWindow, hasCls: boolean, logits: ArrayLike<number>, which: 0 | 1) {
  const values = new Float64Array(logits.length / 2);
  const tokens = Array.from({ length: end - first }, (_, i) => first + i);
  if (hasCls) tokens.unshift(0);
  const logit = (token: number) => logits[2 * token + which]!;
  const top = tokens.reduce((top, token) => Math.max(top, logit(token)), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const token of tokens) sum += values[token] = Math.exp(logit(token) - top);
  return values.map((value) => value / (sum || 1));
}

interface Span {
  first: number;
  last: number;
  score: number;
}

/** Every span of the context that is not impossible, best first. */
function likeliestSpans(
  { first: begin, end }: AnswerWindow,
  starts: Float64Array,
  ends: Float64Array,
  { maxAnswerTokens }: AnswerChoice,
): Span[] {
  const spans: Span[] = [];
  for (let first = begin; first < end; first++) {
    for (let last = first; last < Math.min(end, first + maxAnswerTokens); last++) {
      const score = starts[first]! * ends[last]!;
      if (score > 0) spans.push({ first, last, score });
    }
  }
  return spans.sort((a, b) => b.score - a.score);
}

/** The first token of the first one's word and the last token of the last one's, as far as the window has them. */
function wholeWords({ encoding: { words }, first: begin, end }: AnswerWindow, first: number, last: number) {
  let [from, to] = [first, last];
  while (from > begin && words[from - 1] === words[first]) from--;
  while (to + 1 < end && words[to + 1] === words[last]) to++;
  return [from, to] as const;
}
