// How vLLM's bodies say that texts are to be cut, which OpenAI's and Jina's routes take too: `truncate_prompt_tokens`, a number
// of tokens, or `truncate`. Without either a text that is too long is refused in the words that OpenAI's clients look for.

import { z } from "zod";
import type { Truncation } from "./request-texts.js";
import type { Context } from "./route.js";

export const cut = {
  /** Greatest number of tokens; -1: as many as the model reads. */
  truncate_prompt_tokens: z.int().min(-1).nullish(),
  truncate: z.boolean().nullish(),
  truncation_side: z.enum(["left", "right"]).nullish(),
};

interface Cut {
  truncate_prompt_tokens?: number | null | undefined;
  truncate?: boolean | null | undefined;
  truncation_side?: "left" | "right" | null | undefined;
}

/** The truncation of a request; `otherwise` where it says nothing. */
export function cutOf(body: Cut, otherwise = false): Truncation & { maxTokens: number | undefined } {
  const { truncate_prompt_tokens: most, truncation_side } = body;
  return {
    truncate: body.truncate ?? (most != null || otherwise),
    truncation_direction: truncation_side,
    maxTokens: most != null && most > 0 ? most : undefined,
  };
}

/** The calls of a request cut to what it asks for. */
export function withCut(context: Context, maxTokens: number | undefined, longest: number): Context {
  if (maxTokens === undefined) return context;
  return { ...context, call: { ...context.call, maxTokens: Math.min(maxTokens, context.call.maxTokens ?? longest) } };
}

export function tooLong(tokens: number, most: number): string {
  return (
    `This model's maximum context length is ${most} tokens, however you requested ${tokens} tokens ` +
    `(${tokens} in your prompt; 0 for the completion). Please reduce your prompt; or completion length.`
  );
}
