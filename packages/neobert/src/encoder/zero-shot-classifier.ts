// ZeroShotClassifier: labels of one's own choice for texts, from a model of natural language inference: how far a text
// entails "This example is LABEL.". Scores are those of transformers' zero-shot-classification pipeline, which finds
// the entailment by its name and takes the first class for the contradiction, or the last where that is the entailment.

import type { ModelConfig } from "../model/architectures.js";
import { labelNames, scoresOf } from "./labels.js";
import { type CallOptions, type LoadOptions, loadWith, type ModelParts } from "./loaded-model.js";
import { SequenceModel } from "./sequence-model.js";

export interface ZeroShotLabel {
  label: string;
  /** Place of the label in the list that was given. */
  index: number;
  score: number;
}

export interface ZeroShotOptions extends CallOptions {
  /** What a text may entail, with {} where the label goes; default "This example is {}." */
  hypothesisTemplate?: string;
  /** Each label on its own, entailment against contradiction; by default scores of all labels add up to 1. */
  multiLabel?: boolean;
}

export class ZeroShotClassifier extends SequenceModel {
  readonly #entailment: number;

  private constructor(parts: ModelParts) {
    super(parts);
    this.#entailment = entailmentOf(parts.folder, this.config);
  }

  /**
   * Loads a model by folder or name on the Hub. Rejects if it has no sequence-classification head, or none of its labels
   * starts with "entail".
   */
  static async load(nameOrFolder: string, options: LoadOptions = {}): Promise<ZeroShotClassifier> {
    const head = "sequenceClassification";
    return loadWith("ZeroShotClassifier.load", nameOrFolder, head, options, (parts) => new ZeroShotClassifier(parts));
  }

  /** All labels with their scores, best first, for a text, or those for each of a list. */
  classify(text: string, labels: readonly string[], options?: ZeroShotOptions): Promise<ZeroShotLabel[]>;
  classify(texts: readonly string[], labels: readonly string[], options?: ZeroShotOptions): Promise<ZeroShotLabel[][]>;
  async classify(
    input: string | readonly string[],
    labels: readonly string[],
    options: ZeroShotOptions = {},
  ): Promise<ZeroShotLabel[] | ZeroShotLabel[][]> {
    const { hypothesisTemplate = "This example is {}.", multiLabel = false } = options;
    if (labels.length === 0) throw new Error("classify: expected labels, got none");
    const [before, after, ...more] = hypothesisTemplate.split("{}");
    if (after === undefined || more.length > 0) {
      throw new Error(
        `classify: expected a hypothesisTemplate with one {}, got "${hypothesisTemplate}"\nPut {} where the label goes.`,
      );
    }
    const texts = typeof input === "string" ? [input] : input;
    const pairs = texts.flatMap((text) => labels.map((label) => ({ text, pair: `${before}${label}${after}` })));
    const logits = await this.sequenceLogits("classify", pairs, options, {
      truncation: "onlyFirst", // the label is never cut
      numberOf: (pair) => Math.floor(pair / labels.length),
    });
    const results = texts.map((_, i) => {
      const scores = this.#scores(logits.slice(i * labels.length, (i + 1) * labels.length), multiLabel);
      return labels
        .map((label, index) => ({ label, index, score: scores[index]! }))
        .sort((a, b) => b.score - a.score || a.index - b.index);
    });
    return typeof input === "string" ? results[0]! : results;
  }

  /** Of the logits of one text with each label. */
  #scores(logits: readonly Float32Array[], multiLabel: boolean): ArrayLike<number> {
    const entailment = this.#entailment;
    if (!multiLabel && logits.length > 1) {
      const entailed = logits.map((row) => row[entailment]!);
      return scoresOf(entailed, "softmax");
    }
    return logits.map((row) => {
      const contradiction = entailment === 0 ? row.length - 1 : 0;
      return scoresOf([row[contradiction]!, row[entailment]!], "softmax")[1]!;
    });
  }
}

function entailmentOf(folder: string, config: ModelConfig): number {
  const {
    label2id,
    id2label,
    num_labels = 2,
  } = config as { label2id?: Record<string, number> | null; id2label?: Record<string, string>; num_labels?: number };
  const names = labelNames(config, id2label ? Object.keys(id2label).length : num_labels);
  const numbers = label2id ?? Object.fromEntries(names.map((name, i) => [name, i]));
  const found = Object.entries(numbers).find(([name]) => name.toLowerCase().startsWith("entail"));
  if (found) return Number(found[1]);
  throw new Error(
    `${folder}: expected a label that starts with "entail", got ${Object.keys(numbers).join(", ")}\n` +
      "Use a model of natural language inference; config.json names its labels in id2label.",
  );
}
