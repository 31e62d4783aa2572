// What a server says of itself. All of it answers without a key, as clients and balancers ask before they have one.

import { z } from "zod";
import { packageVersion } from "../files/package.js";
import { text } from "./body-fields.js";
import { docsPage } from "./docs-page.js";
import { RequestError } from "./request-error.js";
import { mostTokens } from "./request-texts.js";
import type { Context, Route } from "./route.js";
import { modelsOf, oneOf, partOf, type ServedModel } from "./served-models.js";

const startedS = Math.floor(Date.now() / 1000);

export function health(_: unknown, __: unknown, { isReady }: Context): Response {
  if (!isReady)
    throw new RequestError("unhealthy", "the model is loading or its engine dies, or the server is shutting down");
  return new Response(null, { status: 200 });
}

/** How a model is described, by what it does. */
function typeOf(served: ServedModel): Record<string, object> {
  const encoder = oneOf(served, "encoder");
  const labelled = (task: "classifier" | "reranker" | "tagger") => {
    if (!served[task]) return {};
    const { id2label = {}, label2id = {} } = { ...oneOf(served, task)?.config } as {
      id2label?: object;
      label2id?: object;
    };
    return { [task]: { id2label, label2id } };
  };
  const tokenizer = oneOf(served, "any")?.tokenizer;
  const mask = tokenizer?.specialIds.mask;
  return {
    ...(encoder && {
      embedding: { pooling: encoder.pooling.join("+"), dimension: encoder.dimension, prompts: encoder.prompts },
    }),
    ...labelled("classifier"),
    ...labelled("reranker"),
    ...(served.fillMask && { fill_mask: { mask_token: mask === undefined ? null : tokenizer!.idToToken(mask) } }),
    ...labelled("tagger"),
  };
}

const capabilities = {
  encoder: "embed",
  classifier: "classify",
  reranker: "rerank",
  fillMask: "fill-mask",
  tagger: "tag",
};

/** What a model does, in infinity's words and ours. */
function capabilitiesOf(served: ServedModel): string[] {
  const tasks = Object.keys(capabilities) as (keyof typeof capabilities)[];
  return tasks.filter((task) => partOf(served, task) !== undefined).map((task) => capabilities[task]);
}

function describe(model: ServedModel, context: Context) {
  const loaded = modelsOf(model);
  return {
    model_id: model.name,
    served_model_name: model.name,
    model_sha: model.revision ?? null,
    model_dtype: model.dtype ?? "unknown",
    model_type: typeOf(model),
    max_input_length: loaded.length > 0 ? Math.min(...loaded.map((one) => mostTokens(one, context))) : null,
    max_batch_tokens: model.batchTokens ?? null,
  };
}

function info(_: unknown, __: unknown, context: Context) {
  checkLoaded(context);
  const { models, settings } = context;
  return {
    ...describe(models[0]!, context),
    max_concurrent_requests: settings.maxConcurrentRequests,
    max_batch_requests: null,
    max_client_batch_size: settings.maxClientBatchSize,
    payload_limit: settings.payloadLimit,
    auto_truncate: settings.autoTruncate,
    tokenization_workers: 1,
    version: packageVersion(),
    sha: null,
    docker_label: null,
    models: models.map((model) => describe(model, context)),
  };
}

function listModels(_: unknown, __: unknown, context: Context) {
  checkLoaded(context);
  const data = context.models.map((model) => {
    const { max_input_length, model_sha } = describe(model, context);
    const own = { id: model.name, object: "model", created: startedS, owned_by: "neobert" };
    return {
      ...own,
      max_model_len: max_input_length,
      dimension: oneOf(model, "encoder")?.dimension ?? null,
      revision: model_sha,
      capabilities: capabilitiesOf(model),
    };
  });
  return { object: "list", data };
}

function checkLoaded({ models }: Context): void {
  if (models.length === 0) throw new RequestError("unhealthy", "the model is loading");
}

const get = { method: "GET", family: "tei" } as const;

export const statusRoutes: readonly Route[] = [
  { ...get, paths: ["/health", "/ping"], summary: "200 when ready, else 503.", isOpen: true, run: health },
  {
    ...get,
    paths: ["/info"],
    summary: "The models, and the server's limits.",
    isOpen: true,
    answer: z.looseObject({ model_id: text }),
    run: info,
  },
  {
    ...get,
    family: "openai",
    paths: ["/v1/models", "/models"],
    summary: "The models.",
    isOpen: true,
    answer: z.object({ object: text, data: z.array(z.looseObject({ id: text, max_model_len: z.int().nullable() })) }),
    run: listModels,
  },
  {
    ...get,
    paths: ["/metrics"],
    summary: "Counts and times of requests, for Prometheus.",
    isOpen: true,
    run: (_: unknown, __: unknown, { metrics }: Context) =>
      new Response(metrics.text(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } }),
  },
  {
    ...get,
    paths: ["/openapi.json", "/api-doc/openapi.json"],
    summary: "This document.",
    isOpen: true,
    answer: z.looseObject({ openapi: text }),
    run: (_: unknown, __: unknown, { document }: Context) => document(),
  },
  {
    ...get,
    paths: ["/docs"],
    summary: "The routes, to read.",
    isOpen: true,
    run: (_: unknown, __: unknown, { document }: Context) => docsPage(document()),
  },
];
