// The vocabulary in which every encoder is written. An engine implements it once: for libtorch `T` is a tensor and each
// call computes; for an ONNX export `T` is a value of the graph being built. All ops act on the last dimension and
// leave the leading ones alone ([N, C] packed, [B, S, C] in an exported graph); only `Batch` knows the layout. Their
// granularity is that of fused kernels, so making one fast changes no model. Norm statistics, softmax, rotary angles
// and losses are float32 whatever the compute type.

/** The token ids of a batch; each engine adds what tells it where sequences begin and end. */
export interface Batch<T> {
  readonly ids: T;
  /** BERT's segment of each token, shaped like the ids; absent means all 0. */
  readonly tokenTypes?: T;
}

/** Row indices [M] into the tokens of a batch, or the first token ([CLS]) of each sequence. */
export type RowChoice<T> = T | "first";

export interface Norm<T> {
  /** `rms`: x / sqrt(mean(x^2) + eps) * weight; `layer`: the mean subtracted first, and the bias added. */
  kind: "rms" | "layer";
  weight: T;
  bias?: T;
  eps: number;
}

/** Cosines and sines [.., D/2] of each token's rotary angles, float32. */
export interface RotaryAngles<T> {
  cos: T;
  sin: T;
}

export interface RotaryScaling {
  factor: number;
  /** Tokens of the longest text of training. */
  trainedTokens: number;
}

/** The three published layouts of query, key and value: H heads of queries and K of keys and values, of width D. */
export type QkvProjection<T> =
  | { layout: "separate"; q: T; k: T; v: T } // [.., H * D] and two of [.., K * D]
  | { layout: "blocks"; qkv: T } // [.., (H + 2K) * D] as q | k | v
  | { layout: "perHead"; qkv: T }; // [.., 3 * H * D] as q0 | k0 | v0 | q1 | k1 | v1 ..., where K = H

export interface SplitOptions<T> {
  heads: number;
  /** Heads of keys and values, each for heads / kvHeads neighbouring heads of queries; as many as heads unless said. */
  kvHeads?: number;
  /** Rotates q and k: component pairs (2j, 2j + 1) when `adjacent`, (j, j + D/2) when `half`. */
  rotary?: RotaryAngles<T> & { pairing: "adjacent" | "half" };
}

export interface Qkv<T> {
  q: T;
  k: T;
  v: T;
}

export interface Ops<T> {
  /** Rows of `weight` [V, C] at `indices` [..]: [.., C]. */
  embedding(weight: T, indices: T): T;
  /** Positions of the tokens, counted from `first` anew in each sequence: whole numbers, shaped like the ids. */
  positions(batch: Batch<T>, first: number): T;
  /** The batch's token types, zeros where it has none: whole numbers, shaped like the ids. */
  tokenTypes(batch: Batch<T>): T;
  /** Angles position * theta^(-2j/D), j = 0 .. D/2 - 1, for heads of width D = `headWidth`. No longest position. */
  rotaryAngles(positions: T, headWidth: number, theta: number): RotaryAngles<T>;

  /**
   * Those angles with a theta of each sequence's own: theta * s^(D/(D - 2)) for one of L tokens, more than `trainedTokens`,
   * where s = factor * L / trainedTokens - (factor - 1). "Dynamic NTK" scaling; other sequences keep theta.
   */
  scaledRotaryAngles(batch: Batch<T>, headWidth: number, theta: number, scaling: RotaryScaling): RotaryAngles<T>;

  /** x [.., I] times the transpose of `weight` [O, I], plus `bias` [O]: [.., O]. Computed in the weight's dtype. */
  linear(x: T, weight: T, bias?: T): T;
  norm(x: T, norm: Norm<T>): T;
  /** The sum x + y and its norm: what follows every residual connection. */
  addNorm(x: T, y: T, norm: Norm<T>): [sum: T, normed: T];
  /** x [.., 2I]: the activation (`silu` unless said) of the half named by `gate`, times the other half: [.., I]. */
  gatedUnit(x: T, gate: "first" | "last", activation?: "silu" | "gelu"): T;
  /** x * sigmoid(x). */
  silu(x: T): T;
  /** The exact GELU, by the error function. */
  gelu(x: T): T;
  tanh(x: T): T;
  abs(x: T): T;
  add(x: T, y: T): T;
  /** x times a number, or times `factor` of the same or broadcastable shape. */
  multiply(x: T, factor: T | number): T;
  /** x / max(||x||, 1e-12) over the last dimension. */
  l2Normalize(x: T): T;
  /** Zeroes with probability `p` and scales the rest by 1 / (1 - p) in training; the identity otherwise. */
  dropout(x: T, p: number): T;

  /** [.., H * D] -> [.., H, D]. */
  splitHeads(x: T, heads: number): T;
  /** Query [.., H, D], key and value [.., K, D] each, query and key rotated where `rotary` is given. */
  splitQkv(projection: QkvProjection<T>, options: SplitOptions<T>): Qkv<T>;
  /**
   * softmax(q k^T * scale) v in each sequence, heads side by side again: [.., H * D]. Never crosses a border. Head h of
   * the queries reads head floor(h * K / H) of the keys and values, which are not repeated for it. With a
   * `window` a query sees the keys at most that many positions away on either side. In training the probabilities are
   * dropped out with probability `dropout`.
   */
  attention(qkv: Qkv<T>, batch: Batch<T>, scale: number, window?: number, dropout?: number): T;

  /** The rows of x [.., C] that `rows` names: [M, C], or [B, C] for `first`. */
  gatherRows(x: T, rows: RowChoice<T>, batch: Batch<T>): T;
  /** One vector a sequence, [B, C]: the first token's or the mean over its tokens. */
  pool(x: T, batch: Batch<T>, how: "cls" | "mean"): T;
  /** Sum over rows of -log softmax(x weight^T + bias)[label]: x [M, C], weight [V, C], labels [M]; a float32 scalar. */
  linearCrossEntropy(x: T, weight: T, bias: T | undefined, labels: T): T;

  /**
   * fn(...state): the place where temporary values are freed and where activations may be recomputed. The state is given
   * up: only the result may be used afterwards.
   */
  block(fn: (...state: T[]) => T[], ...state: T[]): T[];
}

/** The parameter of a published name; `product` where a tied table is multiplied with, not looked up in. */
export type Weights<T> = (name: string, use?: "product") => T;
