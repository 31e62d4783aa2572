// Ollama's routes for embeddings. Here a model must be called by its name, and an error is one string.

import { z } from "zod";
import type { Encoder } from "../encoder/encoder.js";
import { packageVersion } from "../files/package.js";
import { dimensions, number, report, reports, text, textOrTexts, vector } from "./body-fields.js";
import { embedTexts, rowsOf } from "./embed-texts.js";
import { RequestError } from "./request-error.js";
import { inputsOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";
import { findModel, modelsOf, unknownModel } from "./served-models.js";

const embedBody = z.object({
  model: text,
  input: textOrTexts,
  truncate: z.boolean().nullish(),
  dimensions,
  report,
});

async function embed(body: z.output<typeof embedBody>, encoder: Encoder, context: Context) {
  checkName(body.model, context);
  const start = performance.now();
  const texts = [body.input].flat();
  if (texts.length > 0) await inputsOf("input", texts, encoder, context);
  const wishes = { truncate: body.truncate ?? true, dimensions: body.dimensions, report: body.report };
  const { vectors, tokens, report } = await embedTexts(texts, encoder, wishes, context);
  return {
    model: body.model,
    embeddings: rowsOf(vectors),
    total_duration: Math.round((performance.now() - start) * 1e6),
    load_duration: 0,
    prompt_eval_count: tokens,
    ...(report && { report }),
  };
}

const oldBody = z.object({ model: text, prompt: text });

async function embedOne({ model, prompt }: z.output<typeof oldBody>, encoder: Encoder, context: Context) {
  checkName(model, context);
  const texts = await inputsOf("prompt", prompt, encoder, context);
  const { vectors } = await embedTexts(texts, encoder, { truncate: true }, context);
  return { embedding: vectors.row(0) };
}

function checkName(name: string, { models }: Context): void {
  if (!findModel(models, name)) throw unknownModel(models, name);
}

const startedAt = new Date().toISOString();

function tags(_: unknown, __: unknown, { models, isReady }: Context) {
  if (!isReady) throw new RequestError("unhealthy", "the model is loading, or the server is shutting down");
  return {
    models: models.map((model) => ({
      name: model.name,
      model: model.name,
      modified_at: startedAt,
      size: 0,
      digest: model.revision ?? "",
      details: { format: "safetensors", family: modelsOf(model)[0]?.config.model_type ?? "" },
    })),
  };
}

export const ollamaRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "plain",
    paths: ["/api/embed"],
    summary: "A vector of length 1 for each text, in Ollama's body.",
    task: "encoder",
    body: embedBody,
    answer: z.object({
      model: text,
      embeddings: z.array(vector),
      total_duration: number,
      load_duration: number,
      prompt_eval_count: z.int(),
      report: reports.optional(),
    }),
    run: embed,
  }),
  route({
    method: "POST",
    family: "plain",
    paths: ["/api/embeddings"],
    summary: "The vector of a text, of length 1, in Ollama's older body.",
    task: "encoder",
    body: oldBody,
    answer: z.object({ embedding: vector }),
    run: embedOne,
  }),
  {
    method: "GET",
    family: "plain",
    paths: ["/api/tags"],
    summary: "The models that are served, in Ollama's answer.",
    isOpen: true,
    answer: z.object({ models: z.array(z.object({ name: text, model: text, modified_at: text })) }),
    run: tags,
  },
  {
    method: "GET",
    family: "plain",
    paths: ["/api/version"],
    summary: "The server's version, in Ollama's answer.",
    isOpen: true,
    answer: z.object({ version: text }),
    run: () => ({ version: packageVersion() }),
  },
];
