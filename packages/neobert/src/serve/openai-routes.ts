// OpenAI's embeddings, with what Jina and vLLM add to its body. Its clients ask for base64 unless told otherwise, and show a
// foreign error shape as "no body".

import { z } from "zod";
import type { Encoder } from "../encoder/encoder.js";
import { dimensions, flag, inputsOrParts, messages, number, report, reports, text, usage } from "./body-fields.js";
import { embedTexts } from "./embed-texts.js";
import { cut, cutOf, tooLong, withCut } from "./prompt-cut.js";
import { RequestError } from "./request-error.js";
import { inputsOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";
import { byteFormat, formatted, vectorFormats } from "./vector-formats.js";

const format = z.enum(vectorFormats);
const body = z.object({
  input: inputsOrParts.optional(),
  messages: messages.optional(),
  model: text.nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions,
  user: text.nullish(),
  ...cut,
  // Ours
  report,
  prompt_name: text.nullish(),
  // Jina's
  embedding_type: z.union([format, z.tuple([format])]).nullish(),
  normalized: flag(true),
  task: text.nullish(),
  late_chunking: z.literal(false).nullish(),
  // vLLM's
  use_activation: flag(true),
  add_special_tokens: z.literal(true).nullish(),
  ...byteFormat,
});

async function embeddings(wanted: z.output<typeof body>, encoder: Encoder, context: Context) {
  const given = wanted.input ?? wanted.messages;
  if (given === undefined || (wanted.input !== undefined && wanted.messages)) {
    throw new RequestError("invalid", "`input`: expected a text, token ids or a list of either, got none", {
      param: "input",
    });
  }
  const inputs = await inputsOf("input", given, encoder, context);
  const { maxTokens, ...truncation } = cutOf(wanted);
  const wishes = {
    ...truncation,
    dimensions: wanted.dimensions,
    normalize: wanted.normalized && wanted.use_activation,
    role: roleOf(wanted.task),
    prompt_name: wanted.prompt_name,
    report: wanted.report,
  };
  const cutContext = withCut(context, maxTokens, encoder.maxTokens);
  const { vectors, tokens, report } = await embedTexts(inputs, encoder, wishes, cutContext, tooLong);
  const format = wanted.encoding_format ?? [wanted.embedding_type ?? "float"].flat()[0];
  const data = formatted(vectors, format!).map((embedding, index) => ({ object: "embedding", index, embedding }));
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { object: "list", data, model: context.served.name, usage, ...(report && { report }) };
}

/** Jina's "retrieval.query" and "retrieval.passage"; other tasks say nothing of a search. */
function roleOf(task: string | null | undefined): "query" | "document" | undefined {
  if (task?.endsWith(".query")) return "query";
  return task?.endsWith(".passage") ? "document" : undefined;
}

export const openaiRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "openai",
    paths: ["/v1/embeddings", "/embeddings"],
    summary: "A vector of length 1 for each text, as numbers or as base64 of little-endian float32.",
    task: "encoder",
    body,
    answer: z.object({
      object: text,
      model: text,
      data: z.array(z.object({ object: text, index: z.int(), embedding: z.union([z.array(number), text]) })),
      usage,
      report: reports.optional(),
    }),
    run: embeddings,
  }),
];
