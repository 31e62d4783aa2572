// What a route is: a row of data with its body and answer as zod schemas, and a function from the one to the other. The
// schemas are what requests are checked by and what /openapi.json is made of.

import type { z } from "zod";
import type { CallOptions } from "../encoder/loaded-model.js";
import type { OpenApiDocument } from "./docs-page.js";
import type { Family } from "./request-error.js";
import type { RequestMetrics } from "./request-metrics.js";
import type { HandlerSettings } from "./serve-options.js";
import type { ServedModel, Task, TaskModels } from "./served-models.js";

/** What a route may use besides its body and its model. */
export interface Context {
  models: readonly ServedModel[];
  /** The one that the request is for. */
  served: ServedModel;
  settings: HandlerSettings;
  metrics: RequestMetrics;
  id: string;
  /** Of the request. */
  headers: Headers;
  signal: AbortSignal;
  /** False while models load, and once the server drains. */
  isReady: boolean;
  /** What every call of the library gets: the client's signal, the time limit, the cut. */
  call: CallOptions;
  /** Notes the tokens of each text that has been computed, for the log and the metrics. */
  count(tokens: ArrayLike<number>): void;
  /** The OpenAPI document. */
  document(): OpenApiDocument;
}

export interface Route {
  method: "GET" | "POST";
  paths: readonly string[];
  family: Family;
  summary: string;
  /** What the model must do; absent: no model is asked. */
  task?: Task;
  /** Needs no key, and answers while models load. */
  isOpen?: boolean;
  /** Is left out of the OpenAPI document. */
  isHidden?: boolean;
  /** Whether this row of a path is for this body; the last row of a path takes what is left. */
  when?(body: unknown, models: readonly ServedModel[]): boolean;
  body?: z.ZodType;
  /** Absent: the answer is a `Response` of its own. */
  answer?: z.ZodType;
  run(body: never, model: never, context: Context): unknown;
}

type Typed<B extends z.ZodType, T extends Task> = Omit<Route, "run" | "body" | "task"> & {
  body: B;
  task: T;
  run(body: z.output<B>, model: TaskModels[T], context: Context): unknown;
};

/** A row whose function has the types of its body and task. */
export function route<B extends z.ZodType, T extends Task>(row: Typed<B, T>): Route {
  return row;
}

/** Whether a body is an object with this field. */
export function hasField(body: unknown, field: string): boolean {
  return typeof body === "object" && body !== null && Object.hasOwn(body, field);
}
