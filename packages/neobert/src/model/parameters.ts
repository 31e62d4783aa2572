// Short forms for the parameters that all encoders have: what an architecture's file lists by its published names.

import type { Initializer, ParameterSpec } from "./architecture.js";

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
