// The Tensor class: a handle to a libtorch tensor, with PyTorch's methods in camelCase and nothing else. A method that
// ends in `_` works in place and returns its tensor. Shapes are checked by libtorch; a native error is thrown here, in
// the caller's stack. Free functions (creation, layers, losses, many-tensor ops) are in creation.ts and functional.ts.
//   https://pytorch.org/docs/stable/tensors.html

import { type Device, type DType, type Handle, native, type TypedArray } from "./native.js";
import type { Generator } from "./random.js";
import { disown, own } from "./scope.js";

/** One dimension, several, or all (undefined). Negative ones count from the last. */
export type Dims = number | number[] | undefined;
type Operand = Tensor | number;

const list = (dims: Dims): number[] | undefined => (typeof dims === "number" ? [dims] : dims);

/** The typed array of each dtype; bfloat16 as the Uint16Array of its bits. */
export const arrayTypes: Record<
  DType,
  (new (length: number) => TypedArray) & (new (of: Iterable<never>) => TypedArray)
> = {
  float32: Float32Array,
  float64: Float64Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

export class Tensor {
  #shape: readonly number[] | undefined;
  #dtype: DType | undefined;
  #device: Device | undefined;
  #disposed = false;
  /** The native object's number. Private to this package. */
  readonly handle: Handle;

  constructor(handle: Handle) {
    this.handle = handle;
    own(this);
  }

  get shape(): readonly number[] {
    return (this.#shape ??= Object.freeze(native.shape(this.handle)));
  }
  get dtype(): DType {
    return (this.#dtype ??= native.dtype(this.handle));
  }
  get device(): Device {
    return (this.#device ??= native.device(this.handle));
  }
  get ndim(): number {
    return this.shape.length;
  }
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  get strides(): number[] {
    return native.strides(this.handle);
  }
  get isDisposed(): boolean {
    return this.#disposed;
  }
  isContiguous(): boolean {
    return native.isContiguous(this.handle);
  }
  sharesMemory(other: Tensor): boolean {
    return native.sharesMemory(this.handle, other.handle);
  }

  /** The shape, after checking the rank: `const [N, C] = x.dims(2)`. Throws a RangeError on another rank. */
  dims(rank: 1): [number];
  dims(rank: 2): [number, number];
  dims(rank: 3): [number, number, number];
  dims(rank: 4): [number, number, number, number];
  dims(rank: number): number[] {
    if (this.ndim !== rank)
      throw new RangeError(`dims: expected ${rank} dimensions, got shape [${this.shape.join(", ")}]`);
    return [...this.shape];
  }

  /** Frees the native tensor now. Any later use throws; a second dispose does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    disown(this);
    native.dispose(this.handle);
  }

  // ---- Values

  /** The one element, as a number. Throws when there are more. */
  item(): number {
    return native.item(this.handle);
  }

  /** A copy of the values in row order: float32 as Float32Array, bfloat16 as the Uint16Array of its bits, bool as Uint8Array. */
  toTypedArray(): TypedArray {
    const array = new arrayTypes[this.dtype](this.numel);
    native.copyTo(this.handle, array);
    return array;
  }

  /** The values as numbers, whatever the dtype: for printing and tests. */
  toArray(): number[] {
    const values = this.dtype === "bfloat16" ? this.to("float32").toTypedArray() : this.toTypedArray();
    return Array.from(values as ArrayLike<number | bigint>, Number);
  }

  toString(): string {
    const values = this.numel <= 20 ? ` [${this.toArray().join(", ")}]` : "";
    return `Tensor(${this.dtype} [${this.shape.join(", ")}]${values})`;
  }

  /** The same values in another dtype or on another device; this tensor itself when nothing changes is shared memory. */
  to(target: DType | Device): Tensor {
    if (target === "cpu" || target === "meta" || target.startsWith("cuda"))
      return new Tensor(native.toDevice(this.handle, target as Device));
    return new Tensor(native.toDtype(this.handle, target as DType));
  }

  // ---- Autograd

  get requiresGrad(): boolean {
    return native.requiresGrad(this.handle);
  }
  get isLeaf(): boolean {
    return native.isLeaf(this.handle);
  }
  requiresGrad_(flag = true): this {
    native.requiresGrad_(this.handle, flag);
    return this;
  }
  /** The accumulated gradient, as a new handle onto it, or undefined before the first backward. */
  get grad(): Tensor | undefined {
    const handle = native.grad(this.handle);
    return handle === undefined ? undefined : new Tensor(handle);
  }
  set grad(grad: Tensor | undefined) {
    native.setGrad(this.handle, grad?.handle);
  }
  /** Adds d(this)/d(leaf), times `gradient` (ones for a scalar), into every leaf's `grad`. */
  backward(gradient?: Tensor, options: { retainGraph?: boolean } = {}): void {
    native.backward(this.handle, gradient?.handle, options.retainGraph ?? false);
  }
  detach(): Tensor {
    return new Tensor(native.detach(this.handle));
  }

  // ---- Elementwise

  #with(other: Operand, op: "mul" | "div" | "pow" | "eq" | "ne" | "lt" | "le" | "gt" | "ge"): Tensor {
    return new Tensor(
      typeof other === "number" ? native[`${op}Scalar`](this.handle, other) : native[op](this.handle, other.handle),
    );
  }

  add(other: Operand, options: { alpha?: number } = {}): Tensor {
    const alpha = options.alpha ?? 1;
    if (typeof other === "number") return new Tensor(native.addScalar(this.handle, other * alpha));
    return new Tensor(native.add(this.handle, other.handle, alpha));
  }
  sub(other: Operand, options: { alpha?: number } = {}): Tensor {
    const alpha = options.alpha ?? 1;
    if (typeof other === "number") return new Tensor(native.addScalar(this.handle, -other * alpha));
    return new Tensor(native.sub(this.handle, other.handle, alpha));
  }
  mul(other: Operand): Tensor {
    return this.#with(other, "mul");
  }
  div(other: Operand): Tensor {
    return this.#with(other, "div");
  }
  pow(other: Operand): Tensor {
    return this.#with(other, "pow");
  }
  eq(other: Operand): Tensor {
    return this.#with(other, "eq");
  }
  ne(other: Operand): Tensor {
    return this.#with(other, "ne");
  }
  lt(other: Operand): Tensor {
    return this.#with(other, "lt");
  }
  le(other: Operand): Tensor {
    return this.#with(other, "le");
  }
  gt(other: Operand): Tensor {
    return this.#with(other, "gt");
  }
  ge(other: Operand): Tensor {
    return this.#with(other, "ge");
  }
  maximum(other: Tensor): Tensor {
    return new Tensor(native.maximum(this.handle, other.handle));
  }
  minimum(other: Tensor): Tensor {
    return new Tensor(native.minimum(this.handle, other.handle));
  }
  logicalAnd(other: Tensor): Tensor {
    return new Tensor(native.logicalAnd(this.handle, other.handle));
  }
  logicalOr(other: Tensor): Tensor {
    return new Tensor(native.logicalOr(this.handle, other.handle));
  }
  logicalNot(): Tensor {
    return new Tensor(native.logicalNot(this.handle));
  }
  neg(): Tensor {
    return new Tensor(native.neg(this.handle));
  }
  abs(): Tensor {
    return new Tensor(native.abs(this.handle));
  }
  exp(): Tensor {
    return new Tensor(native.exp(this.handle));
  }
  log(): Tensor {
    return new Tensor(native.log(this.handle));
  }
  sqrt(): Tensor {
    return new Tensor(native.sqrt(this.handle));
  }
  rsqrt(): Tensor {
    return new Tensor(native.rsqrt(this.handle));
  }
  square(): Tensor {
    return new Tensor(native.square(this.handle));
  }
  reciprocal(): Tensor {
    return new Tensor(native.reciprocal(this.handle));
  }
  sin(): Tensor {
    return new Tensor(native.sin(this.handle));
  }
  cos(): Tensor {
    return new Tensor(native.cos(this.handle));
  }
  tanh(): Tensor {
    return new Tensor(native.tanh(this.handle));
  }
  erf(): Tensor {
    return new Tensor(native.erf(this.handle));
  }
  sigmoid(): Tensor {
    return new Tensor(native.sigmoid(this.handle));
  }
  relu(): Tensor {
    return new Tensor(native.relu(this.handle));
  }
  silu(): Tensor {
    return new Tensor(native.silu(this.handle));
  }
  /** GELU: by the error function, or its tanh approximation. */
  gelu(options: { approximate?: "none" | "tanh" } = {}): Tensor {
    return new Tensor(native.gelu(this.handle, options.approximate ?? "none"));
  }
  round(): Tensor {
    return new Tensor(native.round(this.handle));
  }
  floor(): Tensor {
    return new Tensor(native.floor(this.handle));
  }
  clamp(min?: number, max?: number): Tensor {
    return new Tensor(native.clamp(this.handle, min, max));
  }
  isnan(): Tensor {
    return new Tensor(native.isnan(this.handle));
  }
  isfinite(): Tensor {
    return new Tensor(native.isfinite(this.handle));
  }
  maskedFill(mask: Tensor, value: number): Tensor {
    return new Tensor(native.maskedFill(this.handle, mask.handle, value));
  }

  // ---- Reductions

  sum(dim?: Dims, keepdim = false): Tensor {
    return new Tensor(native.sum(this.handle, list(dim), keepdim));
  }
  mean(dim?: Dims, keepdim = false): Tensor {
    return new Tensor(native.mean(this.handle, list(dim), keepdim));
  }
  /** The unbiased variance; `correction: 0` divides by n instead of n - 1. */
  var(dim?: Dims, options: { correction?: number; keepdim?: boolean } = {}): Tensor {
    return new Tensor(native.variance(this.handle, list(dim), options.correction ?? 1, options.keepdim ?? false));
  }
  norm(p = 2, dim?: Dims, keepdim = false): Tensor {
    return new Tensor(native.norm(this.handle, p, list(dim), keepdim));
  }
  amax(dim?: Dims, keepdim = false): Tensor {
    return new Tensor(native.amax(this.handle, list(dim), keepdim));
  }
  amin(dim?: Dims, keepdim = false): Tensor {
    return new Tensor(native.amin(this.handle, list(dim), keepdim));
  }
  argmax(dim?: number, keepdim = false): Tensor {
    return new Tensor(native.argmax(this.handle, dim, keepdim));
  }
  all(): Tensor {
    return new Tensor(native.all(this.handle));
  }
  any(): Tensor {
    return new Tensor(native.any(this.handle));
  }
  cumsum(dim: number): Tensor {
    return new Tensor(native.cumsum(this.handle, dim));
  }
  logsumexp(dim: number | number[], keepdim = false): Tensor {
    return new Tensor(native.logsumexp(this.handle, list(dim)!, keepdim));
  }
  softmax(dim: number): Tensor {
    return new Tensor(native.softmax(this.handle, dim));
  }
  logSoftmax(dim: number): Tensor {
    return new Tensor(native.logSoftmax(this.handle, dim));
  }
  topk(k: number, dim = -1, options: { largest?: boolean } = {}): { values: Tensor; indices: Tensor } {
    return valuesAndIndices(native.topk(this.handle, k, dim, options.largest ?? true));
  }
  /** Stable. */
  sort(dim = -1, options: { descending?: boolean } = {}): { values: Tensor; indices: Tensor } {
    return valuesAndIndices(native.sort(this.handle, dim, options.descending ?? false));
  }

  // ---- Shape and indexing

  reshape(...shape: number[]): Tensor {
    return new Tensor(native.reshape(this.handle, shape));
  }
  view(...shape: number[]): Tensor {
    return new Tensor(native.view(this.handle, shape));
  }
  flatten(startDim = 0, endDim = -1): Tensor {
    return new Tensor(native.flatten(this.handle, startDim, endDim));
  }
  transpose(dim0: number, dim1: number): Tensor {
    return new Tensor(native.transpose(this.handle, dim0, dim1));
  }
  /** The transpose of a matrix. */
  t(): Tensor {
    return this.transpose(0, 1);
  }
  permute(...dims: number[]): Tensor {
    return new Tensor(native.permute(this.handle, dims));
  }
  unsqueeze(dim: number): Tensor {
    return new Tensor(native.unsqueeze(this.handle, dim));
  }
  squeeze(dim?: number): Tensor {
    return new Tensor(native.squeeze(this.handle, dim));
  }
  expand(...shape: number[]): Tensor {
    return new Tensor(native.expand(this.handle, shape));
  }
  repeat(...repeats: number[]): Tensor {
    return new Tensor(native.repeat(this.handle, repeats));
  }
  flip(...dims: number[]): Tensor {
    return new Tensor(native.flip(this.handle, dims));
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return new Tensor(native.narrow(this.handle, dim, start, length));
  }
  select(dim: number, index: number): Tensor {
    return new Tensor(native.select(this.handle, dim, index));
  }
  /** Views of the given sizes along `dim`, or of one size (the last may be smaller). */
  split(sizes: number | number[], dim = 0): Tensor[] {
    if (typeof sizes === "number") {
      if (!Number.isInteger(sizes) || sizes < 1)
        throw new RangeError(`split: expected a whole size of 1 or more, got ${sizes}`);
      const total = this.shape.at(dim) ?? 0;
      const step = sizes;
      sizes = Array.from({ length: Math.ceil(total / step) }, (_, i) => Math.min(step, total - i * step));
    }
    return native.split(this.handle, sizes, dim).map((handle) => new Tensor(handle));
  }
  chunk(chunks: number, dim = 0): Tensor[] {
    return native.chunk(this.handle, chunks, dim).map((handle) => new Tensor(handle));
  }
  unbind(dim = 0): Tensor[] {
    return native.unbind(this.handle, dim).map((handle) => new Tensor(handle));
  }
  contiguous(): Tensor {
    return new Tensor(native.contiguous(this.handle));
  }
  clone(): Tensor {
    return new Tensor(native.clone(this.handle));
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return new Tensor(native.indexSelect(this.handle, dim, index.handle));
  }
  gather(dim: number, index: Tensor): Tensor {
    return new Tensor(native.gather(this.handle, dim, index.handle));
  }
  maskedSelect(mask: Tensor): Tensor {
    return new Tensor(native.maskedSelect(this.handle, mask.handle));
  }
  nonzero(): Tensor {
    return new Tensor(native.nonzero(this.handle));
  }
  tril(diagonal = 0): Tensor {
    return new Tensor(native.tril(this.handle, diagonal));
  }
  triu(diagonal = 0): Tensor {
    return new Tensor(native.triu(this.handle, diagonal));
  }
  matmul(other: Tensor): Tensor {
    return new Tensor(native.matmul(this.handle, other.handle));
  }

  // ---- In place

  add_(other: Operand, options: { alpha?: number } = {}): this {
    const alpha = options.alpha ?? 1;
    if (typeof other === "number") native.addScalar_(this.handle, other * alpha);
    else native.add_(this.handle, other.handle, alpha);
    return this;
  }
  mul_(other: Operand): this {
    if (typeof other === "number") native.mulScalar_(this.handle, other);
    else native.mul_(this.handle, other.handle);
    return this;
  }
  div_(other: Operand): this {
    if (typeof other === "number") native.divScalar_(this.handle, other);
    else native.div_(this.handle, other.handle);
    return this;
  }
  zero_(): this {
    return this.fill_(0);
  }
  fill_(value: number): this {
    native.fill_(this.handle, value);
    return this;
  }
  copy_(source: Tensor): this {
    native.copy_(this.handle, source.handle);
    return this;
  }
  indexAdd_(dim: number, index: Tensor, source: Tensor): this {
    native.indexAdd_(this.handle, dim, index.handle, source.handle);
    return this;
  }
  indexCopy_(dim: number, index: Tensor, source: Tensor): this {
    native.indexCopy_(this.handle, dim, index.handle, source.handle);
    return this;
  }
  normal_(mean = 0, std = 1, generator?: Generator): this {
    native.normal_(this.handle, mean, std, generator?.handle);
    return this;
  }
  uniform_(from = 0, to = 1, generator?: Generator): this {
    native.uniform_(this.handle, from, to, generator?.handle);
    return this;
  }
  bernoulli_(p = 0.5, generator?: Generator): this {
    native.bernoulli_(this.handle, p, generator?.handle);
    return this;
  }
}

function valuesAndIndices([values, indices]: [Handle, Handle]): { values: Tensor; indices: Tensor } {
  return { values: new Tensor(values), indices: new Tensor(indices) };
}
