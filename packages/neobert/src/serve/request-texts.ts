// The texts of a request before they go to a model: their number and length bounded, and those that are too long refused
// where the request does not want them cut.

import { setImmediate } from "node:timers/promises";
import type { LoadedModel } from "../encoder/loaded-model.js";
import { RequestError } from "./request-error.js";
import type { Context } from "./route.js";
import { inputOfIds } from "./token-ids.js";

/** Characters of one text: a tokenizer reads it in one go. */
const MOST_CHARACTERS = 2 ** 20;
/** Characters of one text of a pair, and of all pairs: a query stands in each of its own. */
const MOST_PAIRED_CHARACTERS = 2 ** 18;
const MOST_PAIRS_CHARACTERS = 2 ** 23;
/** Token ids of a text, and of a request. */
const MOST_TEXT_IDS = 2 ** 16;
const MOST_IDS = 2 ** 20;
/** Milliseconds of counting before other requests have their turn. */
const SLICE_MS = 8;

/** As a body has it, and as a model takes it. */
export type Given = string | number[];
export type Input = string | { ids: readonly number[] };
export type Pair = { text: string; pair: string };

/** A single input or a list as a list. */
export function listOf(input: string | readonly number[] | readonly Given[]): Given[] {
  if (typeof input === "string") return [input];
  const isIds = input.length > 0 && input.every((one) => typeof one === "number");
  return isIds ? [input as number[]] : (input as Given[]);
}

/** Throws where there are none, or more than the server takes. */
export function checkCount(field: string, count: number, { settings }: Context): void {
  if (count === 0) throw new RequestError("empty", `\`${field}\` cannot be empty`, { param: field });
  const { maxClientBatchSize } = settings;
  if (count <= maxClientBatchSize) return;
  throw new RequestError("invalid", `batch size ${count} > maximum allowed batch size ${maxClientBatchSize}`, {
    param: field,
  });
}

/** Lets other requests have their turn where a slice is over. */
export class Slices {
  readonly #signal: AbortSignal;
  #end = performance.now() + SLICE_MS;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async pause(): Promise<void> {
    if (performance.now() < this.#end) return;
    await setImmediate();
    this.#signal.throwIfAborted();
    this.#end = performance.now() + SLICE_MS;
  }
}

/** What a request gives as what its model takes. Throws where there is nothing, too much, or ids that are not taken. */
export async function inputsOf(
  field: string,
  given: string | readonly number[] | readonly Given[],
  model: LoadedModel,
  context: Context,
): Promise<Input[]> {
  const list = listOf(given);
  checkCount(field, list.length, context);
  checkIds(
    field,
    list.filter((input) => typeof input !== "string"),
  );
  const slices = new Slices(context.signal);
  const inputs: Input[] = [];
  for (const one of list) {
    inputs.push(typeof one === "string" ? one : await inputOfIds(field, one, model, context.settings));
    await slices.pause();
  }
  checkCharacters(field, inputs);
  return inputs;
}

/** Throws where lists of ids are longer than a request's work may be. */
export function checkIds(field: string, lists: readonly (readonly number[])[]): void {
  const count = lists.reduce((sum, { length }) => sum + length, 0);
  if (count > MOST_IDS) throw tooLarge(field, `${MOST_IDS} token ids`, count);
  const longest = lists.reduce((most, { length }) => Math.max(most, length), 0);
  if (longest > MOST_TEXT_IDS) throw tooLarge(field, `${MOST_TEXT_IDS} token ids a text`, longest);
}

/** Throws where a text is too long to be read at all, or pairs are together. */
export function checkCharacters(field: string, texts: readonly (Input | Pair)[], most = MOST_CHARACTERS): void {
  let paired = 0;
  for (const input of texts) {
    if (typeof input !== "string" && "ids" in input) continue; // checkIds has seen it
    const isPair = typeof input !== "string";
    const longest = isPair ? Math.max(input.text.length, input.pair.length) : input.length;
    const limit = isPair ? MOST_PAIRED_CHARACTERS : most;
    if (longest > limit) throw tooLarge(field, `${limit} characters a text`, longest);
    if (isPair) paired += input.text.length + input.pair.length;
  }
  if (paired > MOST_PAIRS_CHARACTERS) throw tooLarge(field, `${MOST_PAIRS_CHARACTERS} characters of pairs`, paired);
}

function tooLarge(field: string, expected: string, got: number): RequestError {
  return new RequestError("tooLarge", `\`${field}\`: expected at most ${expected}, got ${got}`, { param: field });
}

export interface Truncation {
  truncate?: boolean | null | undefined;
  truncation_direction?: string | null | undefined;
}

/** Greatest number of tokens of a text. */
export function mostTokens(model: LoadedModel, { settings, call }: Context): number {
  const limits = [settings.maxTokens, call.maxTokens].filter((limit) => limit !== undefined);
  return Math.min(model.maxTokens, ...limits);
}

/** Tokens of a text or pair, nothing cut. */
async function countOf(model: LoadedModel, input: Input | Pair, prompt: string, signal: AbortSignal): Promise<number> {
  if (typeof input === "string") return model.countTokensAsync(prompt + input, signal);
  if ("ids" in input) return model.countTokens(input) + (prompt === "" ? 0 : model.tokenizer.encodeIds(prompt).length);
  return model.tokenizer.encode(input.text, { pair: input.pair, padding: false, truncation: false }).ids.length;
}

/** What a request's family says of a text that is too long, and what the call puts before each text. */
export interface Measuring {
  tooLong?: ((tokens: number, most: number) => string) | undefined;
  prompt?: string | undefined;
}

/** Tokens of each text, and how many of them are cut off. */
export interface Lengths {
  tokens: number[];
  cut: number[];
}

/**
 * The tokens of texts, as they will be computed. Throws where one is longer than the model reads and is not to be cut, or
 * is to be cut on the side that the model's tokenizer does not cut.
 */
export async function measure(
  inputs: readonly (Input | Pair)[],
  model: LoadedModel,
  { truncate, truncation_direction }: Truncation,
  context: Context,
  { tooLong = tooLongOf, prompt = "" }: Measuring = {},
): Promise<Lengths> {
  checkCharacters("inputs", inputs);
  const side = model.tokenizer.truncationSide;
  if (truncation_direction && truncation_direction.toLowerCase() !== side) {
    const message = `truncation_direction: expected ${side}, the side that this model's tokenizer cuts, got ${truncation_direction}`;
    throw new RequestError("invalid", message, { param: "truncation_direction" });
  }
  const most = mostTokens(model, context);
  const mayCut = truncate ?? context.settings.autoTruncate;
  const lengths: Lengths = { tokens: [], cut: [] };
  const slices = new Slices(context.signal);
  for (const input of inputs) {
    await slices.pause();
    const count = await countOf(model, input, prompt, context.signal);
    if (count > most && !mayCut) throw new RequestError("invalid", tooLong(count, most));
    lengths.tokens.push(Math.min(count, most));
    lengths.cut.push(Math.max(0, count - most));
  }
  return lengths;
}

function tooLongOf(tokens: number, most: number): string {
  return `\`inputs\` must have less than ${most} tokens. Given: ${tokens}`;
}

export function sumOf(numbers: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  return sum;
}

/** The numbers, if each is one that JSON can say. */
export function finite<T extends ArrayLike<number>>(what: string, values: T): T {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) throw new RequestError("failed", `${what} is ${values[i]}`);
  }
  return values;
}
