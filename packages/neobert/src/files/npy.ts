// NumPy's .npy files, version 1.0, of one or two dimensions: a header that says type and shape, then the values, row by row
// and little-endian.

import { readFileSync } from "node:fs";
import { shortened } from "./checked.js";

export type NpyArray = Float32Array | Int8Array | Uint8Array;

const types = { Float32Array: "<f4", Int8Array: "|i1", Uint8Array: "|u1" } as const;
export type NpyType = keyof typeof types;

/** Bytes of every header written here: shapes of any size fit, and data begin at a multiple of 64 as NumPy asks. */
export const NPY_HEADER_BYTES = 128;

/** The header of rows [n, d] of values that this kind of array holds. */
export function npyHeader(type: NpyType, [n, d]: readonly [number, number]): Uint8Array {
  const dictionary = `{'descr': '${types[type]}', 'fortran_order': False, 'shape': (${n}, ${d}), }`;
  const header = new Uint8Array(NPY_HEADER_BYTES).fill(0x20);
  header.set([0x93, ...Buffer.from("NUMPY"), 1, 0, NPY_HEADER_BYTES - 10, 0]);
  header.set(Buffer.from(dictionary), 10);
  header[NPY_HEADER_BYTES - 1] = 0x0a;
  return header;
}

/** Reads a file of float32, int8 or uint8 values. Throws where it holds something else. */
export function readNpy(path: string): { data: NpyArray; shape: number[] } {
  const bytes = readFileSync(path);
  const wrong = (got: string) => new Error(`${path}: expected a .npy file of float32, int8 or uint8, got ${got}`);
  if (bytes.length < 12 || bytes.subarray(1, 6).toString("latin1") !== "NUMPY") throw wrong("another file");
  const long = bytes[6]! > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.subarray(start, end).toString("latin1");
  const [, descr, order, sizes] =
    /'descr': '([^']+)', 'fortran_order': (\w+), 'shape': \(([\d, ]*)\)/.exec(header) ?? [];
  const shape = (sizes ?? "").split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  const length = shape.reduce((product, size) => product * size, 1);
  const values = Uint8Array.from(bytes.subarray(end)).buffer;
  if (order !== "False") throw wrong(shortened(header.trim()));
  if (descr === types.Float32Array && values.byteLength === 4 * length)
    return { data: new Float32Array(values), shape };
  if (values.byteLength === length && descr === types.Int8Array) return { data: new Int8Array(values), shape };
  if (values.byteLength === length && descr === types.Uint8Array) return { data: new Uint8Array(values), shape };
  throw wrong(`${shortened(header.trim())} with ${values.byteLength} bytes`);
}
