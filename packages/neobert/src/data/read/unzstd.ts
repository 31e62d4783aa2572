// Zstandard streams: node:zlib's decoder where Node has one (22.15), else fzstd, which leaves to us what is here: windows are
// checked before memory is taken, and held no larger than the frame can use; sizes and checksums that a frame declares
// must fit. Format: RFC 8878.

import { pipeline } from "node:stream";
import * as zlib from "node:zlib";
import { Decompress } from "fzstd";
import xxhash from "xxhash-wasm";

const MAGIC = 0xfd2fb528;
const MAX_BLOCK_BYTES = 1 << 17;
/** Blocks that are looked at before a window is made: most small files end among them. */
const BLOCKS_AHEAD = 64;
const MAX_WINDOW_BYTES = 2 ** 30;

// Not in the types of Node 20.
type NativeZstd = (options: { params: Record<number, number> }) => NodeJS.ReadWriteStream;
const native = (zlib as unknown as { createZstdDecompress?: NativeZstd }).createZstdDecompress;
const WINDOW_LOG_MAX = 100; // ZSTD_d_windowLogMax

/** The bytes of all frames. Throws where a frame is damaged, cut short, or wants more memory than there is for it. */
export async function* unzstd(
  file: AsyncIterable<Uint8Array>,
  { useNative = true }: { useNative?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  const input = new Taker(file);
  if (native && useNative) {
    const { window } = await input.peekFrame();
    if (window > 2 ** 31) throw tooLarge(window, 2 ** 31);
    // The callback only keeps an error from being thrown twice: reading the stream throws it here.
    yield* pipeline(input.rest(), native({ params: { [WINDOW_LOG_MAX]: 31 } }), () => {}) as AsyncIterable<Uint8Array>;
    return;
  }
  const { create64 } = await xxhash();
  for (;;) {
    const start = await input.take(4, true);
    if (start.length === 0) return;
    const magic = start.readUInt32LE();
    if (magic >>> 4 === 0x184d2a5) {
      await input.skip((await input.take(4)).readUInt32LE());
      continue;
    }
    if (magic !== MAGIC) throw new Error("bytes that begin no zstd frame");
    yield* unzstdFrame(input, create64());
  }
}

async function* unzstdFrame(
  input: Taker,
  hash: { update(bytes: Uint8Array): unknown; digest(): bigint },
): AsyncGenerator<Uint8Array> {
  const { window, size, hasChecksum } = await input.frameHeader();
  let length = 0;
  const pieces: Uint8Array[] = [];
  const decoder = new Decompress((piece) => {
    hash.update(piece);
    length += piece.length;
    if (length > (size ?? Number.POSITIVE_INFINITY)) throw new Error("more bytes than its frame declares");
    if (piece.length > 0) pieces.push(piece);
  });
  const ahead: Buffer[] = [];
  let [isOpen, isLast] = [false, false];
  while (!isLast) {
    const head = await input.take(3);
    const [type, bytes] = [(head[0]! >> 1) & 3, head.readUIntLE(0, 3) >> 3];
    isLast = (head[0]! & 1) === 1;
    if (bytes > MAX_BLOCK_BYTES) throw new Error(`a block of ${bytes} bytes`);
    ahead.push(head, await input.take(type === 1 ? 1 : bytes));
    if (!isOpen && !isLast && ahead.length < 2 * BLOCKS_AHEAD) continue;
    if (!isOpen) {
      // A match reaches no further back than the frame is long.
      const reach = isLast ? (ahead.length / 2) * MAX_BLOCK_BYTES : Number.POSITIVE_INFINITY;
      const held = Math.min(window, Math.max(size ?? Number.POSITIVE_INFINITY, 1024), reach);
      if (held > MAX_WINDOW_BYTES) throw tooLarge(window, MAX_WINDOW_BYTES);
      decoder.push(frameHeaderOf(held));
      isOpen = true;
    }
    decoder.push(Buffer.concat(ahead.splice(0)));
    yield* pieces.splice(0);
  }
  decoder.push(new Uint8Array(0), true);
  yield* pieces.splice(0);
  if (size !== undefined && length !== size) throw new Error(`${length} bytes of a frame that declares ${size}`);
  if (!hasChecksum) return;
  const expected = (await input.take(4)).readUInt32LE();
  if (Number(hash.digest() & 0xffffffffn) !== expected) throw new Error("bytes whose checksum does not fit");
}

/** A header without size and checksum, of the smallest window of at least `window` bytes that a header can tell. */
function frameHeaderOf(window: number): Buffer {
  let exponent = 10;
  while (exponent < 30 && 2 ** exponent * (15 / 8) < window) exponent++;
  const eighths = Math.max(0, Math.ceil((window / 2 ** exponent - 1) * 8));
  const header = Buffer.alloc(6);
  header.writeUInt32LE(MAGIC);
  header[5] = ((exponent - 10) << 3) | eighths;
  return header;
}

function tooLarge(window: number, limit: number): Error {
  return new Error(
    `a window of ${window / 2 ** 20} MiB (at most ${limit / 2 ** 20} MiB are held)\n` +
      "Unpack it first (zstd -d --long=31 FILE), or pack it with a smaller window.",
  );
}

interface FrameHeader {
  /** Bytes that matches may reach back. */
  window: number;
  /** Bytes of the whole frame, unpacked. */
  size: number | undefined;
  hasChecksum: boolean;
}

/** Takes bytes off a stream by number. */
class Taker {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(file: AsyncIterable<Uint8Array>) {
    this.#chunks = file[Symbol.asyncIterator]();
  }

  /** The next bytes. Throws at the end of the stream, unless `orNone` and nothing is left. */
  async take(count: number, orNone = false): Promise<Buffer> {
    await this.#fill(count);
    if (this.#held.length < count && !(orNone && this.#held.length === 0)) throw new Error("the end within a frame");
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(taken.length);
    return taken;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.take(Math.min(left, MAX_BLOCK_BYTES))).length;
  }

  /** What stands behind a frame's magic number. */
  async frameHeader(): Promise<FrameHeader> {
    const flags = (await this.take(1))[0]!;
    const isSingle = (flags & 32) !== 0;
    const descriptor = isSingle ? 0 : (await this.take(1))[0]!;
    const dictionary = await this.take([0, 1, 2, 4][flags & 3]!);
    if (dictionary.some((byte) => byte !== 0)) throw new Error("a frame that needs a dictionary");
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]!;
    const field = await this.take(sizeBytes);
    const value =
      sizeBytes === 8 ? Number(field.readBigUInt64LE()) : sizeBytes > 0 ? field.readUIntLE(0, sizeBytes) : 0;
    const size = sizeBytes === 0 ? undefined : sizeBytes === 2 ? value + 256 : value;
    const window = isSingle ? size! : 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);
    return { window, size, hasChecksum: (flags & 4) !== 0 };
  }

  /** The first frame's header, which stays in the stream. Other streams have no window. */
  async peekFrame(): Promise<Pick<FrameHeader, "window">> {
    await this.#fill(18);
    const all = this.#held;
    if (all.length < 18 || all.readUInt32LE() !== MAGIC) return { window: 0 };
    this.#held = all.subarray(4);
    const header = await this.frameHeader();
    this.#held = all;
    return header;
  }

  /** All that has not been taken. */
  async *rest(): AsyncGenerator<Uint8Array> {
    if (this.#held.length > 0) yield this.#held;
    for (let next = await this.#chunks.next(); !next.done; next = await this.#chunks.next()) yield next.value;
  }

  async #fill(count: number): Promise<void> {
    const parts = [this.#held];
    let length = this.#held.length;
    while (length < count) {
      const { value, done } = await this.#chunks.next();
      if (done) break;
      parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      length += value.length;
    }
    if (parts.length > 1) this.#held = Buffer.concat(parts);
  }
}
