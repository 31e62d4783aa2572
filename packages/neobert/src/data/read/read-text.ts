// Bytes to text to lines, in streams: gzip and zstd are undone on the way, UTF-8 is checked, and no more than one
// document is held. NOTE: V8 ends strings at 2^29 characters; a piece that long is an error here, not a crash.

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { Decompress } from "fzstd";

/** How a text file is cut into documents: not at all, at each line, or at blank lines. */
export type TextSplit = "file" | "line" | "paragraph";

export interface TextSpan {
  text: string;
  /** Line on which it starts, from 1. */
  line: number;
}

const CHUNK_BYTES = 1 << 18;
const MAX_PIECE_CHARACTERS = 2 ** 28;

/** The text of a file, or of standard input for "-", chunk by chunk, without a byte-order mark. Throws where it is cut short or not UTF-8. */
export async function* readText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (chunk?: Uint8Array) => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    } catch {
      throw new Error(
        `${path}: expected UTF-8, got bytes that are not\nConvert it first, for example with iconv -f latin1 -t utf-8.`,
      );
    }
  };
  for await (const chunk of readBytes(path)) yield decode(chunk);
  yield decode();
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
export async function* readLines(path: string): AsyncGenerator<TextSpan> {
  let rest = "";
  let line = 0;
  const withoutReturn = (text: string) => (text.endsWith("\r") ? text.slice(0, -1) : text);
  for await (const chunk of readText(path)) {
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
  try {
    if (/\.gz$/i.test(path)) {
      // The callback only keeps an error from being thrown twice: reading the unzipped stream throws it here.
      yield* pipeline(file, createGunzip({ chunkSize: CHUNK_BYTES }), () => {});
    } else if (/\.zst$/i.test(path)) yield* decompressZstd(file);
    else yield* file;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (typeof code === "string" && !code.startsWith("Z_")) throw error;
    throw new Error(`${path}: expected a whole compressed file, got ${message}\nCopy or download it again.`);
  }
}

async function* decompressZstd(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  const stream = new Decompress((piece) => pieces.push(piece));
  for await (const chunk of file) {
    stream.push(chunk);
    yield* pieces;
    pieces = [];
  }
  stream.push(new Uint8Array(0), true);
  yield* pieces;
}
