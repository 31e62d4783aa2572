// From a Web `Request` to a `Response`: the one way that every request goes. Route, key, readiness, number at once, body,
// schema, model, work, answer, log; what throws on the way is answered by request-error.ts. A request that is refused
// before its body is read costs nothing.

import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { CallOptions, LoadedModel } from "../encoder/loaded-model.js";
import { shortened } from "../files/checked.js";
import { ApiKeys } from "./api-keys.js";
import { readJson } from "./json-body.js";
import { jsonBytes } from "./json-text.js";
import { openApi } from "./open-api.js";
import { errorResponse, type Family, MOST_REPEATED, RequestError, requestErrorOf } from "./request-error.js";
import { RequestMetrics } from "./request-metrics.js";
import { sumOf } from "./request-texts.js";
import type { Context, Route } from "./route.js";
import { routes } from "./routes.js";
import {
  type HandlerOptions,
  type HandlerSettings,
  type RequestRecord,
  serveOptions,
  settingsOf,
} from "./serve-options.js";
import { modelsOf, partOf, pickModel, type ServedModel } from "./served-models.js";

/** Answers requests; never rejects. */
export type Handler = (request: Request) => Promise<Response>;
export type Models = readonly ServedModel[];

/**
 * A function that answers requests with these models; until they are loaded, with 503. Throws where an option is wrong.
 */
export function createHandler(models: Models | Promise<Models>, options: HandlerOptions = {}): Handler {
  const service = new Service(models, options);
  return (request) => service.answer(request);
}

/** Deaths in a row after which /health says so: an engine is not started anew for ever. */
const MOST_DEATHS = 3;
/** Bodies of the greatest size that are held at once. */
const MOST_PAYLOADS = 16;

/** A request on its way. */
interface Work {
  id: string;
  /** Of the body. */
  bytes: number;
  route?: Route;
  served?: ServedModel;
  /** Of each text that has been computed. */
  tokens?: ArrayLike<number>;
}

export class Service {
  readonly #settings: HandlerSettings;
  readonly #keys: ApiKeys;
  readonly #metrics: RequestMetrics;
  #models: Models = [];
  #isLoading = true;
  #isDraining = false;
  #inFlight = 0;
  /** Of all bodies whose requests are not answered yet. */
  #heldBytes = 0;
  /** Requests that each model is answering. */
  readonly #requestsOf = new Map<LoadedModel, number>();
  /** Requests in a row that an engine's death has ended. */
  #deaths = 0;
  #onIdle: (() => void) | undefined;

  constructor(models: Models | Promise<Models>, options: HandlerOptions = {}) {
    this.#settings = settingsOf(serveOptions, options);
    this.#keys = new ApiKeys(this.#settings.apiKeys);
    this.#metrics = new RequestMetrics(() => {
      const loaded = this.#models.flatMap(modelsOf);
      return {
        inFlight: this.#inFlight,
        waitingTexts: loaded.reduce((sum, model) => sum + model.waitingTexts, 0),
        waitingTokens: loaded.reduce((sum, model) => sum + model.waitingTokens, 0),
      };
    });
    const take = (loaded: Models) => {
      this.#models = loaded;
      this.#isLoading = false;
    };
    if (models instanceof Promise)
      models.then(take, () => {}); // the caller sees a rejection
    else take(models);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Refuses requests from now on; resolves when those that have begun are answered. */
  drain(): Promise<void> {
    this.#isDraining = true;
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#inFlight === 0) resolve();
    });
  }

  async answer(request: Request): Promise<Response> {
    const start = performance.now();
    const time = new Date().toISOString();
    const asked = request.headers.get("x-request-id") ?? "";
    const work: Work = { bytes: 0, id: /^[\w.-]{1,64}$/.test(asked) ? asked : randomUUID() };
    const { pathname } = new URL(request.url);
    let response: Response;
    let error: RequestError | undefined;
    this.#inFlight++;
    try {
      response = preflight(request, this.#settings) ?? (await this.#answer(request, pathname, work));
      if (work.tokens) this.#deaths = 0;
    } catch (thrown) {
      error = requestErrorOf(thrown, request.signal);
      if (error.kind === "dead") this.#deaths++;
      const family = work.route?.family ?? familyOf(pathname);
      response = errorResponse(error, family);
      if (error.kind === "wrongMethod") response.headers.set("allow", methodsOf(pathname).join(", "));
    } finally {
      this.#inFlight--;
      this.#heldBytes -= work.bytes;
      if (this.#inFlight === 0) this.#onIdle?.();
    }
    const ms = performance.now() - start;
    response.headers.set("x-request-id", work.id);
    response.headers.set("x-total-time", ms.toFixed(0));
    const { served, route } = work;
    if (work.tokens) {
      response.headers.set("x-compute-type", "cpu");
      response.headers.set("x-compute-time", ms.toFixed(0));
      response.headers.set("x-compute-tokens", `${sumOf(work.tokens)}`);
    }
    const origin = allowedOrigin(request, this.#settings);
    if (origin !== undefined) {
      response.headers.set("access-control-allow-origin", origin);
      response.headers.append("vary", "origin");
    }
    this.#metrics.end(route?.paths[0] ?? "none", ms / 1000, {
      ...(route?.task && { task: route.task }),
      ...(work.tokens && { tokens: work.tokens }),
      ...(error && { error: error.kind }),
    });
    const trace = /^[\da-f]{2}-([\da-f]{32})-/.exec(request.headers.get("traceparent") ?? "")?.[1];
    const record: RequestRecord = {
      time,
      id: work.id,
      method: request.method,
      path: shortened(pathname, MOST_REPEATED),
      status: response.status,
      ms: Math.round(ms * 10) / 10,
      ...(served && { model: served.name }),
      ...(trace && { trace }),
      ...(work.tokens && { inputs: work.tokens.length, tokens: sumOf(work.tokens) }),
      ...(error && { error: error.message.split("\n")[0]! }),
    };
    const { cause } = error ?? {};
    if (error?.kind === "internal") record.stack = cause instanceof Error ? (cause.stack ?? "") : String(cause);
    this.#settings.log?.(record);
    return response;
  }

  async #answer(request: Request, pathname: string, work: Work): Promise<Response> {
    const { method, signal, headers } = request;
    const path = pathname.length > 1 ? pathname.replace(/\/$/, "") : pathname;
    const rows = routes.filter(({ paths }) => paths.includes(path));
    if (rows.length === 0) {
      const way = "GET /openapi.json lists the routes.";
      throw new RequestError("notFound", `${shortened(pathname, 100)}: expected a route, got none of them\n${way}`);
    }
    const wanted = method === "HEAD" ? "GET" : method;
    const able = rows.filter((row) => row.method === wanted);
    if (able.length === 0) {
      throw new RequestError("wrongMethod", `${path}: expected ${methodsOf(path).join(" or ")}, got ${method}`);
    }
    work.route = able[0]!;
    if (!able[0]!.isOpen && !this.#keys.allows(headers.get("authorization"))) {
      const way = "Send the header authorization: Bearer KEY.";
      throw new RequestError("unauthorized", `expected one of the server's API keys, got none of them\n${way}`);
    }
    if (wanted === "GET") return this.#respond(able[0]!, undefined, request, work);
    this.#checkReady();
    if (this.#inFlight > this.#settings.maxConcurrentRequests) {
      throw new RequestError("overloaded", "Model is overloaded: too many requests at once");
    }
    const body = await readJson(request, this.#settings.payloadLimit, (bytes) => this.#hold(bytes, work));
    signal.throwIfAborted();
    const row = able.find(({ when }) => !when || when(body, this.#models))!;
    work.route = row;
    return this.#respond(row, body, request, work);
  }

  #hold(bytes: number, work: Work): void {
    work.bytes += bytes;
    this.#heldBytes += bytes;
    if (this.#heldBytes <= MOST_PAYLOADS * this.#settings.payloadLimit) return;
    throw new RequestError("overloaded", "Model is overloaded: too many large requests at once");
  }

  #checkReady(): void {
    if (this.#isDraining) throw new RequestError("unhealthy", "the server is shutting down");
    if (this.#isLoading) throw new RequestError("unhealthy", "the model is loading");
  }

  async #respond(row: Route, raw: unknown, { signal, headers }: Request, work: Work): Promise<Response> {
    const body = row.body ? checked(row.body, raw) : undefined;
    const name = (body as { model?: string | null } | undefined)?.model ?? undefined;
    const requestsOf = (model: LoadedModel) => this.#requestsOf.get(model) ?? 0;
    const picked = row.task && pickModel(this.#models, row.task, name, routesOf, requestsOf);
    if (picked) work.served = picked.served;
    // No turn passes between an instance's choice and its count.
    const model = picked?.model instanceof Promise ? await loadedFirst(picked.model) : picked?.model;
    const { queueTimeoutMs } = this.#settings;
    const call: CallOptions = { signal, wait: false, ...(queueTimeoutMs > 0 && { timeoutMs: queueTimeoutMs }) };
    const { maxTokens } = this.#settings;
    if (model && maxTokens !== undefined) call.maxTokens = Math.min(maxTokens, model.maxTokens);
    const context: Context = {
      models: this.#models,
      served: picked?.served ?? this.#models[0]!,
      settings: this.#settings,
      metrics: this.#metrics,
      id: work.id,
      headers,
      signal,
      isReady: !this.#isLoading && !this.#isDraining && this.#deaths < MOST_DEATHS,
      call,
      count: (tokens) => {
        work.tokens = tokens;
      },
      document: () => openApi(routes.filter(({ isHidden }) => !isHidden)),
    };
    const run = async () => row.run(body as never, model as never, context);
    if (model) this.#requestsOf.set(model, requestsOf(model) + 1);
    let answer: unknown;
    try {
      // The texts that an engine held when it died may go to the one that takes its place, once.
      answer = await run().catch((error) => {
        if (requestErrorOf(error, signal).kind !== "dead") throw error;
        return run();
      });
    } finally {
      if (model) this.#requestsOf.set(model, requestsOf(model) - 1);
    }
    if (answer instanceof Response) return answer;
    return new Response(await jsonBytes(answer, signal), { headers: { "content-type": "application/json" } });
  }
}

/** A model that is loaded for this request; that it cannot be is our fault, not the client's. */
async function loadedFirst(loading: Promise<LoadedModel>): Promise<LoadedModel> {
  try {
    return await loading;
  } catch (cause) {
    throw new RequestError("internal", "the model cannot be loaded", { cause });
  }
}

/** The body as its schema gives it. Throws naming the first field that is wrong. */
function checked(schema: z.ZodType, raw: unknown): unknown {
  const { data, error } = schema.safeParse(raw);
  if (!error) return data;
  const { path, message } = error.issues[0]!;
  const field = path.join(".");
  throw new RequestError("invalid", shortened(field === "" ? message : `\`${field}\`: ${message}`, MOST_REPEATED), {
    param: field === "" ? null : shortened(field, 100),
  });
}

function routesOf(model: ServedModel): string[] {
  const able = routes.filter(({ task }) => task !== undefined && partOf(model, task) !== undefined);
  return [...new Set(able.map(({ method, paths }) => `${method} ${paths[0]}`))];
}

function methodsOf(path: string): string[] {
  return [...new Set(routes.filter(({ paths }) => paths.includes(path)).map(({ method }) => method))];
}

function familyOf(path: string): Family {
  return /^\/(api|\.well-known)\//.test(path)
    ? "plain"
    : path.startsWith("/v1/") || path.startsWith("/v2/")
      ? "openai"
      : "tei";
}

function allowedOrigin({ headers }: Request, { corsAllowOrigins }: HandlerSettings): string | undefined {
  const origin = headers.get("origin");
  if (origin === null) return undefined;
  return corsAllowOrigins.includes("*") ? "*" : corsAllowOrigins.find((one) => one === origin);
}

/** What a browser asks before it sends a request to another origin. */
function preflight(request: Request, settings: HandlerSettings): Response | undefined {
  if (request.method !== "OPTIONS" || allowedOrigin(request, settings) === undefined) return undefined;
  const headers = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, x-request-id",
    "access-control-max-age": "86400",
  };
  return new Response(null, { status: 204, headers });
}
