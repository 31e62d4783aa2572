// write FOLDER: a safetensors file of every dtype. read FOLDER: what Python wrote, whole and in shards, has the same
// values, bit for bit. Values are a formula that both languages compute, exact in every dtype.
import assert from "node:assert/strict";
import { join } from "node:path";
import { openSafetensors, writeSafetensors } from "#neobert/files/safetensors";
import { openCheckpoint } from "#neobert/files/weight-files";

const [mode, folder] = process.argv.slice(2);
const bits16 = (mantissaBits, bias) => (x) => {
  if (x === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(x)));
  const mantissa = Math.round((Math.abs(x) / 2 ** exponent - 1) * 2 ** mantissaBits);
  return (x < 0 ? 0x8000 : 0) | ((exponent + bias) << mantissaBits) | mantissa;
};
// Array type, and how the formula's value n / 8 is held in it.
const dtypes = {
  F64: [Float64Array, (x) => x],
  F32: [Float32Array, (x) => x],
  F16: [Uint16Array, bits16(10, 15)],
  BF16: [Uint16Array, bits16(7, 127)],
  I64: [BigInt64Array, (x) => BigInt(x * 8)],
  I32: [Int32Array, (x) => x * 8],
  I16: [Int16Array, (x) => x * 8],
  I8: [Int8Array, (x) => x * 8],
  U8: [Uint8Array, (x) => Math.abs(x * 8)],
  BOOL: [Uint8Array, (x) => (x > 0 ? 1 : 0)],
};
const shapes = { matrix: [13, 7], scalar: [], empty: [0, 4] };
const tensors = Object.entries(dtypes).flatMap(([dtype, [Type, hold]]) =>
  Object.entries(shapes).map(([kind, shape]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const data = Type.from(Array.from({ length: size }, (_, i) => hold((((i + 1) * 37) % 101) / 8 - 50 / 8)));
    return { name: `${kind}.${dtype}`, dtype, shape, data };
  }),
);

if (mode === "write") writeSafetensors(join(folder, "ours.safetensors"), tensors, { format: "pt", author: "ö\n" });
else {
  const whole = openSafetensors(join(folder, "theirs.safetensors"));
  const sharded = openCheckpoint(join(folder, "sharded"));
  for (const file of [whole, sharded]) {
    assert.deepEqual([...file.names()].sort(), tensors.map(({ name }) => name).sort());
    for (const { name, dtype, shape, data } of tensors) assert.deepEqual(file.read(name), { dtype, shape, data }, name);
    file.close();
  }
  console.log("ours reads theirs, whole and sharded");
}
