// Short forms for what all encoders have: parameters and classes, which an architecture's file lists by their published names.

import type { Head, Initializer, ParameterSpec } from "./architecture.js";
import type { Norm, Weights } from "./ops.js";

export function vector(name: string, length: number, value = 0): ParameterSpec {
  return { name, shape: [length], role: "vector", init: { kind: "constant", value } };
}

export function matrix(name: string, rows: number, columns: number, init: Initializer): ParameterSpec {
  return { name, shape: [rows, columns], role: "matrix", init };
}

export function table(
  name: string,
  rows: number,
  columns: number,
  init: Initializer,
  options: { tied?: boolean } = {},
): ParameterSpec {
  return { name, shape: [rows, columns], role: "embedding", init, ...(options.tied && { tied: true }) };
}

/** `NAME.weight` [rows, columns] and, where there is one, `NAME.bias`. */
export function dense(name: string, rows: number, columns: number, init: Initializer, bias = true): ParameterSpec[] {
  return [matrix(`${name}.weight`, rows, columns, init), ...(bias ? [vector(`${name}.bias`, rows)] : [])];
}

export function layerNorm(name: string, width: number, bias = true): ParameterSpec[] {
  return [vector(`${name}.weight`, width, 1), ...(bias ? [vector(`${name}.bias`, width)] : [])];
}

/** The norm whose parameters `layerNorm` lists. */
export function normOf<T>(weights: Weights<T>, name: string, eps: number): Norm<T> {
  return { kind: "layer", weight: weights(`${name}.weight`), bias: weights(`${name}.bias`), eps };
}

/** The published classes of a model as transformers names them. */
export const classNamesOf = (model: string): Record<Head, string> => ({
  none: `${model}Model`,
  maskedLM: `${model}ForMaskedLM`,
  sequenceClassification: `${model}ForSequenceClassification`,
  tokenClassification: `${model}ForTokenClassification`,
  questionAnswering: `${model}ForQuestionAnswering`,
});

/** How many values some parameters have. */
export const countValues = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
