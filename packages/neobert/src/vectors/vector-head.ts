// From hidden states to the vectors that are asked for, in the worker: pooling, the folder's Dense and Normalize modules,
// fewer dimensions, quantization. Small beside the encoder's work, so plain loops.

import { openCheckpoint } from "../files/weight-files.js";
import { toFloat32 } from "../model/float32.js";
import { type PoolingMode, pool } from "./pooling.js";
import { type Output, quantize, type Ranges } from "./quantize.js";
import type { NumberArray } from "./rows.js";
import type { Activation, VectorModule } from "./sentence-transformers.js";

/** What a call asks for, beside the folder's own modules. */
export interface VectorSettings {
  pooling: PoolingMode[];
  /** Whether the call itself asks for this pooling. */
  asksPooling: boolean;
  /** Tokens at each text's start that are not pooled. */
  skip: number;
  /** Default: whether the folder's modules do. False leaves those out. */
  normalize: boolean | undefined;
  /** How many of the first dimensions to keep; they are normalised anew where vectors are. */
  dimensions: number | undefined;
  output: Output;
  ranges: Ranges | undefined;
}

interface Dense {
  kind: "dense";
  /** [outFeatures, inFeatures] */
  weight: Float32Array;
  bias: Float32Array | undefined;
  inFeatures: number;
  outFeatures: number;
  activation: (x: number) => number;
}

type Module = Dense | { kind: "normalize" };

const activate: Record<Activation, (x: number) => number> = {
  identity: (x) => x,
  tanh: Math.tanh,
  relu: (x) => Math.max(x, 0),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
};

export class VectorHead {
  readonly #modules: Module[];
  readonly #normalizes: boolean;

  /** Throws where a Dense module's weights are missing or of another shape than its config says. */
  constructor(modules: readonly VectorModule[]) {
    this.#modules = modules.map((module) => (module.kind === "dense" ? loadDense(module) : module));
    this.#normalizes = modules.some(({ kind }) => kind === "normalize");
  }

  /** Dimensions of a vector before any are left out, over hidden states of width C. */
  widthOf({ pooling }: VectorSettings, C: number): number {
    const dense = this.#modules.findLast((module) => module.kind === "dense");
    return dense?.outFeatures ?? C * pooling.length;
  }

  /** Vectors of packed texts with hidden states [N, C], row after row. */
  apply(hidden: Float32Array, cuSeqlens: Int32Array, C: number, settings: VectorSettings): NumberArray {
    const pooled = pool(hidden, cuSeqlens, C, settings.pooling, settings.skip);
    return this.#finish(pooled, cuSeqlens.length - 1, this.#modules, settings);
  }

  /** Vectors [B, d] of a graph that pools by itself, Dense modules included. Throws where a call asks for other pooling. */
  applyPooled(vectors: Float32Array, B: number, settings: VectorSettings): NumberArray {
    if (settings.asksPooling || settings.skip > 0) {
      const asked = settings.asksPooling ? `pooling ${settings.pooling.join(", ")}` : "a prompt that is not pooled";
      throw new Error(`pooling: expected the model's own, which is part of its .onnx file, got ${asked}`);
    }
    const modules = this.#modules.filter(({ kind }) => kind !== "dense");
    return this.#finish(vectors, B, modules, settings);
  }

  #finish(
    pooled: Float32Array,
    B: number,
    modules: readonly Module[],
    { normalize, dimensions, output, ranges }: VectorSettings,
  ): NumberArray {
    let vectors = pooled;
    for (const module of modules) {
      if (module.kind === "dense") vectors = applyDense(vectors, B, module);
      else if (normalize !== false) normalizeRows(vectors, vectors.length / B);
    }
    let d = vectors.length / B;
    if (dimensions !== undefined && dimensions !== d) {
      if (dimensions > d) throw new Error(`dimensions: expected at most the model's ${d}, got ${dimensions}`);
      vectors = firstColumns(vectors, d, dimensions);
      d = dimensions;
      if (normalize ?? this.#normalizes) normalizeRows(vectors, d);
    } else if (normalize) normalizeRows(vectors, d);
    return quantize(vectors, d, output, ranges);
  }
}

function loadDense({ folder, inFeatures, outFeatures, bias, activation }: VectorModule & { kind: "dense" }): Dense {
  const weights = openCheckpoint(folder);
  try {
    const read = (name: string, shape: number[]) => {
      const tensor = weights.read(name);
      if (`${tensor.shape}` === `${shape}`) return toFloat32(tensor);
      throw new Error(`${folder}: expected ${name} of shape [${shape}], got [${tensor.shape}]`);
    };
    return {
      kind: "dense",
      weight: read("linear.weight", [outFeatures, inFeatures]),
      bias: bias ? read("linear.bias", [outFeatures]) : undefined,
      inFeatures,
      outFeatures,
      activation: activate[activation],
    };
  } finally {
    weights.close();
  }
}

function applyDense(vectors: Float32Array, B: number, dense: Dense): Float32Array {
  const { weight, bias, inFeatures: I, outFeatures: O, activation } = dense;
  if (vectors.length !== B * I) {
    throw new Error(`pooling: expected vectors of the ${I} dimensions that Dense takes, got ${vectors.length / B}`);
  }
  const result = new Float32Array(B * O);
  for (let row = 0; row < B; row++) {
    for (let o = 0; o < O; o++) {
      let sum = bias ? bias[o]! : 0;
      for (let i = 0; i < I; i++) sum += vectors[row * I + i]! * weight[o * I + i]!;
      result[row * O + o] = activation(sum);
    }
  }
  return result;
}

/** Divides each row by its Euclidean norm (at least 1e-12), in place. */
function normalizeRows(vectors: Float32Array, d: number): void {
  for (let start = 0; start < vectors.length; start += d) {
    let squares = 0;
    for (let c = start; c < start + d; c++) squares += vectors[c]! ** 2;
    const norm = Math.max(Math.sqrt(squares), 1e-12);
    for (let c = start; c < start + d; c++) vectors[c]! /= norm;
  }
}

function firstColumns(vectors: Float32Array, d: number, keep: number): Float32Array {
  const B = vectors.length / d;
  const kept = new Float32Array(B * keep);
  for (let row = 0; row < B; row++) kept.set(vectors.subarray(row * d, row * d + keep), row * keep);
  return kept;
}
