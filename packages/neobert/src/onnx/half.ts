// float32 to float16 (IEEE binary16), rounded to nearest, ties to even.

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** The bits of the float16 values nearest to `values`; past 65,504 they are infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = half(values[i]!);
  return halves;
}

function half(value: number): number {
  float[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const magnitude = bits[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // not a number
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 the steps are 2^-24 wide: adding 0.5 lets the processor round to them.
  if (magnitude < 0x38800000) {
    bits[0] = magnitude;
    float[0] = float[0]! + 0.5;
    return sign | (bits[0]! - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}
