// The texts of a request before they go to a model: token ids made texts, their number bounded, and those that are too long
// refused where the request does not want them cut.

import { setImmediate } from "node:timers/promises";
import type { LoadedModel } from "../encoder/loaded-model.js";
import { RequestError } from "./request-error.js";
import type { Context } from "./route.js";

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

/** Inputs as texts: lists of ids are decoded, without special tokens, by the model's own tokenizer. */
export function textsOf(field: string, inputs: readonly Input[], model: LoadedModel, context: Context): string[] {
  checkCount(field, inputs.length, context);
  return inputs.map((input) => {
    if (typeof input === "string") return input;
    const { tokenizer } = model;
    const foreign = input.find((id) => id > tokenizer.maxId);
    if (foreign !== undefined || context.settings.tokenIds === "refuse") {
      const got = foreign === undefined ? "a list of token ids" : `token id ${foreign} of ${tokenizer.maxId} at most`;
      const way = "Send texts. LangChain does with check_embedding_ctx_length=False.";
      throw new RequestError("invalid", `\`${field}\`: expected texts or this model's token ids, got ${got}\n${way}`, {
        param: field,
      });
    }
    return tokenizer.decode(input, { skipSpecialTokens: true });
  });
}

export interface Truncation {
  truncate?: boolean | null | undefined;
  truncation_direction?: string | null | undefined;
}

/** Greatest number of tokens of a text. */
export function mostTokens(model: LoadedModel, { settings }: Pick<Context, "settings">): number {
  return Math.min(model.maxTokens, settings.maxTokens ?? Number.POSITIVE_INFINITY);
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
  const side = model.tokenizer.truncationSide;
  if (truncation_direction && truncation_direction.toLowerCase() !== side) {
    const message = `truncation_direction: expected ${side}, the side that this model's tokenizer cuts, got ${truncation_direction}`;
    throw new RequestError("invalid", message, { param: "truncation_direction" });
  }
  const most = mostTokens(model, context);
  const mayCut = truncate ?? context.settings.autoTruncate;
  let sum = 0;
  let sliceEnd = performance.now() + SLICE_MS;
  for (const input of inputs) {
    if (performance.now() > sliceEnd) {
      await setImmediate();
      context.signal.throwIfAborted();
      sliceEnd = performance.now() + SLICE_MS;
    }
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
