// CrossEncoder: how well texts answer a query, each read together with it, from a model with a classification head of one
// label. Slower than comparing vectors, and better: for the best hundred or so that a search has found.

import type { TextInput } from "../texts/text-input.js";
import { Classifier } from "./classifier.js";
import { type ScoreActivation, scoresOf } from "./labels.js";
import { type CallOptions, type LoadOptions, loadWith } from "./loaded-model.js";

export interface Ranked {
  /** Place of the text in the list that was given. */
  index: number;
  score: number;
  text: string;
}

export interface RerankOptions extends CallOptions {
  /** Texts to give, best first; default all. */
  topK?: number;
  /** Default: as the model's config says, else "sigmoid". */
  activation?: ScoreActivation;
}

export class CrossEncoder extends Classifier {
  /** Loads a cross-encoder by folder or name on the Hub. Rejects if it has no sequence-classification head. */
  static override async load(nameOrFolder: string, options: LoadOptions = {}): Promise<CrossEncoder> {
    const head = "sequenceClassification";
    return loadWith("CrossEncoder.load", nameOrFolder, head, options, (parts) => new CrossEncoder(parts));
  }

  /** The texts sorted by how well they answer the query, best first. Rejects if the head has several labels. */
  async rerank(query: string, texts: readonly string[], options: RerankOptions = {}): Promise<Ranked[]> {
    const { topK = Number.POSITIVE_INFINITY, ...rest } = options;
    if (!(topK >= 1)) throw new RangeError(`rerank: expected topK of 1 or more, got ${topK}`);
    const pairs = texts.map((text) => ({ text: query, pair: text }));
    const scores = await this.#scoresOf("rerank", pairs, rest);
    return texts
      .map((text, index) => ({ index, score: scores[index]!, text }))
      .sort((a, b) => b.score - a.score || a.index - b.index)
      .slice(0, topK);
  }

  /** A score for each pair of query and text, in their order. */
  async scores(
    pairs: readonly (readonly [query: string, text: string])[],
    options: Omit<RerankOptions, "topK"> = {},
  ): Promise<Float32Array> {
    const inputs = pairs.map(([query, text]) => ({ text: query, pair: text }));
    return this.#scoresOf("scores", inputs, options);
  }

  async #scoresOf(
    where: string,
    pairs: readonly TextInput[],
    { activation = this.#activation(), ...options }: Omit<RerankOptions, "topK">,
  ): Promise<Float32Array> {
    const logits = await this.sequenceLogits(where, pairs, options);
    const labels = logits[0]?.length ?? 1;
    if (labels !== 1) {
      throw new Error(
        `rerank: expected a model with one label, got ${labels}\nUse Classifier, with { text, pair }, for this one.`,
      );
    }
    const values = logits.map(([logit]) => logit!);
    return scoresOf(values, activation);
  }

  // Old models name the function at the config's top, newer ones under `sentence_transformers`.
  #activation(): ScoreActivation {
    const config = this.config as {
      sbert_ce_default_activation_function?: string | null;
      sentence_transformers?: { activation_fn?: string };
    };
    const name = config.sentence_transformers?.activation_fn ?? config.sbert_ce_default_activation_function;
    const last = name?.split(".").at(-1) ?? "Sigmoid";
    if (last === "Sigmoid") return "sigmoid";
    if (last === "Identity") return "none";
    throw new Error(`${this.folder}: expected an activation Sigmoid or Identity, got ${name}\nPass activation.`);
  }
}
