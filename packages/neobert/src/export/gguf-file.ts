// GGUF version 3, the file of llama.cpp: magic, counts, typed metadata, tensor table, then the tensors, each at a multiple of
// 32 bytes. Little-endian. Names, types and layout are those of ggml's specification.
//   https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { createFileAtomic, writeAll } from "../files/atomic.js";
import { toFloat16 } from "../onnx/half.js";

const ALIGNMENT = 32;
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8 } as const;

/** A value of the metadata with its type; a list of them is an array. */
export type GgufValue =
  | { type: "uint32" | "int32" | "float32"; value: number | number[] }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string | string[] };

/** int8 is ggml's Q8_0: rows in blocks of 32 values with one fp16 scale. */
export type GgufType = "fp32" | "fp16" | "int8";
/** Number in the file, and the values and bytes of a block. */
const types = {
  fp32: { id: 0, values: 1, bytes: 4 },
  fp16: { id: 1, values: 1, bytes: 2 },
  int8: { id: 8, values: 32, bytes: 34 },
};
/** Values of a row that are stored together: a row has a multiple of them. */
export const blockLength = (dtype: GgufType) => types[dtype].values;

export interface GgufTensor {
  name: string;
  /** Row-major, as ours: [rows, columns]. */
  shape: number[];
  dtype: GgufType;
  /** Makes the float32 values when their turn comes. */
  values: () => Float32Array;
}

export const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
export const float32 = (value: number): GgufValue => ({ type: "float32", value });
export const bool = (value: boolean): GgufValue => ({ type: "bool", value });
export const string = (value: string): GgufValue => ({ type: "string", value });

/** Writes the file, which appears whole or not at all. */
export function writeGguf(path: string, metadata: Record<string, GgufValue>, tensors: GgufTensor[]): void {
  const header: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) header.push(text(key), encoded(value));
  let offset = 0;
  for (const { name, shape, dtype } of tensors) {
    header.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(types[dtype].id), u64(offset));
    offset += padded(byteLength(shape, dtype));
  }
  createFileAtomic(path, (fd) => {
    const head = Buffer.concat(header);
    writeAll(fd, head);
    writeAll(fd, Buffer.alloc(padded(head.length) - head.length));
    for (const { name, shape, dtype, values } of tensors) {
      const data = values();
      const stored = dtype === "int8" ? toQ8Blocks(data) : dtype === "fp16" ? toFloat16(data) : data;
      const bytes = byteLength(shape, dtype);
      if (stored.byteLength !== bytes)
        throw new Error(`internal: ${name} has ${stored.byteLength} bytes, not ${bytes}`);
      writeAll(fd, new Uint8Array(stored.buffer, stored.byteOffset, bytes));
      writeAll(fd, Buffer.alloc(padded(bytes) - bytes));
    }
  });
}

const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const byteLength = (shape: number[], dtype: GgufTensor["dtype"]) =>
  (shape.reduce((product, size) => product * size, 1) / types[dtype].values) * types[dtype].bytes;

/** Blocks of 32 values as ggml makes them: the scale in fp16, then the values over it, rounded. */
function toQ8Blocks(values: Float32Array): Uint8Array {
  const { values: length, bytes } = types.int8;
  const blocks = new Uint8Array((values.length / length) * bytes);
  const scales = new Float32Array(values.length / length);
  for (let block = 0; block < scales.length; block++) {
    const some = values.subarray(block * length, (block + 1) * length);
    scales[block] = some.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    const inverse = scales[block]! > 0 ? 1 / scales[block]! : 0;
    for (let i = 0; i < length; i++) blocks[block * bytes + 2 + i] = Math.round(some[i]! * inverse);
  }
  const halves = new Uint8Array(toFloat16(scales).buffer);
  for (let block = 0; block < scales.length; block++)
    blocks.set(halves.subarray(2 * block, 2 * block + 2), block * bytes);
  return blocks;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
}

function encoded({ type, value }: GgufValue): Buffer {
  const one = (item: number | string | boolean): Buffer => {
    if (typeof item === "string") return text(item);
    if (typeof item === "boolean") return Buffer.of(item ? 1 : 0);
    return Buffer.from(
      new (type === "float32" ? Float32Array : type === "int32" ? Int32Array : Uint32Array)([item]).buffer,
    );
  };
  if (!Array.isArray(value)) return Buffer.concat([u32(valueTypes[type]), one(value)]);
  const ARRAY = 9;
  return Buffer.concat([u32(ARRAY), u32(valueTypes[type]), u64(value.length), ...value.map(one)]);
}
