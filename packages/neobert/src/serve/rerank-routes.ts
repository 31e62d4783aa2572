// Ranking in the bodies that other services made common, told apart by their fields: Cohere's, Jina's and vLLM's say
// `documents`, Weaviate's adds `property` and names no model. (Text Embeddings Inference's says `texts`: tei-routes.ts.)

import { z } from "zod";
import type { CrossEncoder } from "../encoder/cross-encoder.js";
import { flag, list, number, text, texts, topN } from "./body-fields.js";
import { cut, cutOf, withCut } from "./prompt-cut.js";
import { checkCount, finite, measure, sumOf, type Truncation } from "./request-texts.js";
import { type Context, hasField, type Route, route } from "./route.js";

type Document = string | { text: string };

const documents = list(
  (value): value is Document => typeof (typeof value === "string" ? value : Object(value).text) === "string",
  { anyOf: [{ type: "string" }, { type: "object", properties: { text: { type: "string" } }, required: ["text"] }] },
  "a list of texts or { text }",
);

const body = z.object({
  model: text.nullish(),
  query: text,
  documents,
  top_n: topN,
  return_documents: flag(false),
  raw_scores: flag(false),
  ...cut,
});

async function rank(
  query: string,
  documents: readonly Document[],
  model: CrossEncoder,
  context: Context,
  {
    topK,
    isRaw = false,
    ...wishes
  }: Truncation & { topK?: number; isRaw?: boolean; maxTokens?: number | undefined } = {},
) {
  checkCount("documents", documents.length, context);
  const texts = documents.map((document) => (typeof document === "string" ? document : document.text));
  const pairs = texts.map((pair) => ({ text: query, pair }));
  const cutContext = withCut(context, wishes.maxTokens, model.maxTokens);
  const { tokens } = await measure(pairs, model, wishes, cutContext);
  const ranked = await model.rerank(query, texts, {
    ...cutContext.call,
    ...(topK !== undefined && { topK }),
    ...(isRaw && { activation: "none" }),
  });
  finite(
    "score",
    ranked.map(({ score }) => score),
  );
  context.count(tokens);
  return { ranked, tokens: sumOf(tokens) };
}

async function rerank(wanted: z.output<typeof body>, model: CrossEncoder, context: Context) {
  const { query, documents, top_n, return_documents, raw_scores } = wanted;
  const { ranked, tokens } = await rank(query, documents, model, context, {
    ...cutOf(wanted, context.settings.autoTruncate),
    topK: top_n ?? documents.length,
    isRaw: raw_scores,
  });
  const results = ranked.map(({ index, score, text }) => {
    return { index, relevance_score: score, ...(return_documents && { document: { text } }) };
  });
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { id: context.id, model: context.served.name, results, usage, meta: {} };
}

const weaviateBody = z.object({ query: text, documents: texts, property: text.nullish() });

async function score({ query, documents }: z.output<typeof weaviateBody>, model: CrossEncoder, context: Context) {
  const { ranked } = await rank(query, documents, model, context);
  const scores = ranked.sort((a, b) => a.index - b.index).map(({ text, score }) => ({ document: text, score }));
  return { query, scores };
}

export const rerankRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "plain",
    paths: ["/rerank"],
    summary: "The score of each document, in Weaviate's body.",
    task: "reranker",
    when: (body) => hasField(body, "property") && !hasField(body, "model"),
    body: weaviateBody,
    answer: z.object({ query: text, scores: z.array(z.object({ document: text, score: number })) }),
    run: score,
  }),
  route({
    method: "POST",
    family: "openai",
    paths: ["/v1/rerank", "/v2/rerank", "/rerank"],
    summary: "Documents sorted by how well they answer a query.",
    task: "reranker",
    body,
    answer: z.object({
      id: text,
      model: text,
      results: z.array(z.object({ index: z.int(), relevance_score: number, document: z.object({ text }).optional() })),
      usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
      meta: z.object({}),
    }),
    run: rerank,
  }),
];
