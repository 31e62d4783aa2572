// Golden float32 tensors: a safetensors file is the header's length, a JSON header, then the values.

import { readFileSync } from "node:fs";
import { fromTypedArray, type Tensor } from "../src/index.js";

/** The file's tensors, each a fresh copy, and its metadata. `path` is relative to test/golden. */
export function readGolden(path: string): { tensors: (name: string) => Tensor; metadata: Record<string, string> } {
  const file = readFileSync(new URL(`../../../test/golden/${path}`, import.meta.url));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__: metadata, ...entries } = JSON.parse(file.subarray(8, start).toString());
  const tensors = (name: string) => {
    const { shape, data_offsets: offsets } = entries[name];
    const bytes = Uint8Array.from(file.subarray(start + offsets[0], start + offsets[1]));
    return fromTypedArray(new Float32Array(bytes.buffer), { shape });
  };
  return { tensors, metadata };
}
