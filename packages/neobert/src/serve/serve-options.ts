// What can be said of a server, with its defaults: the same for `createHandler`, `serve` and the command.

import { z } from "zod";

const whole = (least: number) => z.number().int().min(least);

export const serveOptions = z.strictObject({
  /** Keys that open the routes, any one of them; none: open to all. */
  apiKeys: z.array(z.string()).default([]),
  /** Most bytes of a body. */
  payloadLimit: whole(1).default(16_000_000),
  /** Most texts of a request. */
  maxClientBatchSize: whole(1).default(2048),
  /** Most requests at once; further ones get 429. */
  maxConcurrentRequests: whole(1).default(512),
  /** Milliseconds from a request's texts to their answer, after which it gets 503; 0: no such limit. */
  queueTimeoutMs: whole(0).default(300_000),
  /** Whether texts that are too long are cut where the request does not say; OpenAI's routes refuse them then. */
  autoTruncate: z.boolean().default(true),
  /** Cuts texts to this many tokens; default: the model's. */
  maxTokens: whole(1).optional(),
  /** Lists of token ids as inputs: "own" are the model's, "cl100k" OpenAI's (as LangChain sends them), "refuse" answers 400. */
  tokenIds: z.enum(["own", "refuse", "cl100k"]).default("own"),
  /** A text to put before each one to embed, where the request names no prompt; or one of the model's own, by name. */
  defaultPrompt: z.string().optional(),
  defaultPromptName: z.string().optional(),
  /** Origins that a browser may call from; "*": any. Default none. */
  corsAllowOrigins: z.array(z.string()).default([]),
  /** Is given a record of each request. */
  log: z.custom<(record: RequestRecord) => void>((value) => typeof value === "function").optional(),
});

export type HandlerOptions = z.input<typeof serveOptions>;
export type HandlerSettings = z.output<typeof serveOptions>;

/** What is logged of a request. */
export interface RequestRecord {
  time: string;
  id: string;
  method: string;
  path: string;
  status: number;
  ms: number;
  model?: string;
  /** The trace that the request is of, as its header `traceparent` says. */
  trace?: string;
  /** Texts of the request, and their tokens. */
  inputs?: number;
  tokens?: number;
  error?: string;
  /** Where the error is ours. */
  stack?: string;
}

/** The options with their defaults. Throws naming the option that is wrong. */
export function settingsOf<T extends z.ZodType>(schema: T, options: z.input<T>): z.output<T> {
  const { data, error } = schema.safeParse(options);
  if (!error) return data;
  const { path, message } = error.issues[0]!;
  throw new RangeError(`serve: expected other options, got ${path.join(".") || "one"}: ${message}`);
}
