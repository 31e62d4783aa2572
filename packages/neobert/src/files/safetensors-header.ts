// The header of a safetensors file: 8 bytes of length (little-endian), then JSON that maps each name to dtype, shape
// and byte range. Parsing refuses whatever the reference library refuses, each with its reason: the ranges must
// cover the data exactly once, so a file has no hidden bytes and no two readings. Names keep the order of the data.
// Format: https://github.com/huggingface/safetensors#format

import { isObject, shortened } from "./checked.js";
import { parseJson } from "./input-file.js";

/** The dtypes in the reference library's order of alignment, and the typed array that holds each. */
export const typedArrays = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const;

export type Dtype = keyof typeof typedArrays;

export interface TensorInfo {
  dtype: Dtype;
  shape: number[];
  byteLength: number;
}

export interface HeaderEntry extends TensorInfo {
  name: string;
  /** First byte, counted from the end of the header. */
  start: number;
}

export interface Header {
  metadata: Record<string, string>;
  entries: HeaderEntry[];
}

export const MAX_HEADER_BYTES = 100_000_000;
/** Tensors in a file: encoders have hundreds, the largest models of others some tens of thousands. */
const MAX_TENSORS = 200_000;

const DTYPE_RANK = new Map(Object.keys(typedArrays).map((dtype, rank) => [dtype, rank]));

export function isDtype(value: unknown): value is Dtype {
  return typeof value === "string" && DTYPE_RANK.has(value);
}

/** Bytes of a tensor, or null where the product leaves the range of exact integers. */
export function tensorByteLength(dtype: Dtype, shape: number[]): number | null {
  const bytes = shape.reduce((product, size) => product * size, typedArrays[dtype].BYTES_PER_ELEMENT);
  return shape.every((size) => Number.isSafeInteger(size) && size >= 0) && Number.isSafeInteger(bytes) ? bytes : null;
}

/** Order of the data in a file: widest alignment first, then by name in UTF-8 order, as the reference library writes. */
export function compareEntries(a: { name: string; dtype: Dtype }, b: { name: string; dtype: Dtype }): number {
  return (
    DTYPE_RANK.get(b.dtype)! - DTYPE_RANK.get(a.dtype)! || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))
  );
}

/** The header with its 8 bytes of length, padded with spaces to a multiple of 8. */
export function formatHeader(entries: HeaderEntry[], metadata?: Record<string, string>): Buffer {
  const fields: [string, unknown][] = entries.map(({ name, dtype, shape, start, byteLength }) => [
    name,
    { dtype, shape, data_offsets: [start, start + byteLength] },
  ]);
  if (metadata) fields.unshift(["__metadata__", Object.fromEntries(Object.entries(metadata).sort())]);
  const json = Buffer.from(
    `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`,
  );
  const length = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + length, " ");
  header.writeBigUInt64LE(BigInt(length));
  json.copy(header, 8);
  return header;
}

/**
 * Reads the JSON of a header whose file has `dataByteLength` bytes after it.
 * Throws, naming `path`, what was expected, and what was found.
 */
export function parseHeader(bytes: Uint8Array, dataByteLength: number, path: string): Header {
  const text = decodeHeader(bytes, path);
  let json: unknown;
  try {
    json = parseJson(text, path);
  } catch (error) {
    throw malformed(path, "a JSON header", (error as Error).message.split("\n")[0]!);
  }
  if (!isObject(json)) throw malformed(path, "a header that is a JSON object", text.slice(0, 40));
  const count = Object.keys(json).length;
  if (count > MAX_TENSORS) throw malformed(path, `at most ${MAX_TENSORS} tensors`, `${count}`);
  const duplicate = duplicateKey(text);
  if (duplicate !== null) throw malformed(path, "each key once in the header", `${JSON.stringify(duplicate)} twice`);

  const entries: HeaderEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") metadata = parseMetadata(value, path);
    else entries.push(parseEntry(name, value, path));
  }
  entries.sort((a, b) => a.start - b.start || a.byteLength - b.byteLength);
  checkCoverage(entries, dataByteLength, path);
  return { metadata, entries };
}

/** The error of a file that breaks the format: what the format asks for, and what this file has. */
export function malformed(path: string, expected: string, got: string): Error {
  return new Error(
    `${path}: expected ${shortened(expected)}, got ${shortened(`${got}`)}\nThe file is damaged or not a safetensors file: copy or download it again.`,
  );
}

function decodeHeader(bytes: Uint8Array, path: string): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(path, "a header in UTF-8", "bytes that are not");
  }
  if (!text.startsWith("{")) throw malformed(path, "a header that begins with {", JSON.stringify(text.slice(0, 8)));
  return text;
}

function parseMetadata(value: unknown, path: string): Record<string, string> {
  if (!isObject(value)) throw malformed(path, "__metadata__ to be an object of strings", JSON.stringify(value));
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry !== "string") throw malformed(path, `__metadata__.${key} to be a string`, JSON.stringify(entry));
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, path: string): HeaderEntry {
  if (!isObject(value)) throw malformed(path, `tensor ${name} to be an object`, JSON.stringify(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) {
    throw malformed(
      path,
      `tensor ${name} to have a dtype of ${[...DTYPE_RANK.keys()].join(", ")}`,
      JSON.stringify(dtype),
    );
  }
  if (!isCountList(shape)) {
    throw malformed(path, `tensor ${name} to have a shape of whole numbers`, JSON.stringify(shape));
  }
  const byteLength = tensorByteLength(dtype, shape);
  if (byteLength === null) {
    throw malformed(
      path,
      `tensor ${name} to have a size below 2^53 bytes`,
      `${dtype} of shape ${JSON.stringify(shape)}`,
    );
  }
  if (!isCountList(offsets) || offsets.length !== 2 || offsets[1]! < offsets[0]!) {
    throw malformed(path, `tensor ${name} to have data_offsets [start, end]`, JSON.stringify(offsets));
  }
  const [start, end] = offsets as [number, number];
  if (end - start !== byteLength) {
    throw malformed(
      path,
      `${byteLength} bytes for tensor ${name}, ${dtype} of shape ${JSON.stringify(shape)}`,
      `data_offsets of ${end - start} bytes`,
    );
  }
  return { name, dtype, shape, byteLength, start };
}

function checkCoverage(entries: HeaderEntry[], dataByteLength: number, path: string): void {
  let end = 0;
  for (const { name, start, byteLength } of entries) {
    if (start !== end) {
      throw malformed(
        path,
        `tensor ${name} to start at byte ${end} of the data`,
        `${start < end ? "an overlap" : "a hole"}: ${start}`,
      );
    }
    end = start + byteLength;
  }
  if (end !== dataByteLength) throw malformed(path, `${end} bytes of data after the header`, `${dataByteLength}`);
}

/** The first key that an object of valid JSON text has twice, which JSON.parse does not tell, or null. */
function duplicateKey(text: string): string | null {
  const open: (Set<string> | null)[] = []; // null for an array
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      const keys = open.at(-1);
      let next = at + 1;
      while (" \t\r\n".includes(text[next]!)) next++;
      if (!keys || text[next] !== ":") continue;
      const key = JSON.parse(text.slice(start, at + 1)) as string;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

function isCountList(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.every((entry) => typeof entry === "number" && Number.isInteger(entry) && entry >= 0)
  );
}
