// Tokens back to text. WordPiece: pieces with the continuing prefix are glued to what stands before them, and with
// `cleanup` the space before punctuation and English contractions goes (token by token, as the decoder of Hugging Face
// tokenizers). Byte-level BPE: the bytes that the tokens spell. Other BPE: steps from tokens to tokens, then joined.

import type { DecoderJSON, TokenizerJSON } from "./json/schema.js";
import { readBytes } from "./text/byte-level.js";
import { compilePattern } from "./text/pattern.js";

/** Tokens to text as the tokenizer.json says; without a decoder, joined by spaces. */
export function decoderFromJSON(json: TokenizerJSON["decoder"]): (tokens: string[]) => string {
  if (json === null) return (tokens) => tokens.join(" ");
  if (json.type === "WordPiece") return (tokens) => decodeWordPieces(tokens, json.prefix, json.cleanup);
  const steps = (json.type === "Sequence" ? json.decoders : [json]).map(stepFromJSON);
  return (tokens) => steps.reduce((list, step) => step(list), tokens).join("");
}

function stepFromJSON(json: Exclude<DecoderJSON, { type: "Sequence" }>): (tokens: string[]) => string[] {
  switch (json.type) {
    case "ByteLevel":
      return (tokens) => [readBytes(tokens)];
    case "ByteFallback":
      return joinBytes;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Replace": {
      const pattern = compilePattern(json.pattern, "decoder.pattern");
      return (tokens) => tokens.map((token) => replaced(token, pattern(token), json.content));
    }
    case "Strip":
      return (tokens) => tokens.map((token) => strip(token, json.content, json.start, json.stop));
  }
}

function replaced(token: string, places: readonly number[], content: string): string {
  let [out, at] = ["", 0];
  for (let i = 0; i < places.length; i += 2) {
    out += token.slice(at, places[i]!) + content;
    at = places[i + 1]!;
  }
  return out + token.slice(at);
}

/** Runs of <0x..> as the text of those bytes, or a U+FFFD for each where they are no UTF-8. */
function joinBytes(tokens: string[]): string[] {
  const result: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    try {
      result.push(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    } catch {
      result.push("\ufffd".repeat(bytes.length));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    if (byte) bytes.push(Number.parseInt(byte[1]!, 16));
    else {
      if (bytes.length > 0) flush();
      result.push(token);
    }
  }
  if (bytes.length > 0) flush();
  return result;
}

function strip(token: string, char: string, start: number, stop: number): string {
  let [from, to] = [0, token.length];
  while (from < start && token[from] === char) from++;
  while (token.length - to < stop && to > from && token[to - 1] === char) to--;
  return token.slice(from, to);
}

const contractions: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function decodeWordPieces(tokens: readonly string[], prefix: string, cleanup: boolean): string {
  let text = "";
  for (const [i, token] of tokens.entries()) {
    let piece = token;
    if (i > 0) piece = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    if (cleanup) for (const [from, to] of contractions) piece = piece.replaceAll(from, to);
    text += piece;
  }
  return text;
}
