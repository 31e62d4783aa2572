// Zstandard streams, frame by frame: node:zlib's decoder where Node has one (22.15; it ends after one frame, whatever
// follows), else fzstd, which leaves to us what is here: windows are checked before memory is taken, and held no larger
// than the frame can use; sizes and checksums that a frame declares must fit; and it is stopped in a damaged block, whose
// lengths it takes at their word for seconds. Format: RFC 8878.

import { pipeline } from "node:stream";
import { createContext, Script } from "node:vm";
import * as zlib from "node:zlib";
import { Decompress } from "fzstd";
import xxhash from "xxhash-wasm";

const MAGIC = 0xfd2fb528;
const MAX_BLOCK_BYTES = 1 << 17;
/** Blocks that are looked at before a window is made: most small files end among them. */
const BLOCKS_AHEAD = 64;
/** Blocks that fzstd gets at once, and milliseconds for them beside those for moving the window: good ones take some ten. */
const BLOCKS_AT_ONCE = 8;
const MAX_BLOCKS_MS = 1000;
const MAX_WINDOW_BYTES = 2 ** 30;
const MAX_NATIVE_WINDOW_BYTES = 2 ** 31;

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
    const header = await input.frameHeader();
    if (native && useNative) {
      if (header.window > MAX_NATIVE_WINDOW_BYTES) throw tooLarge(header.window, MAX_NATIVE_WINDOW_BYTES);
      const decoder = native({ params: { [WINDOW_LOG_MAX]: 31 } });
      // The callback only keeps an error from being thrown twice: reading the stream throws it here.
      yield* pipeline(frameBytes(input, header), decoder, () => {}) as AsyncIterable<Uint8Array>;
    } else yield* unzstdFrame(input, header, create64());
  }
}

/** A block's header with what follows it, and whether it is a frame's last. */
async function takeBlock(input: Taker): Promise<{ bytes: Buffer; isLast: boolean }> {
  const head = await input.take(3);
  const size = head.readUIntLE(0, 3) >> 3;
  if (size > MAX_BLOCK_BYTES) throw new Error(`a block of ${size} bytes`);
  const isRun = ((head[0]! >> 1) & 3) === 1; // one byte, repeated
  return { bytes: Buffer.concat([head, await input.take(isRun ? 1 : size)]), isLast: (head[0]! & 1) === 1 };
}

/** A frame as it lies in the file. */
async function* frameBytes(input: Taker, header: FrameHeader): AsyncGenerator<Buffer> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC);
  yield Buffer.concat([magic, header.bytes]);
  for (let isLast = false; !isLast; ) {
    const block = await takeBlock(input);
    isLast = block.isLast;
    yield block.bytes;
  }
  if (header.hasChecksum) yield await input.take(4);
}

async function* unzstdFrame(
  input: Taker,
  { window, size, hasChecksum }: FrameHeader,
  hash: { update(bytes: Uint8Array): unknown; digest(): bigint },
): AsyncGenerator<Uint8Array> {
  let length = 0;
  const pieces: Uint8Array[] = [];
  const decoder = new Decompress((piece) => {
    hash.update(piece);
    length += piece.length;
    if (length > (size ?? Number.POSITIVE_INFINITY)) throw new Error("more bytes than its frame declares");
    if (piece.length > 0) pieces.push(piece);
  });
  const ahead: Buffer[] = [];
  let push: ((bytes: Buffer) => void) | undefined;
  for (let isLast = false; !isLast; ) {
    const block = await takeBlock(input);
    isLast = block.isLast;
    ahead.push(block.bytes);
    if (!push && !isLast && ahead.length < BLOCKS_AHEAD) continue;
    if (!push) {
      // A match reaches no further back than the frame is long.
      const reach = isLast ? ahead.length * MAX_BLOCK_BYTES : Number.POSITIVE_INFINITY;
      const held = Math.min(window, Math.max(size ?? Number.POSITIVE_INFINITY, 1024), reach);
      if (held > MAX_WINDOW_BYTES) throw tooLarge(window, MAX_WINDOW_BYTES);
      decoder.push(frameHeaderOf(held));
      const moving = (BLOCKS_AT_ONCE * held) / 2 ** 20; // a millisecond a MiB
      push = withinTime(MAX_BLOCKS_MS + moving, (bytes) => decoder.push(bytes));
    }
    while (ahead.length >= BLOCKS_AT_ONCE || (isLast && ahead.length > 0)) {
      push(Buffer.concat(ahead.splice(0, BLOCKS_AT_ONCE)));
      yield* pieces.splice(0);
    }
  }
  decoder.push(new Uint8Array(0), true);
  yield* pieces.splice(0);
  if (size !== undefined && length !== size) throw new Error(`${length} bytes of a frame that declares ${size}`);
  if (!hasChecksum) return;
  const expected = (await input.take(4)).readUInt32LE();
  if (Number(hash.digest() & 0xffffffffn) !== expected) throw new Error("bytes whose checksum does not fit");
}

/** `decode`, which is stopped where it takes more than `maxMs`. NOTE: Node stops scripts alone, so a script calls it. */
function withinTime(maxMs: number, decode: (bytes: Buffer) => void): (bytes: Buffer) => void {
  const context = createContext({ decode });
  const script = new Script("decode(bytes)");
  return (bytes) => {
    context.bytes = bytes;
    try {
      script.runInContext(context, { timeout: Math.ceil(maxMs) });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      throw new Error("blocks that say too much, as damaged ones do");
    }
  };
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
  /** As it lies in the file, behind the magic number. */
  bytes: Buffer;
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
    const start = await this.take(1);
    const flags = start[0]!;
    const isSingle = (flags & 32) !== 0;
    const descriptor = await this.take(isSingle ? 0 : 1);
    const exponent = (descriptor[0] ?? 0) >> 3;
    const eighths = (descriptor[0] ?? 0) & 7;
    const dictionary = await this.take([0, 1, 2, 4][flags & 3]!);
    if (dictionary.some((byte) => byte !== 0)) throw new Error("a frame that needs a dictionary");
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]!;
    const field = await this.take(sizeBytes);
    const value =
      sizeBytes === 8 ? Number(field.readBigUInt64LE()) : sizeBytes > 0 ? field.readUIntLE(0, sizeBytes) : 0;
    const size = sizeBytes === 0 ? undefined : sizeBytes === 2 ? value + 256 : value;
    const window = isSingle ? size! : 2 ** (10 + exponent) * (1 + eighths / 8);
    const bytes = Buffer.concat([start, descriptor, dictionary, field]);
    return { bytes, window, size, hasChecksum: (flags & 4) !== 0 };
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
