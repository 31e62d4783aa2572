// QuestionAnswerer: the words of a context that answer a question, from a model with a question-answering head. A context
// that is too long is read in overlapping windows. Candidates and scores are those of transformers' pipeline (answers.ts).

import { TokenizedTexts } from "../texts/tokenized.js";
import {
  type Answer,
  type AnswerChoice,
  answerDefaults,
  answerWindows,
  defaultStride,
  findAnswers,
} from "./answers.js";
import { type CallOptions, LoadedModel, type LoadOptions, loadWith, nameText, waitingOf } from "./loaded-model.js";

/** By default one answer of at most 15 tokens, widened to whole words, and never "no answer". */
export interface AnswerOptions extends CallOptions, Partial<AnswerChoice> {
  /** Tokens of a window, those of the question and special ones included; default 384, or the model's if that is less. */
  maxTokens?: number;
  /** Tokens of the context that neighbouring windows share; default 128, or half of `maxTokens` if that is less. */
  stride?: number;
}

export class QuestionAnswerer extends LoadedModel {
  /** Loads a model by folder, run folder or name on the Hub. Rejects if it has no question-answering head. */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<QuestionAnswerer> {
    const head = "questionAnswering";
    return loadWith("QuestionAnswerer.load", nameOrFolder, head, options, (parts) => new QuestionAnswerer(parts));
  }

  /**
   * The answers to a question, best first, or to each of a list: in one context for all, or each in its own. Fewer than
   * `topK` where the context has not so many; none where it has no words. Rejects if a question or context is empty, or
   * a question leaves no room for the context.
   */
  answer(question: string, context: string, options?: AnswerOptions): Promise<Answer[]>;
  answer(
    questions: readonly string[],
    contexts: string | readonly string[],
    options?: AnswerOptions,
  ): Promise<Answer[][]>;
  async answer(
    question: string | readonly string[],
    context: string | readonly string[],
    options: AnswerOptions = {},
  ): Promise<Answer[] | Answer[][]> {
    const where = "answer";
    const { signal } = options;
    const maxTokens = this.lengthFor(where, options.maxTokens ?? Math.min(this.maxTokens, 384));
    const stride = options.stride ?? defaultStride(maxTokens);
    const choice = choiceOf(options);
    const inputs = inputsOf(question, context);
    const answers: Answer[][] = [];
    await this.thread.call(where, async () => {
      const encodings = await this.texts.encodeAll(inputs, {
        where,
        maxTokens,
        signal,
        stride,
        truncation: "onlySecond",
      });
      const windows = encodings.map((encoding, i) => answerWindows(this.texts, inputs[i]!.text, encoding));
      const flat = windows.flatMap((list, input) => list.map(({ encoding }) => ({ input, encoding })));
      const logits: Float32Array[] = [];
      await this.thread.compute({
        ...waitingOf(options),
        where,
        texts: TokenizedTexts.of(flat.map(({ encoding }) => encoding)),
        describe: (i) => nameText(flat[i]!.input, inputs[flat[i]!.input]!),
        task: () => ({ kind: "tokenLogits" }),
        take: (order, cuSeqlens, { data }) => {
          for (const [i, window] of order.entries()) {
            logits[window] = data.slice(2 * cuSeqlens[i]!, 2 * cuSeqlens[i + 1]!) as Float32Array;
          }
        },
      });
      const { cls: clsId } = this.tokenizer.specialIds;
      for (let input = 0, at = 0; input < inputs.length; at += windows[input++]!.length) {
        const own = logits.slice(at, at + windows[input]!.length);
        answers.push(findAnswers(inputs[input]!.pair, windows[input]!, own, { ...choice, clsId }));
      }
    });
    return typeof question === "string" ? answers[0]! : answers;
  }
}

function choiceOf(options: AnswerOptions): AnswerChoice {
  const {
    topK = answerDefaults.topK,
    maxAnswerTokens = answerDefaults.maxAnswerTokens,
    handleImpossibleAnswer = answerDefaults.handleImpossibleAnswer,
    alignToWords = answerDefaults.alignToWords,
  } = options;
  for (const [name, value] of Object.entries({ topK, maxAnswerTokens })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`answer: expected ${name} of 1 or more, got ${value}`);
    }
  }
  return { topK, maxAnswerTokens, handleImpossibleAnswer, alignToWords };
}

function inputsOf(question: string | readonly string[], context: string | readonly string[]) {
  const questions = typeof question === "string" ? [question] : question;
  const contexts = typeof context === "string" ? questions.map(() => context) : context;
  if (contexts.length !== questions.length) {
    throw new Error(
      `answer: expected a context for each of ${questions.length} questions, got ${contexts.length}\nPass one text where all have the same.`,
    );
  }
  return questions.map((text, i) => {
    const pair = contexts[i]!;
    if (text === "" || pair === "") {
      throw new Error(`answer: expected a ${text === "" ? "question" : "context"} at index ${i}, got an empty text`);
    }
    return { text, pair };
  });
}
