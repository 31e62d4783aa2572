// What an encoder's file says about itself: config, parameters, forward pass, heads. The table of them is architectures.ts.

import type { Batch, Ops, RowChoice, Weights } from "./ops.js";

/** What stands on top of the encoder; `none` is the bare encoder. */
export type Head = "none" | "maskedLM" | "sequenceClassification" | "tokenClassification" | "questionAnswering";

/** Heads with values for every token. */
export type TokenHead = Extract<Head, "tokenClassification" | "questionAnswering">;

export type Initializer =
  | { kind: "uniform"; range: number; zeroRow?: number } // in [-range, range); zeroRow: a padding row
  | { kind: "normal"; std: number; cutoff?: number; zeroRow?: number } // cutoff: none beyond so many deviations
  | { kind: "constant"; value: number };

export interface ParameterSpec {
  /** The published name, with the prefix that a model with a head has. */
  name: string;
  shape: number[];
  /** Only a `matrix` is multiplied in the compute type; everything else stays float32. */
  role: "matrix" | "embedding" | "vector";
  /** A table that is the decoder's matrix too, which asks for it as a `product`. */
  tied?: boolean;
  init: Initializer;
  /** In a normalised (nGPT) model: the dimension along which the training loop keeps this matrix at unit norm. */
  unitNormDim?: 0 | 1;
}

/** How published checkpoints differ from the names, and the number, of an architecture's parameters. */
export interface CheckpointVariants {
  /** Other spellings: renames, all applied in order to a name that is not one of the parameters. */
  renames?: [pattern: RegExp, replacement: string][];
  /** Tensors that no model here has and that are no error. */
  ignored?: RegExp;
  /** Parameters that some checkpoints lack, as they are their initial value there (a bias of 0). */
  optional?: RegExp;
}

export interface Architecture<Config> {
  modelType: string;
  /** What it is called, and the paper. */
  title: string;
  paper: string;
  /** The published class of each head, for `architectures` in config.json. */
  classNames: Record<Head, string>;
  /** Further published classes, by the head that is read from them. */
  otherClassNames?: Record<string, Head>;
  /** What a model with a head puts before the encoder's names; a bare encoder is stored without it. */
  prefix: string;
  checkpoints?: CheckpointVariants;
  /** Reads a config.json; throws naming every wrong field. */
  parseConfig(raw: unknown): Config;
  parameters(config: Config, head: Head): ParameterSpec[];
  /** Longest sequence that the parameters allow, `Infinity` where positions are computed. */
  maxPositions(config: Config): number;
  /** Last hidden state [N, C], or its rows [M, C] where some are asked for. */
  forward<T>(ops: Ops<T>, weights: Weights<T>, config: Config, batch: Batch<T>, options?: { rows?: RowChoice<T> }): T;
  /** Logits [M, V] of hidden rows [M, C]. */
  maskedLogits<T>(ops: Ops<T>, weights: Weights<T>, config: Config, hidden: T): T;
  /** Summed cross entropy of hidden rows [M, C] against labels [M]. */
  maskedLoss<T>(ops: Ops<T>, weights: Weights<T>, config: Config, hidden: T, labels: T): T;
  /** Logits [B, number of labels], from the batch on. */
  sequenceLogits<T>(ops: Ops<T>, weights: Weights<T>, config: Config, batch: Batch<T>): T;
  /** Logits [M, number of labels] of hidden rows [M, C]; of an answer's start and end [M, 2] for question answering. */
  tokenLogits<T>(ops: Ops<T>, weights: Weights<T>, config: Config, hidden: T, head: TokenHead): T;
}
