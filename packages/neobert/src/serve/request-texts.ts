// The texts of a request before they go to a model: token ids made texts, their number bounded, and those that are too long
// refused where the request does not want them cut.

import { setImmediate } from "node:timers/promises";
import type { LoadedModel } from "../encoder/loaded-model.js";
import { RequestError } from "./request-error.js";
import type { Context } from "./route.js";

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

export type Input = string | number[];
export type Pair = { text: string; pair: string };

/** A single input or a list as a list; `isSingle` tells which it was. */
export function listOf(input: string | readonly number[] | readonly Input[]): { list: Input[]; isSingle: boolean } {
  if (typeof input === "string") return { list: [input], isSingle: true };
  if (input.length > 0 && input.every((one) => typeof one === "number")) {
    return { list: [input as number[]], isSingle: true };
  }
  return { list: [...(input as Input[])], isSingle: false };
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

/** Inputs as texts: lists of ids are decoded, without special tokens, by the model's own tokenizer. */
export async function textsOf(
  field: string,
  inputs: readonly Input[],
  model: LoadedModel,
  context: Context,
): Promise<string[]> {
  checkCount(field, inputs.length, context);
  checkIds(
    field,
    inputs.filter((input) => typeof input !== "string"),
  );
  const { tokenizer } = model;
  const slices = new Slices(context.signal);
  const texts: string[] = [];
  for (const input of inputs) {
    if (typeof input === "string") {
      texts.push(input);
      continue;
    }
    const foreign = input.find((id) => id > tokenizer.maxId);
    if (foreign !== undefined || context.settings.tokenIds === "refuse") {
      const got = foreign === undefined ? "a list of token ids" : `token id ${foreign} of ${tokenizer.maxId} at most`;
      const way = "Send texts. LangChain does with check_embedding_ctx_length=False.";
      throw new RequestError("invalid", `\`${field}\`: expected texts or this model's token ids, got ${got}\n${way}`, {
        param: field,
      });
    }
    await slices.pause();
    texts.push(tokenizer.decode(input, { skipSpecialTokens: true }));
  }
  checkCharacters(field, texts);
  return texts;
}

/** Throws where lists of ids are longer than a request's work may be. */
export function checkIds(field: string, lists: readonly (readonly number[])[]): void {
  const count = lists.reduce((sum, { length }) => sum + length, 0);
  if (count > MOST_IDS) throw tooLarge(field, `${MOST_IDS} token ids`, count);
  const longest = lists.reduce((most, { length }) => Math.max(most, length), 0);
  if (longest > MOST_TEXT_IDS) throw tooLarge(field, `${MOST_TEXT_IDS} token ids a text`, longest);
}

/** Throws where a text is too long to be read at all, or pairs are together. */
export function checkCharacters(field: string, texts: readonly (string | Pair)[], most = MOST_CHARACTERS): void {
  let paired = 0;
  for (const input of texts) {
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
function countOf(model: LoadedModel, input: string | Pair): number {
  if (typeof input === "string") return model.countTokens(input);
  return model.tokenizer.encode(input.text, { pair: input.pair, padding: false, truncation: false }).ids.length;
}

/**
 * Sum of the tokens of texts, as they will be computed. Throws where one is longer than the model reads and is not to be
 * cut, or is to be cut on the side that the model's tokenizer does not cut.
 */
export async function measure(
  inputs: readonly (string | Pair)[],
  model: LoadedModel,
  { truncate, truncation_direction }: Truncation,
  context: Context,
  tooLong = (tokens: number, most: number) => `\`inputs\` must have less than ${most} tokens. Given: ${tokens}`,
): Promise<number> {
  checkCharacters("inputs", inputs);
  const side = model.tokenizer.truncationSide;
  if (truncation_direction && truncation_direction.toLowerCase() !== side) {
    const message = `truncation_direction: expected ${side}, the side that this model's tokenizer cuts, got ${truncation_direction}`;
    throw new RequestError("invalid", message, { param: "truncation_direction" });
  }
  const most = mostTokens(model, context);
  const mayCut = truncate ?? context.settings.autoTruncate;
  let sum = 0;
  const slices = new Slices(context.signal);
  for (const input of inputs) {
    await slices.pause();
    const tokens = countOf(model, input);
    if (tokens > most && !mayCut) throw new RequestError("invalid", tooLong(tokens, most));
    sum += Math.min(tokens, most);
  }
  return sum;
}

/** The numbers, if each is one that JSON can say. */
export function finite<T extends ArrayLike<number>>(what: string, values: T): T {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) throw new RequestError("failed", `${what} is ${values[i]}`);
  }
  return values;
}
