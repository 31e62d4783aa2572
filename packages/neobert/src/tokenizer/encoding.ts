// An encoded text as columns, and what is done to it after the model: truncation with stride, joining (with all
// combinations of what overflowed), padding. The rules are those of Hugging Face tokenizers' Encoding.

/** One encoded text or pair. All arrays have one entry a token, but `offsets` two: start and end. Offsets count
 * Unicode characters (code points) of the text, as in Python, unless `offsetUnit` asked for UTF-16 units. */
export interface Encoding {
  ids: Int32Array;
  typeIds: Int32Array;
  /** 1 for tokens, 0 for padding. */
  attentionMask: Int32Array;
  /** 1 for tokens that the template or padding added. */
  specialTokensMask: Int32Array;
  offsets: Int32Array;
  tokens: string[];
  /** Number of the word in its text that each token is of, as the pre-tokenizer cuts words; -1 for added tokens. */
  words: Int32Array;
  /** What truncation cut off, in pieces of the same greatest length. */
  overflowing: Encoding[];
}

export type Side = "left" | "right";

/** An encoding of `ids` with one type id. Without `words` the tokens are special, not from the text. */
export function makeEncoding(
  ids: Int32Array,
  offsets: Int32Array,
  tokens: string[],
  typeId: number,
  words?: Int32Array,
): Encoding {
  const filled = (value: number) => new Int32Array(ids.length).fill(value);
  return {
    ids,
    typeIds: filled(typeId),
    attentionMask: filled(1),
    specialTokensMask: filled(words ? 0 : 1),
    offsets,
    tokens,
    words: words ?? filled(-1),
    overflowing: [],
  };
}

function slice(encoding: Encoding, start: number, end: number): Encoding {
  return {
    ids: encoding.ids.slice(start, end),
    typeIds: encoding.typeIds.slice(start, end),
    attentionMask: encoding.attentionMask.slice(start, end),
    specialTokensMask: encoding.specialTokensMask.slice(start, end),
    offsets: encoding.offsets.slice(2 * start, 2 * end),
    tokens: encoding.tokens.slice(start, end),
    words: encoding.words.slice(start, end),
    overflowing: [],
  };
}

/** The first (or, from the left, last) `maxLength` tokens; the rest overflows in windows that share `stride` tokens.
 * Throws where `stride` leaves a window no room. */
export function truncate(encoding: Encoding, maxLength: number, stride: number, side: Side): Encoding {
  const { length } = encoding.ids;
  if (maxLength >= length) return encoding;
  if (maxLength === 0) return { ...slice(encoding, 0, 0), overflowing: [encoding] };
  if (stride >= maxLength) {
    throw new RangeError(
      `encode: expected stride below the ${maxLength} tokens a piece has room for, got ${stride}\n` +
        "Special tokens and the other text of a pair take room too: raise maxLength or lower stride.",
    );
  }
  const windows: Encoding[] = [];
  for (let skipped = 0; ; skipped += maxLength - stride) {
    const left = Math.min(skipped + maxLength, length);
    windows.push(side === "right" ? slice(encoding, skipped, left) : slice(encoding, length - left, length - skipped));
    if (left === length) break;
  }
  const [first, ...overflowing] = windows;
  return { ...first!, overflowing };
}

export type TruncationStrategy = "longestFirst" | "onlyFirst" | "onlySecond";

/** The two encodings cut to `maxLength` tokens together. Throws where the strategy cannot reach that. */
export function truncatePair(
  first: Encoding,
  second: Encoding | undefined,
  maxLength: number,
  strategy: TruncationStrategy,
  stride: number,
  side: Side,
): [Encoding, Encoding | undefined] {
  const [n1, n2] = [first.ids.length, second?.ids.length ?? 0];
  const excess = n1 + n2 - maxLength;
  if (excess <= 0) return [first, second];
  if (strategy === "longestFirst" || maxLength === 0) {
    if (!second) return [truncate(first, maxLength, stride, side), undefined];
    // The shorter text keeps all it has up to half the room; an odd token goes to the longer one.
    const half = Math.floor(maxLength / 2);
    const shorter = Math.min(n1, n2, half);
    const longer = maxLength - shorter;
    const [keep1, keep2] = n1 > n2 ? [longer, shorter] : [shorter, longer];
    return [truncate(first, keep1, stride, side), truncate(second, keep2, stride, side)];
  }
  const target = strategy === "onlyFirst" ? first : second;
  if (!target || target.ids.length <= excess) {
    throw new RangeError(
      `encode: expected ${strategy} to reach maxLength, got ${excess} tokens too many and ` +
        `${target?.ids.length ?? "no"} tokens in that text\nUse truncation "longestFirst" or a larger maxLength.`,
    );
  }
  const cut = truncate(target, target.ids.length - excess, stride, side);
  return strategy === "onlyFirst" ? [cut, second] : [first, cut];
}

function concat(a: Int32Array, b: Int32Array): Int32Array {
  const joined = new Int32Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** `a` followed by `b`. Each overflow of either is joined with the other and with the other's overflows. */
export function join(a: Encoding, b: Encoding): Encoding {
  const overflowing: Encoding[] = [];
  for (const piece of a.overflowing) {
    for (const other of [b, ...b.overflowing]) overflowing.push(join({ ...piece, overflowing: [] }, bare(other)));
  }
  for (const other of b.overflowing) overflowing.push(join(bare(a), other));
  return {
    ids: concat(a.ids, b.ids),
    typeIds: concat(a.typeIds, b.typeIds),
    attentionMask: concat(a.attentionMask, b.attentionMask),
    specialTokensMask: concat(a.specialTokensMask, b.specialTokensMask),
    offsets: concat(a.offsets, b.offsets),
    tokens: [...a.tokens, ...b.tokens],
    words: concat(a.words, b.words),
    overflowing,
  };
}

function bare(encoding: Encoding): Encoding {
  return { ...encoding, overflowing: [] };
}

export interface PadToken {
  id: number;
  typeId: number;
  token: string;
}

/** The encoding and all that overflowed, padded to `length` tokens. */
export function pad(encoding: Encoding, length: number, padding: PadToken, side: Side): Encoding {
  const overflowing = encoding.overflowing.map((piece) => pad(piece, length, padding, side));
  const missing = length - encoding.ids.length;
  if (missing <= 0) return { ...encoding, overflowing };
  const tokens = new Array<string>(missing).fill(padding.token);
  const filler = makeEncoding(
    new Int32Array(missing).fill(padding.id),
    new Int32Array(2 * missing),
    tokens,
    padding.typeId,
  );
  filler.attentionMask.fill(0);
  const padded = side === "right" ? join(bare(encoding), filler) : join(filler, bare(encoding));
  return { ...padded, overflowing };
}
