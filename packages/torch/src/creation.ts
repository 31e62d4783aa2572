// Free functions that make tensors: from values, from typed arrays without a copy, filled, counted, drawn.
//   https://pytorch.org/docs/stable/torch.html#creation-ops

import { type Device, type DType, native, type TypedArray } from "./native.js";
import type { Generator } from "./random.js";
import { arrayTypes, Tensor } from "./tensor.js";

export interface TensorOptions {
  /** float32 unless said otherwise. */
  dtype?: DType;
  device?: Device;
  requiresGrad?: boolean;
}

type Nested = number | boolean | Nested[];

function finish(tensor: Tensor, options: TensorOptions): Tensor {
  return options.requiresGrad ? tensor.requiresGrad_() : tensor;
}

/** A tensor of the given numbers, nested as deep as it has dimensions. Throws a RangeError when rows differ in length. */
export function tensor(values: Nested, options: TensorOptions = {}): Tensor {
  const dtype = options.dtype ?? "float32";
  const shape: number[] = [];
  for (let level: Nested = values; Array.isArray(level); level = level[0] ?? 0) shape.push(level.length);
  const flat: number[] = [];
  const walk = (value: Nested, depth: number): void => {
    if (!Array.isArray(value)) {
      if (depth !== shape.length) throw ragged(depth, shape);
      flat.push(dtype === "bool" ? Number(Boolean(value)) : Number(value));
      return;
    }
    if (value.length !== shape[depth]) throw ragged(depth, shape);
    for (const item of value) walk(item, depth + 1);
  };
  walk(values, 0);
  const converted = dtype === "int64" ? flat.map(BigInt) : flat;
  const borrowedDtype = dtype === "bfloat16" ? "float32" : dtype;
  const array = new arrayTypes[borrowedDtype](converted as never);
  const cpu = new Tensor(native.borrow(array, shape, borrowedDtype));
  return finish(moved(cpu, dtype, options.device), options);
}

function ragged(depth: number, shape: number[]): RangeError {
  return new RangeError(
    `tensor: expected nested arrays of shape [${shape.join(", ")}], got another length at depth ${depth}`,
  );
}

function moved(source: Tensor, dtype: DType, device: Device | undefined): Tensor {
  let result = source;
  if (result.dtype !== dtype) result = result.to(dtype);
  if (device !== undefined && device !== "cpu") result = result.to(device);
  if (result !== source) source.dispose();
  return result;
}

const natural = new Map<unknown, DType>([
  [Float32Array, "float32"],
  [Float64Array, "float64"],
  [BigInt64Array, "int64"],
  [Int32Array, "int32"],
  [Uint16Array, "bfloat16"],
  [Uint8Array, "uint8"],
]);

/**
 * A tensor over the typed array's own memory: no copy on the CPU, and writes to either are seen by both.
 * The dtype follows the array (Uint16Array holds bfloat16 bits; Uint8Array may be read as "bool").
 * NOTE: do not transfer the array's buffer to another thread while a tensor over it lives.
 */
export function fromTypedArray(array: TypedArray, options: TensorOptions & { shape?: readonly number[] } = {}): Tensor {
  const dtype = options.dtype ?? natural.get(array.constructor);
  if (dtype === undefined)
    throw new TypeError(
      `fromTypedArray: expected an array type with a dtype, got ${array.constructor.name}\nName one with { dtype }.`,
    );
  const cpu = new Tensor(native.borrow(array, [...(options.shape ?? [array.length])], dtype));
  return finish(moved(cpu, dtype, options.device), options);
}

export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(new Tensor(native.empty([...shape], options.dtype ?? "float32", options.device ?? "cpu")), options);
}

export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  return finish(
    new Tensor(native.full([...shape], value, options.dtype ?? "float32", options.device ?? "cpu")),
    options,
  );
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return full(shape, 0, options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return full(shape, 1, options);
}

export function eye(n: number, options: TensorOptions = {}): Tensor {
  return finish(new Tensor(native.eye(n, options.dtype ?? "float32", options.device ?? "cpu")), options);
}

/** start, start + step, ... below end. `arange(n)` counts from 0. int64 unless said otherwise. */
export function arange(start: number, end?: number, step = 1, options: TensorOptions = {}): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  return finish(new Tensor(native.arange(from, to, step, options.dtype ?? "int64", options.device ?? "cpu")), options);
}

type Random = TensorOptions & { generator?: Generator };

/** Drawn from the standard normal distribution. */
export function randn(shape: readonly number[], options: Random = {}): Tensor {
  const { requiresGrad, ...rest } = options;
  return finish(empty(shape, rest).normal_(0, 1, options.generator), { requiresGrad: requiresGrad ?? false });
}

/** Drawn evenly from [0, 1). */
export function rand(shape: readonly number[], options: Random = {}): Tensor {
  const { requiresGrad, ...rest } = options;
  return finish(empty(shape, rest).uniform_(0, 1, options.generator), { requiresGrad: requiresGrad ?? false });
}

/** Whole numbers drawn evenly from [low, high). int64 unless said otherwise. */
export function randint(low: number, high: number, shape: readonly number[], options: Random = {}): Tensor {
  const result = empty(shape, { dtype: options.dtype ?? "int64", device: options.device ?? "cpu" });
  native.randint_(result.handle, low, high, options.generator?.handle);
  return result;
}

/** A random order of 0 .. n - 1, int64. */
export function randperm(n: number, options: Random = {}): Tensor {
  return new Tensor(native.randperm(n, options.generator?.handle, options.device ?? "cpu"));
}
