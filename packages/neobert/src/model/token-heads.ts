// The heads that give every token its values by one linear layer, as data: what the layer is called, how many values it
// gives, and whether training drops out what it reads. Published classes for question answering (a value for "the answer
// starts here" and one for "it ends here") are token classifiers of two labels under another name.

import type { Head, Initializer, ParameterSpec, TokenHead } from "./architecture.js";
import { type CommonModelConfig, labelCount } from "./config-fields.js";
import type { Ops, Weights } from "./ops.js";
import { dense } from "./parameters.js";

interface TokenLayer {
  layer: string;
  hasDropout: boolean;
  labels: (config: CommonModelConfig) => number;
}

/** By head; an architecture whose published classes differ has them as its own. */
export const tokenLayers: Record<TokenHead, TokenLayer> = {
  tokenClassification: { layer: "classifier", hasDropout: true, labels: labelCount },
  questionAnswering: { layer: "qa_outputs", hasDropout: false, labels: () => 2 },
};

export const isTokenHead = (head: Head): head is TokenHead => head in tokenLayers;

/** The layer's parameters; none where the head is not one of these. */
export function tokenHeadParameters(head: Head, config: CommonModelConfig, init: Initializer): ParameterSpec[] {
  if (!isTokenHead(head)) return [];
  const { layer, labels } = tokenLayers[head];
  return dense(layer, labels(config), config.hidden_size, init);
}

/** Logits [M, labels] of hidden rows [M, C]. */
export function tokenHeadLogits<T>(ops: Ops<T>, weights: Weights<T>, head: TokenHead, hidden: T, dropout: number): T {
  const { layer, hasDropout } = tokenLayers[head];
  const x = hasDropout ? ops.dropout(hidden, dropout) : hidden;
  return ops.linear(x, weights(`${layer}.weight`), weights(`${layer}.bias`));
}
