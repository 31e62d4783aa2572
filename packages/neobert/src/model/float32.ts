// Stored tensors as float32, the type of master weights: checkpoints come in F32, BF16 and F16.

import type { StoredTensor } from "../files/safetensors.js";

/** The values of a stored floating-point tensor as float32 (exact from BF16 and F16). Throws for other dtypes. */
export function toFloat32({ dtype, data }: StoredTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Float64Array) return Float32Array.from(data);
  if (data instanceof Uint16Array && dtype === "BF16") {
    const bits = new Uint32Array(data.length);
    for (let i = 0; i < bits.length; i++) bits[i] = data[i]! << 16;
    return new Float32Array(bits.buffer);
  }
  if (data instanceof Uint16Array && dtype === "F16") return Float32Array.from(data, halfToNumber);
  throw new Error(`toFloat32: expected a tensor of F32, F64, BF16 or F16, got ${dtype}`);
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
