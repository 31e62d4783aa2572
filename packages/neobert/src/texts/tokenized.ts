// Many texts as token ids, one after another in one array, made in slices of a few milliseconds so that the caller's
// event loop stays free; of all calls, one has a slice in a turn. Single texts go through the tokenizer's fast path, which
// gives ids alone; what the template puts around a text is learnt once from an example.

import { type Encoding, IdBuffer, makeEncoding, type Tokenizer } from "../tokenizer/index.js";
import { isLong, type LongTexts, type PackedTexts } from "./long-texts.js";
import {
  isText,
  isTokenIds,
  kindOf,
  quoted,
  type TextInput,
  type TokenIds,
  type TokenizeOptions,
} from "./text-input.js";

const SLICE_MS = 2;
/** A call of so few texts does not wait for a turn of its own. */
const FEW_TEXTS = 16;

/** Texts with their special tokens, cut to the greatest length. */
export class TokenizedTexts {
  readonly #ids: IdBuffer;
  /** Segments, where some text has others than 0. */
  readonly #types: IdBuffer | undefined;
  /** Where each text begins, and where the last ends. */
  readonly #starts: number[];

  constructor(ids: IdBuffer, types: IdBuffer | undefined, starts: number[]) {
    this.#ids = ids;
    this.#types = types;
    this.#starts = starts;
  }

  /** The ids of ready encodings. */
  static of(encodings: readonly Encoding[]): TokenizedTexts {
    const total = encodings.reduce((sum, { ids }) => sum + ids.length, 0);
    const [ids, types] = [new IdBuffer(total), new IdBuffer(total)];
    const starts = [0];
    for (const encoding of encodings) {
      ids.ids.set(encoding.ids, ids.length);
      types.ids.set(encoding.typeIds, ids.length);
      ids.length += encoding.ids.length;
      starts.push(ids.length);
    }
    return new TokenizedTexts(ids, types.ids.some((type) => type !== 0) ? types : undefined, starts);
  }

  get length(): number {
    return this.#starts.length - 1;
  }

  tokenCount(text: number): number {
    return this.#starts[text + 1]! - this.#starts[text]!;
  }

  /** The ids of one text, a view. */
  ids(text: number): Int32Array {
    return this.#ids.ids.subarray(this.#starts[text]!, this.#starts[text + 1]!);
  }

  /** The texts named by `order`, packed. */
  pack(order: readonly number[]): PackedTexts {
    const cuSeqlens = new Int32Array(order.length + 1);
    for (let i = 0; i < order.length; i++) cuSeqlens[i + 1] = cuSeqlens[i]! + this.tokenCount(order[i]!);
    // Id by id: most texts are short, and a view of each would cost more.
    const gather = ({ ids }: IdBuffer) => {
      const packed = new Int32Array(cuSeqlens.at(-1)!);
      let length = 0;
      for (const text of order) {
        const end = this.#starts[text + 1]!;
        for (let at = this.#starts[text]!; at < end; at++) packed[length++] = ids[at]!;
      }
      return packed;
    };
    return { ids: gather(this.#ids), cuSeqlens, ...(this.#types && { tokenTypes: gather(this.#types) }) };
  }
}

/** Turns texts into ids by one tokenizer; see `tokenizeAll`. */
export class TextTokenizer {
  readonly tokenizer: Tokenizer;
  readonly #before: Int32Array;
  readonly #after: Int32Array;
  readonly #cutsLeft: boolean;
  readonly #fast: boolean;
  readonly #vocabulary: number;
  readonly #rows: number | undefined;
  readonly #longTexts: LongTexts | undefined;

  /**
   * `rows` is the number of tokens that the model knows: texts with others are refused. Without `longTexts` long texts are
   * tokenized here like others.
   */
  constructor(tokenizer: Tokenizer, rows: number = Number.POSITIVE_INFINITY, longTexts?: LongTexts) {
    this.tokenizer = tokenizer;
    this.#vocabulary = Math.min(rows, tokenizer.maxId + 1);
    this.#rows = tokenizer.maxId >= rows ? rows : undefined;
    this.#longTexts = longTexts;
    const { ids, specialTokensMask, typeIds } = tokenizer.encode("a", { padding: false, truncation: false });
    const first = specialTokensMask.indexOf(0);
    const last = specialTokensMask.lastIndexOf(0);
    this.#before = ids.slice(0, first);
    this.#after = ids.slice(last + 1);
    this.#cutsLeft = tokenizer.truncationSide === "left";
    this.#fast = first >= 0 && (!tokenizer.givesSegments || typeIds.every((type) => type === 0));
  }

  /** Tokens that stand before each text. */
  get leading(): number {
    return this.#before.length;
  }

  /** Number of tokens of a text, special ones included, nothing cut. */
  count(text: string | TokenIds): number {
    if (typeof text !== "string") return this.#withSpecial(text, { where: "countTokens" }).length;
    return this.#before.length + this.tokenizer.encodeIds(text).length + this.#after.length;
  }

  /** As `count`, but a long text's tokens are counted off this thread. Rejects when aborted. */
  async countAsync(text: string | TokenIds, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    if (typeof text !== "string" || !isLong(text) || !this.#longTexts?.isSame) return this.count(text);
    const options = { where: "countTokens", maxTokens: Number.MAX_SAFE_INTEGER, signal };
    return (await this.#longTexts.tokenize("packed", text, options)).ids.length;
  }

  /**
   * Tokenizes texts, cut to `maxTokens`; token ids stay as they are.
   * Rejects where an element is no text, or an id not of the vocabulary, and when `signal` is aborted.
   */
  async tokenizeAll(texts: readonly (TextInput | TokenIds)[], options: TokenizeOptions): Promise<TokenizedTexts> {
    const { maxTokens, prepare = (text) => text } = options;
    const ids = new IdBuffer(64 * texts.length);
    const types = texts.some((text) => typeof text !== "string") ? new IdBuffer(64 * texts.length) : undefined;
    const starts = [0];
    const append = (own: Int32Array, ownTypes: Int32Array | undefined) => {
      for (const id of own) ids.push(id);
      if (types) for (let i = 0; i < own.length; i++) types.push(ownTypes?.[i] ?? 0);
      starts.push(ids.length);
      return [own];
    };
    await this.#inSlices(texts, options, {
      ids: (input) => append(this.#withSpecial(input, options), undefined),
      short: (input) => {
        if (typeof input !== "string" || !this.#fast) {
          const encoding = this.#encode(input, options);
          return append(encoding.ids, encoding.typeIds);
        }
        this.#append(prepare(input), maxTokens, ids);
        while (types && types.length < ids.length) types.push(0);
        return [ids.ids.subarray(starts[starts.push(ids.length) - 2]!, ids.length)];
      },
      long: async (input, longTexts) => {
        const packed = await longTexts.tokenize("packed", input, options);
        return append(packed.ids, packed.tokenTypes);
      },
    });
    const segments = types?.ids.subarray(0, types.length).some((type) => type !== 0) ? types : undefined;
    return new TokenizedTexts(ids, segments, starts);
  }

  /** As `tokenizeAll`, with tokens and offsets (in UTF-16 units of the prepared text). */
  async encodeAll(texts: readonly (TextInput | TokenIds)[], options: TokenizeOptions): Promise<Encoding[]> {
    const encodings: Encoding[] = [];
    const take = (encoding: Encoding) => {
      encodings.push(encoding);
      return [encoding, ...encoding.overflowing].map(({ ids }) => ids);
    };
    await this.#inSlices(texts, options, {
      ids: (input) => {
        const ids = this.#withSpecial(input, options);
        const tokens = Array.from(ids, (id) => this.tokenizer.idToToken(id) ?? "");
        return take(makeEncoding(ids, new Int32Array(2 * ids.length), tokens, 0, new Int32Array(ids.length)));
      },
      short: (input) => take(this.#encode(input, options)),
      long: async (input, longTexts) => take(await longTexts.tokenize("encoding", input, options)),
    });
    return encodings;
  }

  async #inSlices(
    texts: readonly (TextInput | TokenIds)[],
    { where, maxTokens, signal, firstIndex = 0, placeOf, prepare = (text) => text, needsTokens }: TokenizeOptions,
    take: {
      ids(input: TokenIds): Int32Array[];
      short(input: TextInput): Int32Array[];
      long(input: TextInput, longTexts: LongTexts): Promise<Int32Array[]>;
    },
  ): Promise<void> {
    const least = this.#before.length + this.#after.length;
    if (!Number.isInteger(maxTokens) || maxTokens <= least) {
      throw new RangeError(
        `${where}: expected \`maxTokens\` above the ${least} special tokens, got ${maxTokens}\nAsk for more, or leave it out.`,
      );
    }
    // The first of them is still of the turn in which the caller made room for the results.
    for (let turn = 0; texts.length > FEW_TEXTS && turn < 2; turn++) await ownTurn();
    let sliceEnd = performance.now() + SLICE_MS;
    for (const [i, input] of texts.entries()) {
      if (performance.now() > sliceEnd) {
        await ownTurn();
        sliceEnd = performance.now() + SLICE_MS;
      }
      signal?.throwIfAborted();
      if (isTokenIds(input)) {
        take.ids(input);
        continue;
      }
      if (!isText(input)) {
        throw new TypeError(`${where}: expected a text at index ${firstIndex + i}, got ${kindOf(input)}`);
      }
      let pieces: Int32Array[];
      if (this.#longTexts && isLong(input) && this.#longTexts.isSame) {
        const prepared =
          typeof input === "string" ? prepare(input) : { text: prepare(input.text), pair: prepare(input.pair) };
        pieces = await take.long(prepared, this.#longTexts);
        sliceEnd = 0;
      } else pieces = take.short(input);
      const named = () => placeOf?.(i) ?? `${where}: text ${firstIndex + i}`;
      for (const ids of pieces) this.checkRows(ids, () => `${named()} (${quoted(input)})`);
      if (needsTokens && pieces[0]!.length === 0) {
        throw new Error(`${named()}: expected a text that has tokens, got ${quoted(input)}\nLeave it out of the data.`);
      }
    }
    if (texts.length > FEW_TEXTS) await ownTurn(); // what the caller does with so many is not of the last slice's turn
  }

  /** Throws, naming the token and what `where` calls the text, where the model knows no token of that id. */
  checkRows(ids: Int32Array, where: () => string): void {
    const rows = this.#rows;
    const foreign = rows === undefined ? undefined : ids.find((id) => id >= rows);
    if (foreign === undefined) return;
    throw new Error(
      `${where()}: expected tokens with ids below the model's vocab_size ${rows}, got ${this.tokenizer.idToToken(foreign)}, id ${foreign}\n` +
        "The tokenizer has more tokens than the model: take the one that it was trained with.",
    );
  }

  #encode(input: TextInput, options: TokenizeOptions): Encoding {
    const { maxTokens, stride, truncation = "longestFirst", prepare = (text) => text } = options;
    const { text, pair } = typeof input === "string" ? { text: input, pair: undefined } : input;
    const encoding = this.tokenizer.encode(prepare(text), {
      maxLength: maxTokens,
      truncation,
      padding: false,
      offsetUnit: "utf16",
      ...(pair !== undefined && { pair: prepare(pair) }),
      ...(stride !== undefined && { stride }),
    });
    if (stride === undefined) encoding.overflowing = []; // a long text's would be many, and nobody asked for them
    if (!this.tokenizer.givesSegments) for (const piece of [encoding, ...encoding.overflowing]) piece.typeIds.fill(0);
    return encoding;
  }

  /** Ids with what the template puts around a text, behind the prompt, cut to the greatest length. */
  #withSpecial(
    { ids }: TokenIds,
    options: Pick<TokenizeOptions, "where" | "prepare"> & { maxTokens?: number },
  ): Int32Array {
    const { where, maxTokens = Number.POSITIVE_INFINITY, prepare } = options;
    const foreign = Array.prototype.find.call(ids, (id) => !(Number.isInteger(id) && id >= 0 && id < this.#vocabulary));
    if (foreign !== undefined) {
      const way = "Were they made by another model's tokenizer? Give texts.";
      throw new RangeError(`${where}: expected token ids from 0 to ${this.#vocabulary - 1}, got ${foreign}\n${way}`);
    }
    if (!this.#fast)
      throw new Error(`${where}: expected texts, as the tokenizer gives segments to them, got token ids`);
    const [before, after] = [this.#before, this.#after];
    const end = ids.length - after.length;
    const hasSpecial =
      end >= before.length && before.every((id, i) => ids[i] === id) && after.every((id, i) => ids[end + i] === id);
    const own = Array.prototype.slice.call(ids, ...(hasSpecial ? [before.length, end] : []));
    const room = maxTokens - before.length - after.length;
    const text = [...(prepare ? this.tokenizer.encodeIds(prepare("")) : []), ...own];
    const start = this.#cutsLeft ? Math.max(0, text.length - room) : 0;
    return Int32Array.from([...before, ...text.slice(start, start + room), ...after]);
  }

  #append(text: string, maxTokens: number, ids: IdBuffer): void {
    for (const id of this.#before) ids.push(id);
    const start = ids.length;
    this.tokenizer.encodeInto(text, ids);
    const room = maxTokens - this.#before.length - this.#after.length;
    if (ids.length - start > room) {
      if (this.#cutsLeft) ids.ids.copyWithin(start, ids.length - room, ids.length);
      ids.length = start + room;
    }
    for (const id of this.#after) ids.push(id);
  }
}

/** Those that wait for a turn of the event loop in which no other call tokenizes. */
const waiters: (() => void)[] = [];

function ownTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiters.push(resolve) === 1) setImmediate(giveTurn);
  });
}

function giveTurn(): void {
  waiters.shift()!();
  if (waiters.length > 0) setImmediate(giveTurn);
}
