// Vectors of a request's texts, as every contract that embeds wants them: of length 1 unless it says otherwise, in the
// order of the texts.

import type { Embeddings, Encoder, TokenOptions, TokenVectors } from "../encoder/encoder.js";
import type { Rows } from "../vectors/rows.js";
import { RequestError } from "./request-error.js";
import {
  checkCharacters,
  finite,
  type Input,
  type Measuring,
  measure,
  sumOf,
  type Truncation,
} from "./request-texts.js";
import type { Context } from "./route.js";

/** Numbers of one answer: a JSON text of about 100 MB. */
const MOST_NUMBERS = 2 ** 23;
/** Characters of a text whose tokens have a vector each. */
const MOST_CHARACTERS = 2 ** 18;

type Prompt = Pick<TokenOptions, "prompt" | "promptName" | "role">;

export interface EmbedWishes extends Truncation {
  normalize?: boolean;
  dimensions?: number | null | undefined;
  prompt_name?: string | null | undefined;
  /** What the texts are in a search, where the request has a word for it. */
  role?: "query" | "document" | undefined;
  /** Whether the answer says of each text how long it was. */
  report?: boolean;
}

/** Tokens that a text was computed from, and how many were cut off. */
export interface TextReport {
  tokens: number;
  cut: number;
}

interface Embedded {
  vectors: Embeddings;
  /** Sum of the tokens. */
  tokens: number;
  report?: TextReport[];
}

export async function embedTexts(
  texts: readonly Input[],
  encoder: Encoder,
  wishes: EmbedWishes,
  context: Context,
  tooLong?: Measuring["tooLong"],
): Promise<Embedded> {
  const { normalize = true, dimensions, report = false } = wishes;
  const prompting = promptOf(wishes, encoder, context);
  const mayCut = wishes.truncate ?? context.settings.autoTruncate;
  const isMeasured = !mayCut || wishes.truncation_direction || report;
  const lengths =
    isMeasured &&
    (await measure(texts, encoder, wishes, context, { tooLong, prompt: encoder.promptFor("encode", prompting) }));
  const vectors = await encoder.encode(texts, {
    ...context.call,
    ...prompting,
    normalize,
    ...(dimensions != null && { dimensions }),
  });
  finite("a vector's number", vectors.data);
  context.count(vectors.tokenCounts);
  const embedded: Embedded = { vectors, tokens: sumOf(vectors.tokenCounts) };
  if (report && lengths) {
    embedded.report = lengths.cut.map((cut, text) => ({ tokens: vectors.tokenCounts[text]!, cut }));
  }
  return embedded;
}

/** The vectors of each text's tokens, as the model gives them, and the number of tokens. */
export async function embedTokens(
  texts: readonly Input[],
  encoder: Encoder,
  wishes: EmbedWishes,
  context: Context,
  tooLong?: Measuring["tooLong"],
): Promise<{ vectors: TokenVectors[]; tokens: number }> {
  checkCharacters("inputs", texts, MOST_CHARACTERS);
  const prompting = promptOf(wishes, encoder, context);
  const prompt = encoder.promptFor("tokens", prompting);
  const lengths = await measure(texts, encoder, wishes, context, { tooLong, prompt });
  const tokens = sumOf(lengths.tokens);
  const numbers = tokens * encoder.config.hidden_size;
  if (numbers > MOST_NUMBERS) {
    throw new RequestError("tooLarge", `expected an answer of at most ${MOST_NUMBERS} numbers, got ${numbers}`);
  }
  const vectors = await encoder.tokens(texts, { ...context.call, ...prompting });
  for (const { data } of vectors) finite("a vector's number", data);
  context.count(lengths.tokens);
  return { vectors, tokens };
}

/** The prompt that a request names; else that of its role, where the model has one; else the server's. */
export function promptOf(
  { prompt_name, role }: Pick<EmbedWishes, "prompt_name" | "role">,
  encoder: Encoder,
  { settings }: Context,
): Prompt {
  if (prompt_name != null) return { promptName: prompt_name };
  if (role !== undefined && encoder.promptFor("encode", { role }) !== "") return { role };
  const { defaultPrompt: prompt, defaultPromptName: promptName } = settings;
  return prompt !== undefined ? { prompt } : promptName !== undefined ? { promptName } : {};
}

/** The rows, for json-text.ts. */
export function rowsOf(vectors: Rows<Float32Array>): Float32Array[] {
  return Array.from({ length: vectors.length }, (_, i) => vectors.row(i));
}
