// An answer as the bytes of its JSON, made in slices of a few milliseconds: the vectors of a large request are hundreds of
// thousands of numbers, and other requests must not wait for their digits. Vectors stay float32 until their turn.

import { setImmediate } from "node:timers/promises";

const SLICE_MS = 8;
/** Characters that are turned into bytes together. */
const CHUNK_CHARACTERS = 2 ** 16;

/** The bytes of `JSON.stringify(value)`, a float32 array being a list of numbers. Rejects once `signal` is aborted. */
export async function jsonBytes(value: unknown, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let text = "";
  let sliceEnd = performance.now() + SLICE_MS;
  for (const piece of pieces(value)) {
    text += piece;
    if (text.length < CHUNK_CHARACTERS) continue;
    chunks.push(Buffer.from(text));
    text = "";
    if (performance.now() < sliceEnd) continue;
    await setImmediate();
    signal.throwIfAborted();
    sliceEnd = performance.now() + SLICE_MS;
  }
  chunks.push(Buffer.from(text));
  return Buffer.concat(chunks);
}

function* pieces(value: unknown): Generator<string, void> {
  if (value instanceof Float32Array) yield JSON.stringify(Array.from(value));
  else if (Array.isArray(value)) {
    yield "[";
    for (const [i, element] of value.entries()) {
      if (i > 0) yield ",";
      yield* pieces(element);
    }
    yield "]";
  } else if (typeof value === "object" && value !== null && Object.values(value).some(isLong)) {
    let before = "{";
    for (const [name, part] of Object.entries(value)) {
      if (part === undefined) continue;
      yield `${before}${JSON.stringify(name)}:`;
      yield* pieces(part);
      before = ",";
    }
    yield before === "{" ? "{}" : "}";
  } else yield JSON.stringify(value);
}

function isLong(value: unknown): boolean {
  return Array.isArray(value) || value instanceof Float32Array;
}
