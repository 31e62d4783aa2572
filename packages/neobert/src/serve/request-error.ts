// What a client reads when its request is refused: one table of kinds with their statuses, and the body of the route's family,
// in which clients of OpenAI and of Text Embeddings Inference find the same `message`, `code` and `type`. Errors of the library are sentences for its caller, so those about
// arguments go out as they are, shortened; anything else is ours, and says nothing of the inside.

import { shortened } from "../files/checked.js";

/** Kind -> status, OpenAI's type, Text Embeddings Inference's type. */
const kinds = {
  invalid: [422, "invalid_request_error", "Validation"],
  empty: [400, "invalid_request_error", "Empty"],
  malformed: [400, "invalid_request_error", "Validation"],
  unauthorized: [401, "authentication_error", "Unauthorized"],
  notFound: [404, "invalid_request_error", "NotFound"],
  wrongMethod: [405, "invalid_request_error", "Validation"],
  tooLarge: [413, "invalid_request_error", "Validation"],
  wrongMedia: [415, "invalid_request_error", "Validation"],
  wrongModel: [424, "invalid_request_error", "Backend"],
  failed: [424, "server_error", "Backend"],
  overloaded: [429, "rate_limit_error", "Overloaded"],
  dropped: [499, "invalid_request_error", "Dropped"],
  internal: [500, "server_error", "Internal"],
  dead: [500, "server_error", "Unhealthy"],
  unhealthy: [503, "server_error", "Unhealthy"],
  late: [503, "server_error", "Overloaded"],
} as const satisfies Record<string, readonly [number, string, string]>;

export type ErrorKind = keyof typeof kinds;
/** Whose contract a route keeps, which decides the status of an invalid body; a "plain" one's error is a string. */
export type Family = "tei" | "openai" | "plain";

/** Characters of a message that goes out, with the dots that follow 200: what it repeats of the request ends there. */
export const MOST_REPEATED = 197;
/** Seconds until a client may ask again, at least. */
const RETRY_SECONDS = 1;

export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly kind: ErrorKind;
  /** Field of the body that is wrong. */
  readonly param: string | null;
  /** Milliseconds until the request may fare better, where the queue knows. */
  readonly retryMs: number;

  constructor(
    kind: ErrorKind,
    message: string,
    { param = null, cause, retryMs = 0 }: { param?: string | null; cause?: unknown; retryMs?: number } = {},
  ) {
    super(message, { cause });
    this.kind = kind;
    this.param = param;
    this.retryMs = retryMs;
  }
}

/** Any error as one that can be answered. */
export function requestErrorOf(error: unknown, signal: AbortSignal): RequestError {
  if (error instanceof RequestError) return error;
  if (signal.aborted) return new RequestError("dropped", "the client has gone away", { cause: error });
  if (!(error instanceof Error)) return new RequestError("internal", "internal error", { cause: error });
  const {
    name,
    message,
    cause,
    retryMs = 0,
  } = error as Error & { cause?: Error & { fatal?: boolean }; retryMs?: number };
  const refusal = { cause: error, retryMs };
  if (name === "QueueFullError") return new RequestError("overloaded", "Model is overloaded", refusal);
  if (name === "DeadlineError") return new RequestError("late", "Model is overloaded: no answer in time", refusal);
  if (cause?.fatal) return new RequestError("dead", "the engine has stopped and starts anew", { cause: error });
  if (cause) return new RequestError("failed", shortened(message, MOST_REPEATED), { cause: error });
  // Of the arguments: `where: expected WHAT, got WHAT`.
  if (/^\w+: expected /.test(message))
    return new RequestError("invalid", shortened(message, MOST_REPEATED), { cause: error });
  return new RequestError("internal", "internal error", { cause: error });
}

function statusOf({ kind }: RequestError, family: Family): number {
  return kind === "invalid" && family !== "tei" ? 400 : kinds[kind][0];
}

export function errorResponse(error: RequestError, family: Family): Response {
  const { kind, message, param, retryMs } = error;
  const [, openaiType, type] = kinds[kind];
  const status = statusOf(error, family);
  const code = kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const flat = { message, code: status, type };
  const bodies = {
    // A string, since Hugging Face's clients put it into their own message as it is.
    tei: { error: message, error_type: type, ...flat },
    openai: { error: { message, type: openaiType, param, code }, ...flat },
    plain: { error: message },
  };
  const headers: Record<string, string> = {};
  if (status === 429 || status === 503) {
    headers["retry-after"] = `${Math.max(RETRY_SECONDS, Math.ceil(retryMs / 1000))}`;
  }
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return Response.json(bodies[family], { status, headers });
}
