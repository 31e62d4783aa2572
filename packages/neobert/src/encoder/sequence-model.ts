// What Classifier and ZeroShotClassifier have in common: logits of texts or pairs of texts from a model with a
// sequence-classification head.

import type { TextInput } from "../texts/text-input.js";
import type { TruncationStrategy } from "../tokenizer/index.js";
import { type CallOptions, LoadedModel, nameText, waitingOf } from "./loaded-model.js";

export abstract class SequenceModel extends LoadedModel {
  /** The head's values of each text or pair as they are, before softmax or sigmoid. */
  logits(inputs: readonly TextInput[], options: CallOptions = {}): Promise<Float32Array[]> {
    return this.sequenceLogits("classify", inputs, options);
  }

  /**
   * As `logits`, with a choice of the text that is cut where a pair is too long, the longer one by default; and with the
   * number that the caller has for an input's text.
   */
  protected async sequenceLogits(
    where: string,
    inputs: readonly TextInput[],
    options: CallOptions,
    {
      truncation,
      numberOf = (input) => input,
    }: { truncation?: TruncationStrategy; numberOf?(input: number): number } = {},
  ): Promise<Float32Array[]> {
    const { signal } = options;
    const maxTokens = this.lengthFor(where, options.maxTokens);
    const logits: Float32Array[] = [];
    const placeOf = (input: number) => `${where}: text ${numberOf(input)}`;
    await this.thread.call(where, async () =>
      this.thread.compute({
        ...waitingOf(options),
        where,
        texts: await this.texts.tokenizeAll(inputs, { where, maxTokens, signal, truncation, placeOf }),
        describe: (text) => nameText(numberOf(text), inputs[text]!),
        task: () => ({ kind: "sequenceLogits" }),
        take: (order, _, { data }) => {
          const labels = data.length / order.length;
          for (const [i, text] of order.entries()) {
            logits[text] = data.slice(i * labels, (i + 1) * labels) as Float32Array;
          }
        },
      }),
    );
    return logits;
  }
}
