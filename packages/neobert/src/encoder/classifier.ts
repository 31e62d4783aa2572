// Classifier: labels of texts or pairs of texts with their scores, from a model with a sequence-classification head.

import type { TextInput } from "../texts/text-input.js";
import { activationOf, labelNames, type ScoreActivation, scoresOf } from "./labels.js";
import { type CallOptions, type LoadOptions, loadWith } from "./loaded-model.js";
import { SequenceModel } from "./sequence-model.js";

export interface LabelScore {
  label: string;
  /** Number of the label in the model's config. */
  index: number;
  score: number;
}

export interface ClassifyOptions extends CallOptions {
  /** Labels to give, best first; default all. */
  topK?: number;
  /** Default: "softmax"; "sigmoid" where the config says that labels do not exclude each other; "none" for regression. */
  activation?: ScoreActivation;
}

export class Classifier extends SequenceModel {
  /** Loads a classifier by folder or name on the Hub. Rejects if it has no sequence-classification head. */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<Classifier> {
    const head = "sequenceClassification";
    return loadWith("Classifier.load", nameOrFolder, head, options, (parts) => new Classifier(parts));
  }

  /** The labels of a text or pair, best first, or those of each of a list. */
  classify(input: TextInput, options?: ClassifyOptions): Promise<LabelScore[]>;
  classify(inputs: readonly TextInput[], options?: ClassifyOptions): Promise<LabelScore[][]>;
  async classify(
    input: TextInput | readonly TextInput[],
    options: ClassifyOptions = {},
  ): Promise<LabelScore[] | LabelScore[][]> {
    const { topK = Number.POSITIVE_INFINITY, activation } = options;
    if (!(topK >= 1)) throw new RangeError(`classify: expected topK of 1 or more, got ${topK}`);
    const inputs = isList(input) ? input : [input];
    const logits = await this.logits(inputs, options);
    const labels = logits.map((row) => {
      const scores = scoresOf(row, activation ?? activationOf(this.config, row.length));
      const names = labelNames(this.config, row.length);
      return names
        .map((label, index) => ({ label, index, score: scores[index]! }))
        .sort((a, b) => b.score - a.score || a.index - b.index)
        .slice(0, topK);
    });
    return isList(input) ? labels : labels[0]!;
  }
}

function isList(input: TextInput | readonly TextInput[]): input is readonly TextInput[] {
  return Array.isArray(input);
}
