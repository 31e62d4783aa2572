// What an encoder's file says about itself, all of it: config, values of a fresh model, parameters, forward pass, heads,
// and how it is called elsewhere (Python, llama.cpp). The table of them is architectures.ts; what the rest of the system
// holds is `Bound`, an architecture together with one config.

import type { z } from "zod";
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

/** What loads it in Python: classes of transformers, from which version on and for which heads not, or code elsewhere. */
export type PythonSupport =
  | { transformers: number; lacks?: readonly Head[] }
  | { remoteCode: string; variants: string };

/** A model as llama.cpp has it. */
export interface GgufForm {
  /** llama.cpp's name of the architecture. */
  architecture: string;
  /** Applied in order to a parameter's name without its prefix. */
  renames: [pattern: RegExp, replacement: string][];
  /** Hyperparameters beside those that every encoder has; a plain number is a whole one. */
  metadata: Record<string, number | string | { float: number }>;
  /** What llama.cpp calls the cut into words of its byte-level BPE. */
  words: string;
  /** Rows of this matrix go head by head, and are written as q | k | v. */
  perHead?: RegExp;
  /** Where it has a GELU, which llama.cpp approximates. */
  hasGelu: boolean;
  /** What else a user should know of how llama.cpp computes it. */
  notes?: string[];
}

/** What a run knows of the model that it builds. */
export interface FreshModel {
  /** Tokens of its longest text. */
  maxLength: number;
  pad: number;
  cls: number | undefined;
  sep: number | undefined;
  mask: number | undefined;
}

/** What holds whatever the config. */
interface Facts {
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
  python: PythonSupport;
  /** The fields of config.json; those with a description can be set in a run file. */
  fields: z.core.$ZodLooseShape;
  /** The field that says how long the texts of training are at most. */
  lengthField: string;
  /** The fields that hold the dropout of the encoder. */
  dropoutFields: readonly string[];
  /** Fields of a fresh model where they are not the published class's defaults, and ids that Python reads. */
  freshFields: (model: FreshModel) => object;
}

// NOTE: functions are properties, not methods, so that TypeScript checks their arguments both ways: one architecture's
// function does not take another's config.
export interface Architecture<Config> extends Facts {
  /** Reads a config.json; throws naming every wrong field. */
  parseConfig: (raw: unknown) => Config;
  parameters: (config: Config, head: Head) => ParameterSpec[];
  /** The field of `lengthField` where configs differ in it. */
  lengthFieldOf?: (config: Config) => string;
  /** Longest sequence that the parameters allow, `Infinity` where positions are computed. */
  maxPositions: (config: Config) => number;
  /** How many segments (token types) it tells apart; absent where it knows none. */
  segments?: (config: Config) => number;
  /** Width of the feed-forward unit, between its activation and its output. */
  innerSize: (config: Config) => number;
  /** Dropout of attention's probabilities, which training keeps in memory. */
  attentionDropout: (config: Config) => number;
  /** Its form for llama.cpp, or what llama.cpp lacks. */
  gguf: (config: Config) => GgufForm | { refused: string };
  /** Last hidden state [N, C], or its rows [M, C] where some are asked for. */
  forward: <T>(
    ops: Ops<T>,
    weights: Weights<T>,
    config: Config,
    batch: Batch<T>,
    options?: { rows?: RowChoice<T> },
  ) => T;
  /** The product that gives the masked-LM logits [M, V] of hidden rows [M, C]: what is multiplied, the matrix, the bias. */
  decoder: <T>(ops: Ops<T>, weights: Weights<T>, config: Config, hidden: T) => [x: T, weight: T, bias: T | undefined];
  /** Logits [B, number of labels], from the batch on. */
  sequenceLogits: <T>(ops: Ops<T>, weights: Weights<T>, config: Config, batch: Batch<T>) => T;
  /** Logits [M, number of labels] of hidden rows [M, C]; of an answer's start and end [M, 2] for question answering. */
  tokenLogits: <T>(ops: Ops<T>, weights: Weights<T>, config: Config, hidden: T, head: TokenHead) => T;
}

/** An architecture with a config of its own: the same functions, which no longer ask for it. */
export interface Bound<Config> extends Facts {
  readonly config: Config;
  parameters: (head: Head) => ParameterSpec[];
  maxPositions: () => number;
  /** The longest text that it was trained on and can be given; `Infinity` never. */
  longestText: () => number;
  segments: () => number;
  innerSize: () => number;
  attentionDropout: () => number;
  gguf: () => GgufForm | { refused: string };
  forward: <T>(ops: Ops<T>, weights: Weights<T>, batch: Batch<T>, options?: { rows?: RowChoice<T> }) => T;
  /** Logits [M, V] of hidden rows [M, C]. */
  maskedLogits: <T>(ops: Ops<T>, weights: Weights<T>, hidden: T) => T;
  /** Summed cross entropy of hidden rows [M, C] against labels [M]. */
  maskedLoss: <T>(ops: Ops<T>, weights: Weights<T>, hidden: T, labels: T) => T;
  sequenceLogits: <T>(ops: Ops<T>, weights: Weights<T>, batch: Batch<T>) => T;
  tokenLogits: <T>(ops: Ops<T>, weights: Weights<T>, hidden: T, head: TokenHead) => T;
}

/** What binds an architecture to a config.json, and the classes that it goes by in `architectures` there. */
export interface Binding<Config> {
  classNames: readonly string[];
  /** Throws naming every wrong field. */
  bind(raw: unknown): Bound<Config>;
}

export function binding<Config>(own: Architecture<Config>): Binding<Config> {
  const classNames = [...Object.values(own.classNames), ...Object.keys(own.otherClassNames ?? {})];
  const bind = (raw: unknown): Bound<Config> => {
    const config = own.parseConfig(raw);
    const lengthField = own.lengthFieldOf?.(config) ?? own.lengthField;
    return {
      ...own,
      config,
      lengthField,
      parameters: (head) => own.parameters(config, head),
      maxPositions: () => own.maxPositions(config),
      longestText: () => Math.min(own.maxPositions(config), (config as Record<string, number>)[lengthField]!),
      segments: () => own.segments?.(config) ?? 0,
      innerSize: () => own.innerSize(config),
      attentionDropout: () => own.attentionDropout(config),
      gguf: () => own.gguf(config),
      forward: (ops, weights, batch, options) => own.forward(ops, weights, config, batch, options),
      maskedLogits: (ops, weights, hidden) => ops.linear(...own.decoder(ops, weights, config, hidden)),
      maskedLoss: (ops, weights, hidden, labels) =>
        ops.linearCrossEntropy(...own.decoder(ops, weights, config, hidden), labels),
      sequenceLogits: (ops, weights, batch) => own.sequenceLogits(ops, weights, config, batch),
      tokenLogits: (ops, weights, hidden, head) => own.tokenLogits(ops, weights, config, hidden, head),
    };
  };
  return { classNames, bind };
}
