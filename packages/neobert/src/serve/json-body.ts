// A request's body as a JSON value, read under limits: bytes are counted as they come, and nesting is measured before
// anything is parsed, so that a body of a million brackets costs one pass over it. Of large bodies one is parsed in a turn of
// the event loop, so that what else there is to do waits for one of them at most.

import { setImmediate } from "node:timers/promises";
import { shortened } from "../files/checked.js";
import { MOST_REPEATED, RequestError } from "./request-error.js";

const MOST_DEPTH = 16;
/** Lists, objects and fields of a body, and values in lists: a tree of millions takes seconds to build. */
const MOST_PARTS = 2 ** 17;
const MOST_VALUES = 2 ** 20 + MOST_PARTS;

/** Bytes from which a body is parsed in a turn of its own: some milliseconds. */
const LARGE_BYTES = 2 ** 18;
let lastTurn: Promise<unknown> = Promise.resolve();

/** Reads and parses; `hold` is told of bytes as they come, and may throw. Throws a `RequestError`: 415 for another type, 413 over `mostBytes`, 400 for what is no JSON. */
export async function readJson(request: Request, mostBytes: number, hold: (bytes: number) => void): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "application/json";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    const got = shortened(type, 60);
    throw new RequestError(
      "wrongMedia",
      `content-type: expected application/json, got ${got}\nSend the header content-type: application/json.`,
    );
  }
  const bytes = await readBytes(request, mostBytes, hold);
  if (bytes.length >= LARGE_BYTES) await ownTurn();
  const { depth, parts, values } = sizeOf(bytes);
  if (depth > MOST_DEPTH) {
    throw new RequestError("malformed", `body: expected JSON of at most ${MOST_DEPTH} levels, got more`);
  }
  if (parts > MOST_PARTS || values > MOST_VALUES) {
    const most = `${MOST_PARTS} lists, objects and fields and ${MOST_VALUES} values`;
    throw new RequestError("tooLarge", `body: expected at most ${most}, got more`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new RequestError("malformed", "body: expected UTF-8, got other bytes");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RequestError(
      "malformed",
      shortened(`body: expected JSON, got ${(error as Error).message}`, MOST_REPEATED),
    );
  }
}

/** Resolves when the turns of all who came before are over. */
function ownTurn(): Promise<unknown> {
  lastTurn = lastTurn.then(() => setImmediate());
  return lastTurn;
}

async function readBytes(request: Request, mostBytes: number, hold: (bytes: number) => void): Promise<Uint8Array> {
  const tooLarge = () => new RequestError("tooLarge", `body: expected at most ${mostBytes} bytes, got more`);
  if (Number(request.headers.get("content-length")) > mostBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (request.body) {
    const reader = (request.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      try {
        if (length > mostBytes) throw tooLarge();
        hold(value.length);
      } catch (error) {
        await reader.cancel();
        throw error;
      }
      chunks.push(value);
    }
  }
  return Buffer.concat(chunks, length);
}

/** Levels of brackets outside strings, and what stands between them; JSON or not. */
function sizeOf(bytes: Uint8Array): { depth: number; parts: number; values: number } {
  const [quote, backslash, bracket, brace, comma, colon] = [0x22, 0x5c, 0x5b, 0x7b, 0x2c, 0x3a];
  let [depth, most, parts, values] = [0, 0, 0, 0];
  let isInString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (isInString) {
      if (byte === backslash) i++;
      else if (byte === quote) isInString = false;
    } else if (byte === quote) isInString = true;
    else if (byte === comma) values++;
    else if (byte === colon) parts++;
    else if (byte === bracket || byte === brace) {
      parts++;
      most = Math.max(most, ++depth);
    } else if (byte === bracket + 2 || byte === brace + 2) depth--;
  }
  return { depth: most, parts, values };
}
