// Bytes to text to lines, in streams: gzip and zstd are undone on the way with their checksums, UTF-8 and UTF-16 are checked,
// and no more than one document is held. Every file is read once from start to end, so a pipe will do.
// NOTE: V8 ends strings at 2^29 characters; a piece that long is an error here, not a crash.

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { refuseLfsPointer } from "../../files/input-file.js";
import { unzstd } from "./unzstd.js";

/** How a text file is cut into documents: not at all, at each line, or at blank lines. */
export type TextSplit = "file" | "line" | "paragraph";

export interface TextSpan {
  text: string;
  /** Line on which it starts, from 1. */
  line: number;
}

const CHUNK_BYTES = 1 << 18;
const START_BYTES = 64;
const MAX_PIECE_CHARACTERS = 2 ** 28;

/**
 * The text of a file, or of standard input for "-", chunk by chunk, without a byte-order mark at its start. UTF-8, or
 * UTF-16 where a mark tells. Throws where it is cut short or of another encoding.
 */
export async function* readText(path: string): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let hint = "latin1";
  const decode = (chunk?: Uint8Array) => {
    try {
      return chunk ? decoder!.decode(chunk, { stream: true }) : decoder!.decode();
    } catch {
      const expected = decoder!.encoding.toUpperCase();
      throw new Error(
        `${path}: expected ${expected}, got bytes that are not\nConvert it first, for example with iconv -f ${hint} -t utf-8.`,
      );
    }
  };
  for await (const chunk of readBytes(path)) {
    if (!decoder) {
      const { encoding, suspected } = encodingOf(chunk);
      if (encoding === undefined) {
        throw new Error(
          `${path}: expected UTF-8, got ${suspected} without a byte-order mark\nConvert it first: iconv -f ${suspected} -t utf-8.`,
        );
      }
      decoder = new TextDecoder(encoding, { fatal: true });
      hint = suspected;
    }
    yield decode(chunk);
  }
  if (decoder) yield decode();
}

/** The encoding of a text that begins so; none where every other byte is 0; and what it is if it is not that. */
function encodingOf(start: Uint8Array): { encoding: string | undefined; suspected: string } {
  const marks = Buffer.from(start.subarray(0, 4)).toString("hex");
  if (/^(fffe0000|0000feff)/.test(marks)) return { encoding: undefined, suspected: "UTF-32" };
  if (marks.startsWith("fffe")) return { encoding: "utf-16le", suspected: "utf-16le" };
  if (marks.startsWith("feff")) return { encoding: "utf-16be", suspected: "utf-16be" };
  const zeros: [even: number, odd: number] = [0, 0];
  for (const [at, byte] of start.subarray(0, 4096).entries()) if (byte === 0) zeros[at & 1]!++;
  const [least, most] = [Math.min(...zeros), Math.max(...zeros)];
  const looksWide = least * 8 < most;
  const suspected = looksWide ? (zeros[0] > zeros[1] ? "UTF-16BE" : "UTF-16LE") : "latin1";
  const isWide = looksWide && most * 8 > Math.min(start.length, 4096);
  return { encoding: isWide ? undefined : "utf-8", suspected };
}

/** Documents of a plain text file; with `line` and `paragraph` those without a visible character are left out. */
export async function* splitText(path: string, split: TextSplit): AsyncGenerator<TextSpan> {
  if (split === "file") {
    let text = "";
    for await (const chunk of readText(path))
      text = limited(text + chunk, path, 'Cut the file with split: "line" or "paragraph".');
    if (text.trim() !== "") yield { text, line: 1 };
    return;
  }
  let lines: string[] = [];
  let start = 1;
  for await (const { text, line } of readLines(path)) {
    const blank = text.trim() === "";
    if (split === "line") {
      if (!blank) yield { text, line };
    } else if (!blank) {
      if (lines.length === 0) start = line;
      lines.push(text);
    } else if (lines.length > 0) {
      yield { text: lines.join("\n"), line: start };
      lines = [];
    }
  }
  if (lines.length > 0) yield { text: lines.join("\n"), line: start };
}

/** Lines of a file without their ends (`\n` or `\r\n`). */
export const readLines = (path: string): AsyncGenerator<TextSpan> => linesOf(readText(path), path);

/** As `readLines`, of text that comes in chunks; `path` names it in errors. */
export async function* linesOf(chunks: AsyncIterable<string>, path: string): AsyncGenerator<TextSpan> {
  let rest = "";
  let line = 0;
  const withoutReturn = (text: string) => (text.endsWith("\r") ? text.slice(0, -1) : text);
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      yield { text: withoutReturn(rest + chunk.slice(start, end)), line: ++line };
      rest = "";
      start = end + 1;
    }
    rest = limited(rest + chunk.slice(start), `${path}: line ${line + 1}`, "Is the format right?");
  }
  if (rest !== "") yield { text: withoutReturn(rest), line: ++line };
}

/** Returns `text`, or throws that one document is longer than a string can safely be. */
export function limited(text: string, where: string, wayOut: string): string {
  if (text.length <= MAX_PIECE_CHARACTERS) return text;
  throw new Error(`${where}: expected at most ${MAX_PIECE_CHARACTERS} characters in one document, got more\n${wayOut}`);
}

async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  const file = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const whole = wholeStart(file, path);
  try {
    if (/\.gz$/i.test(path)) {
      yield* unzipped(whole);
    } else if (/\.zst$/i.test(path)) yield* unzstd(whole);
    else yield* whole;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (message.startsWith(path) || (typeof code === "string" && !/^(Z|ZSTD)_/.test(code))) throw error;
    const wayOut = message.includes("\n") ? "" : "\nCopy or download it again.";
    // A decoder that runs over the ends of damaged blocks says nothing about the file.
    const got = error instanceof RangeError || error instanceof TypeError ? "damaged blocks" : message;
    throw new Error(`${path}: expected a whole compressed file, got ${got}${wayOut}`, { cause: error });
  }
}

/** The contents of all members of a gzip file. NOTE: node:zlib takes a zero behind one for the end, whatever follows. */
async function* unzipped(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let [bytes, behindLast] = [0, 0]; // in all, and up to the last that is not zero
  const source = file[Symbol.asyncIterator]();
  // Not by `for await`, which would end the source together with the decoder.
  const counted = async function* () {
    for (let next = await source.next(); !next.done; next = await source.next()) {
      const last = next.value.findLastIndex((byte) => byte !== 0);
      if (last >= 0) behindLast = bytes + last + 1;
      bytes += next.value.length;
      yield next.value;
    }
  };
  const decoder = createGunzip({ chunkSize: CHUNK_BYTES });
  try {
    // The callback only keeps an error from being thrown twice: reading the unzipped stream throws it here.
    yield* pipeline(counted, decoder, () => {});
    for await (const _ of counted());
    if (behindLast > decoder.bytesWritten) throw new Error("more behind zeros");
  } finally {
    await source.return?.();
  }
}

/** The chunks of a file, of which the first has enough bytes to tell what the file is. */
async function* wholeStart(file: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let start: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of file) {
    if (start === undefined) {
      yield chunk;
      continue;
    }
    start = Buffer.concat([start, chunk]);
    // What a slow pipe gives is passed on at once, if it cannot become a pointer.
    if (start.length < 4 || (start.length < START_BYTES && start.toString("latin1", 0, 8) === "version ")) continue;
    refuseLfsPointer(path, start);
    yield start;
    start = undefined;
  }
  if (start === undefined || start.length === 0) return;
  refuseLfsPointer(path, start);
  yield start;
}
