// JSON as data sets have it: whole numbers beyond 2^53 stay what they are (as bigint), the words NaN, Infinity and -Infinity
// are numbers, as Python's json writes and reads them, and an array's elements come one by one out of a stream.

import { shortened, shown } from "../../files/checked.js";
import { limited } from "./read-text.js";

const MARK = "\u0000neobert:";

/** The value of a JSON text. Throws naming `where`. */
export function parseJson(text: string, where: string): unknown {
  try {
    return /\d{16}|NaN|Infinity/.test(text) ? parseSpecial(text) : JSON.parse(text);
  } catch (error) {
    const start = shortened(text, 80);
    const reason = error instanceof RangeError ? "It has too many levels." : (error as Error).message;
    throw new Error(`${where}: expected JSON, got ${start}\n${reason}`);
  }
}

function parseSpecial(text: string): unknown {
  let marked = "";
  for (let at = 0; at < text.length; ) {
    const quote = text.indexOf('"', at);
    const open = quote < 0 ? text.length : quote;
    const close = endOfString(text, open);
    marked += text.slice(at, open).replace(/-?\d[\d.eE+-]*|-?\b(?:NaN|Infinity)\b/g, (token) => {
      const isExact = /\d/.test(token) && (!/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token)));
      return isExact ? token : JSON.stringify(MARK + token);
    });
    marked += text.slice(open, close);
    at = close;
  }
  return JSON.parse(marked, (_, value) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const token = value.slice(MARK.length);
    return /\d/.test(token) ? BigInt(token) : Number(token);
  });
}

/** Where the string that opens at `open` ends. */
function endOfString(text: string, open: number): number {
  for (let close = text.indexOf('"', open + 1); close >= 0; close = text.indexOf('"', close + 1)) {
    let backslashes = 0;
    while (text[close - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return close + 1;
  }
  return text.length;
}

/** The text of an id or a label: of a text, a number or a truth value. Throws for others, and for a number that is not exact. */
export function exactText(value: unknown, where: string): string {
  const isInexact = Number.isInteger(value) && !Number.isSafeInteger(value);
  if (["string", "number", "bigint", "boolean"].includes(typeof value) && !isInexact && !Number.isNaN(value)) {
    return String(value);
  }
  const got = isInexact
    ? `a fraction or power that means one near ${value}`
    : Number.isNaN(value)
      ? "NaN"
      : shown(value);
  throw new Error(`${where}: expected a text or a whole number, got ${got}\nSave ids and labels as texts.`);
}

/** The texts of an array's elements, found by counting brackets outside strings; `path` names it in errors. */
export async function* arrayElements(chunks: AsyncIterable<string>, path: string): AsyncGenerator<string> {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let closed = false;
  let element = "";
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const character = chunk[at]!;
      if (closed && /\S/.test(character)) {
        throw new Error(`${path}: expected one array, got ${chunk.slice(at, at + 40)} after it`);
      }
      if (escaped) escaped = false;
      else if (inString) {
        if (character === "\\") escaped = true;
        else if (character === '"') inString = false;
      } else if (character === '"') inString = true;
      else if (character === "[" || character === "{") {
        if (depth++ === 0) start = at + 1;
      } else if (character === "]" || character === "}") {
        if (--depth > 0) continue;
        element += chunk.slice(start, at);
        if (element.trim() !== "") yield element;
        element = "";
        closed = true;
      } else if (character === "," && depth === 1) {
        yield element + chunk.slice(start, at);
        element = "";
        start = at + 1;
      }
    }
    if (!closed) element = limited(element + chunk.slice(start), path, "Is it one array of objects?");
  }
  if (!closed)
    throw new Error(`${path}: expected an array with a closing ], got the end of the file\nCopy or download it again.`);
}
