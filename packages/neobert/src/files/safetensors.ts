// Reading and writing safetensors files with nothing but typed arrays. Opening reads the header only; the bytes of a
// tensor are read when it is asked for, into a buffer of its own, so a model needs no more memory than the tensors
// in use. Writing streams tensor by tensor and gives the bytes that the reference library gives for the same tensors.
// NOTE: the format is little-endian, and so is every processor that Node runs on but s390x.

import { closeSync, fstatSync, readSync } from "node:fs";
import { createFileAtomic, writeAll } from "./atomic.js";
import { openRegularFile, refuseLfsPointer } from "./input-file.js";
import {
  compareEntries,
  type Dtype,
  formatHeader,
  type HeaderEntry,
  isDtype,
  MAX_HEADER_BYTES,
  malformed,
  parseHeader,
  type TensorInfo,
  tensorByteLength,
  typedArrays,
} from "./safetensors-header.js";

export type { Dtype, TensorInfo };

/** BF16 and F16 are held as their bits, BOOL as bytes of 0 and 1. */
export type TensorData = InstanceType<(typeof typedArrays)[Dtype]>;

export interface StoredTensor {
  dtype: Dtype;
  shape: number[];
  data: TensorData;
}

/** A tensor to write: its data, or a function that makes the data when its turn comes. */
export interface TensorToWrite {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: TensorData | (() => TensorData);
}

export interface SafetensorsFile {
  /** The strings of `__metadata__`; empty where there is none. */
  readonly metadata: Record<string, string>;
  /** Names of all tensors, in the order of their data. */
  names(): string[];
  /** Type, shape and size of a tensor; throws for an unknown name. */
  info(name: string): TensorInfo;
  /** Reads a tensor into a fresh buffer; throws for an unknown name. */
  read(name: string): StoredTensor;
  close(): void;
}

const MAX_READ_BYTES = 2 ** 30;

/**
 * Opens a safetensors file and reads its header. Throws what is wrong with a malformed file.
 * The file stays open until `close`.
 */
export function openSafetensors(path: string): SafetensorsFile {
  const fd = openRegularFile(path);
  try {
    return new OpenFile(path, fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

class OpenFile implements SafetensorsFile {
  readonly metadata: Record<string, string>;
  readonly #path: string;
  readonly #dataStart: number;
  readonly #entries: Map<string, HeaderEntry>;
  #fd: number | null;

  constructor(path: string, fd: number) {
    const { size } = fstatSync(fd);
    if (size < 8) throw malformed(path, "at least 8 bytes, the length of the header", `${size}`);
    refuseLfsPointer(path, readBytes(fd, 0, Math.min(size, 64), path));
    const headerLength = Number(readBytes(fd, 0, 8, path).readBigUInt64LE());
    if (headerLength > MAX_HEADER_BYTES) {
      throw malformed(path, `a header of at most ${MAX_HEADER_BYTES} bytes`, `${headerLength}`);
    }
    if (8 + headerLength > size) {
      throw malformed(path, `a header of at most ${size - 8} bytes, the rest of the file`, `${headerLength}`);
    }
    this.#path = path;
    this.#fd = fd;
    this.#dataStart = 8 + headerLength;
    const header = parseHeader(readBytes(fd, 8, headerLength, path), size - this.#dataStart, path);
    this.metadata = header.metadata;
    this.#entries = new Map(header.entries.map((entry) => [entry.name, entry]));
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  info(name: string): TensorInfo {
    const { dtype, shape, byteLength } = this.#entry(name);
    return { dtype, shape: [...shape], byteLength };
  }

  read(name: string): StoredTensor {
    if (this.#fd === null) throw new Error(`${this.#path}: expected an open file, got a closed one`);
    const { dtype, shape, byteLength, start } = this.#entry(name);
    const bytes = readBytes(this.#fd, this.#dataStart + start, byteLength, this.#path);
    return { dtype, shape: [...shape], data: new typedArrays[dtype](bytes.buffer) };
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #entry(name: string): HeaderEntry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw new Error(
      `${this.#path}: expected one of its ${this.#entries.size} tensors, got the name ${name}\nnames() lists them.`,
    );
  }
}

/** Reads into an ArrayBuffer of exactly this length, which the returned Buffer covers from its first byte. */
function readBytes(fd: number, position: number, byteLength: number, path: string): Buffer<ArrayBuffer> {
  const bytes = Buffer.from(new ArrayBuffer(byteLength));
  for (let done = 0; done < byteLength; ) {
    const count = readSync(fd, bytes, done, Math.min(byteLength - done, MAX_READ_BYTES), position + done);
    if (count === 0) throw malformed(path, `${byteLength} bytes at ${position}`, `the end of the file after ${done}`);
    done += count;
  }
  return bytes;
}

/**
 * Writes `tensors` to `path`, whole or not at all. Data are placed by alignment and name, whatever the order given, and
 * asked for one tensor at a time. Throws if a name comes twice or data do not fit dtype and shape.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata?: Record<string, string>,
): void {
  const sorted = [...tensors].sort(compareEntries);
  let start = 0;
  const entries = sorted.map(({ name, dtype, shape }, index): HeaderEntry => {
    if (name === "__metadata__" || name === sorted[index - 1]?.name) {
      throw new Error(`writeSafetensors: expected each tensor to have a name of its own, got ${name} again`);
    }
    const byteLength = isDtype(dtype) ? tensorByteLength(dtype, shape) : null;
    if (byteLength === null) {
      throw new Error(
        `writeSafetensors: expected a known dtype and whole sizes for ${name}, got ${dtype} of shape [${shape}]`,
      );
    }
    start += byteLength;
    return { name, dtype, shape, byteLength, start: start - byteLength };
  });
  const header = formatHeader(entries, metadata);
  if (header.length - 8 > MAX_HEADER_BYTES) {
    throw new Error(
      `writeSafetensors: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${header.length - 8}`,
    );
  }
  createFileAtomic(path, (fd) => {
    writeAll(fd, header);
    for (const [index, { name, dtype, data: given }] of sorted.entries()) {
      const data = typeof given === "function" ? given() : given;
      const { byteLength, shape } = entries[index]!;
      if (data.byteLength !== byteLength || data[Symbol.toStringTag] !== typedArrays[dtype].name) {
        throw new Error(
          `writeSafetensors: expected ${name}, ${dtype} of shape [${shape}], as ${typedArrays[dtype].name} of ${byteLength} bytes, ` +
            `got ${data[Symbol.toStringTag]} of ${data.byteLength}`,
        );
      }
      writeAll(fd, new Uint8Array(data.buffer, data.byteOffset, byteLength));
    }
  });
}
