// The routes of Weaviate's text2vec-transformers containers, which Weaviate asks until they are ready, and then text by
// text. (Its reranker's is in rerank-routes.ts.) `pooling_strategy` is what its client always sends; the model's own holds.

import { z } from "zod";
import type { Encoder } from "../encoder/encoder.js";
import { packageVersion } from "../files/package.js";
import { dimensions, text, vector } from "./body-fields.js";
import { embedTexts } from "./embed-texts.js";
import { RequestError } from "./request-error.js";
import { inputsOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";
import { modelsOf, oneOf } from "./served-models.js";

const body = z.object({
  text,
  config: z
    .object({
      pooling_strategy: text.nullish(),
      task_type: z.enum(["", "query", "passage"]).nullish(),
      dimensions: z.union([z.literal(0).transform(() => undefined), dimensions]),
    })
    .nullish(),
});

async function vectorize({ text, config }: z.output<typeof body>, encoder: Encoder, context: Context) {
  const inputs = await inputsOf("text", text, encoder, context);
  const taskType = config?.task_type;
  const role = taskType === "query" ? taskType : taskType === "passage" ? "document" : undefined;
  const { vectors } = await embedTexts(
    inputs,
    encoder,
    { truncate: true, dimensions: config?.dimensions, role },
    context,
  );
  return { text, vector: vectors.row(0), dim: vectors.shape[1] };
}

function ready(_: unknown, __: unknown, { isReady }: Context): Response {
  if (!isReady) throw new RequestError("unhealthy", "the model is loading, or the server is shutting down");
  return new Response(null, { status: 204 });
}

function meta(_: unknown, __: unknown, { models }: Context) {
  const [served] = models;
  if (!served) throw new RequestError("unhealthy", "the model is loading");
  const model_type = modelsOf(served)[0]?.config.model_type ?? null;
  return { name: served.name, model_type, dim: oneOf(served, "encoder")?.dimension, version: packageVersion() };
}

const get = { method: "GET", family: "plain", isOpen: true } as const;

export const weaviateRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "plain",
    paths: ["/vectors"],
    summary: "The vector of a text, of length 1, in Weaviate's body.",
    task: "encoder",
    body,
    answer: z.object({ text, vector, dim: z.int() }),
    run: vectorize,
  }),
  {
    ...get,
    paths: ["/.well-known/live"],
    summary: "204 while the server runs.",
    run: () => new Response(null, { status: 204 }),
  },
  { ...get, paths: ["/.well-known/ready"], summary: "204 when ready, else 503.", run: ready },
  {
    ...get,
    paths: ["/meta"],
    summary: "The first model, for Weaviate.",
    answer: z.object({ name: text, model_type: text.nullable(), dim: z.int().optional(), version: text }),
    run: meta,
  },
];
