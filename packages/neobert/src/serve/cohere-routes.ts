// Cohere's /v2/embed. (Its rerank is in rerank-routes.ts.) int8 vectors are refused: their ranges would have to be Cohere's,
// or be made anew of each request's texts, and vectors of two requests could not be compared.

import { z } from "zod";
import type { Encoder } from "../encoder/encoder.js";
import { dimensions, list, number, report, reports, text, texts, vector } from "./body-fields.js";
import { embedTexts } from "./embed-texts.js";
import { withCut } from "./prompt-cut.js";
import { RequestError } from "./request-error.js";
import { inputsOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";
import { formatted, vectorFormats } from "./vector-formats.js";

interface Content {
  content: { type: string; text: string }[];
}

const contents = list(
  (value): value is Content => {
    const { content } = Object(value);
    return Array.isArray(content) && content.every((part) => typeof Object(part).text === "string");
  },
  { type: "object", properties: { content: { type: "array", items: { type: "object" } } }, required: ["content"] },
  "a list of { content: [{ type, text }] }",
);

const types = z.enum(vectorFormats, {
  error: `expected ${vectorFormats.join(", ")}: others need ranges that a server does not have`,
});
const body = z.object({
  model: text.nullish(),
  texts: texts.nullish(),
  inputs: contents.nullish(),
  input_type: text.nullish(),
  embedding_types: z.array(types).min(1).max(vectorFormats.length).nullish(),
  output_dimension: dimensions,
  /** Greatest number of tokens of a text. */
  max_tokens: z.int().min(1).nullish(),
  truncate: z.enum(["NONE", "START", "END"]).nullish(),
  report,
});

async function embed(wanted: z.output<typeof body>, encoder: Encoder, context: Context) {
  const { inputs, input_type, embedding_types, output_dimension, max_tokens, truncate } = wanted;
  const given = wanted.texts ?? inputs?.map(({ content }) => content.map(({ text }) => text).join(" "));
  if (!given || (wanted.texts && inputs)) throw new RequestError("invalid", "body: expected either texts or inputs");
  const texts = await inputsOf(wanted.texts ? "texts" : "inputs", given, encoder, context);
  const cutContext = withCut(context, max_tokens ?? undefined, encoder.maxTokens);
  const wishes = {
    truncate: truncate !== "NONE",
    truncation_direction: truncate == null || truncate === "NONE" ? undefined : truncate === "END" ? "right" : "left",
    dimensions: output_dimension,
    ...promptOf(input_type, encoder),
    report: wanted.report,
  };
  const { vectors, tokens, report } = await embedTexts(texts, encoder, wishes, cutContext);
  const wantedTypes = [...new Set(embedding_types ?? ["float" as const])];
  const embeddings = Object.fromEntries(wantedTypes.map((type) => [type, formatted(vectors, type)]));
  const meta = { api_version: { version: "2" }, billed_units: { input_tokens: tokens } };
  const answer = { id: context.id, embeddings, texts: given, response_type: "embeddings_by_type", meta };
  return { ...answer, ...(report && { report }) };
}

/** The model's own prompt of that name, or the one for queries or documents. */
function promptOf(inputType: string | null | undefined, { prompts }: Encoder) {
  if (inputType != null && Object.hasOwn(prompts, inputType)) return { prompt_name: inputType };
  if (inputType === "search_query") return { role: "query" } as const;
  return inputType === "search_document" ? ({ role: "document" } as const) : {};
}

export const cohereRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "openai",
    paths: ["/v2/embed"],
    summary: "A vector of length 1 for each text, in the types that are asked for, in Cohere's body.",
    task: "encoder",
    body,
    answer: z.object({
      id: text,
      embeddings: z.partialRecord(z.enum(vectorFormats), z.union([z.array(vector), z.array(text)])),
      texts: z.array(text),
      response_type: text,
      meta: z.object({
        api_version: z.object({ version: text }),
        billed_units: z.object({ input_tokens: number }),
      }),
      report: reports.optional(),
    }),
    run: embed,
  }),
];
