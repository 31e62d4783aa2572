// Vectors of a request's texts, as every contract that embeds wants them: of length 1 unless it says otherwise, in the
// order of the texts.

import type { Embeddings, Encoder } from "../encoder/encoder.js";
import type { Rows } from "../vectors/rows.js";
import { finite, measure, type Truncation } from "./request-texts.js";
import type { Context } from "./route.js";

export interface EmbedWishes extends Truncation {
  normalize?: boolean;
  dimensions?: number | null | undefined;
  prompt_name?: string | null | undefined;
}

/** The vectors and the sum of the tokens they were computed from. */
export async function embedTexts(
  texts: readonly string[],
  encoder: Encoder,
  wishes: EmbedWishes,
  context: Context,
  tooLong?: (tokens: number, most: number) => string,
): Promise<{ vectors: Embeddings; tokens: number }> {
  const { normalize = true, dimensions, prompt_name } = wishes;
  const mayCut = wishes.truncate ?? context.settings.autoTruncate;
  if (!mayCut || wishes.truncation_direction) {
    const prompt =
      prompt_name != null && Object.hasOwn(encoder.prompts, prompt_name) ? encoder.prompts[prompt_name] : "";
    await measure(
      texts.map((text) => prompt + text),
      encoder,
      wishes,
      context,
      tooLong,
    );
  }
  const vectors = await encoder.encode(texts, {
    ...context.call,
    normalize,
    ...(dimensions != null && { dimensions }),
    ...(prompt_name != null && { promptName: prompt_name }),
  });
  finite("a vector's number", vectors.data);
  const tokens = vectors.tokenCounts.reduce((sum, count) => sum + count, 0);
  context.count({ inputs: texts.length, tokens });
  return { vectors, tokens };
}

/** The rows, for json-text.ts. */
export function rowsOf(vectors: Rows<Float32Array>): Float32Array[] {
  return Array.from({ length: vectors.length }, (_, i) => vectors.row(i));
}
