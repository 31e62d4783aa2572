// OpenAI's embeddings and what vLLM adds beside them: /score and /classify. Its clients ask for base64 unless told
// otherwise, and show a foreign error shape as "no body". A text that is too long is refused in the words that clients
// look for, unless the request says how to cut it.

import { z } from "zod";
import type { Classifier } from "../encoder/classifier.js";
import type { CrossEncoder } from "../encoder/cross-encoder.js";
import type { Encoder } from "../encoder/encoder.js";
import { dimensions, inputs, number, text, textOrTexts } from "./body-fields.js";
import { embedTexts } from "./embed-texts.js";
import { RequestError } from "./request-error.js";
import { checkCount, finite, listOf, measure, textsOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";

const cut = {
  /** Greatest number of tokens; -1: as many as the model reads. */
  truncate_prompt_tokens: z.int().min(-1).nullish(),
  truncate: z.boolean().nullish(),
};
const model = text.nullish();
const usage = z.object({ prompt_tokens: z.int(), total_tokens: z.int() });

/** The truncation of a request, and its calls cut to what it asks for. */
function cutOf(body: { truncate_prompt_tokens?: number | null | undefined; truncate?: boolean | null | undefined }) {
  const { truncate_prompt_tokens: most } = body;
  const truncate = body.truncate ?? most != null;
  return { truncate, maxTokens: most != null && most > 0 ? most : undefined };
}

function withCut(context: Context, maxTokens: number | undefined, longest: number): Context {
  if (maxTokens === undefined) return context;
  return { ...context, call: { ...context.call, maxTokens: Math.min(maxTokens, context.call.maxTokens ?? longest) } };
}

function tooLong(tokens: number, most: number): string {
  return (
    `This model's maximum context length is ${most} tokens, however you requested ${tokens} tokens ` +
    `(${tokens} in your prompt; 0 for the completion). Please reduce your prompt; or completion length.`
  );
}

const embeddingsBody = z.object({
  input: inputs,
  model,
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions,
  user: text.nullish(),
  ...cut,
});

async function embeddings(body: z.output<typeof embeddingsBody>, encoder: Encoder, context: Context) {
  const texts = await textsOf("input", listOf(body.input).list, encoder, context);
  const { truncate, maxTokens } = cutOf(body);
  const wishes = { truncate, dimensions: body.dimensions };
  const cutContext = withCut(context, maxTokens, encoder.maxTokens);
  const { vectors, tokens } = await embedTexts(texts, encoder, wishes, cutContext, tooLong);
  const data = texts.map((_, index) => {
    const row = vectors.row(index);
    const embedding = body.encoding_format === "base64" ? base64Of(row) : row;
    return { object: "embedding", index, embedding };
  });
  return { object: "list", data, model: context.served.name, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

/** The bytes of little-endian float32, the order of every machine that Node runs on but one. */
function base64Of(row: Float32Array): string {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString("base64");
}

const side = textOrTexts.optional();
const scoreBody = z.object({
  model,
  text_1: side,
  text_2: side,
  queries: side,
  documents: side,
  data_1: side,
  data_2: side,
  ...cut,
});

async function score(body: z.output<typeof scoreBody>, reranker: CrossEncoder, context: Context) {
  const spellings = [
    ["text_1", "text_2"],
    ["queries", "documents"],
    ["data_1", "data_2"],
  ] as const;
  const names = spellings.find(([first, second]) => body[first] !== undefined && body[second] !== undefined);
  if (!names) {
    const expected = spellings.map((pair) => pair.join(" and ")).join(", or ");
    throw new RequestError("invalid", `body: expected ${expected}, got no such pair`);
  }
  const [left, right] = names.map((name) => [body[name]!].flat());
  for (const [i, list] of [left!, right!].entries()) checkCount(names[i]!, list.length, context);
  if (left!.length !== 1 && left!.length !== right!.length) {
    const got = `${left!.length} and ${right!.length}`;
    throw new RequestError("invalid", `\`${names[0]}\`: expected one text, or as many as \`${names[1]}\`, got ${got}`);
  }
  const pairs = right!.map((pair, i) => [left![left!.length === 1 ? 0 : i]!, pair] as const);
  const { truncate, maxTokens } = cutOf(body);
  const inputs = pairs.map(([text, pair]) => ({ text, pair }));
  const tokens = await measure(inputs, reranker, { truncate }, context, tooLong);
  const { call } = withCut(context, maxTokens, reranker.maxTokens);
  const scores = finite("score", await reranker.scores(pairs, call));
  context.count({ inputs: pairs.length, tokens });
  const data = Array.from(scores, (score, index) => ({ index, object: "score", score }));
  return answerOf("score", data, tokens, context);
}

const classifyBody = z.object({
  model,
  input: textOrTexts,
  ...cut,
});

async function classify(body: z.output<typeof classifyBody>, classifier: Classifier, context: Context) {
  const texts = [body.input].flat();
  checkCount("input", texts.length, context);
  const { truncate, maxTokens } = cutOf(body);
  const tokens = await measure(texts, classifier, { truncate }, context, tooLong);
  const { call } = withCut(context, maxTokens, classifier.maxTokens);
  const found = await classifier.classify(texts, call);
  context.count({ inputs: texts.length, tokens });
  const data = found.map((labels, index) => {
    const probs = [...labels].sort((a, b) => a.index - b.index).map(({ score }) => score);
    return { index, label: labels[0]!.label, probs: finite("score", probs), num_classes: probs.length };
  });
  return answerOf("classify", data, tokens, context);
}

function answerOf(kind: string, data: readonly object[], tokens: number, { id, served }: Context) {
  const created = Math.floor(Date.now() / 1000);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { id: `${kind}-${id}`, object: "list", created, model: served.name, data, usage };
}

const listAnswer = { id: text, object: text, created: z.int(), model: text, usage };
const post = { method: "POST", family: "openai" } as const;

export const openaiRoutes: readonly Route[] = [
  route({
    ...post,
    paths: ["/v1/embeddings", "/embeddings"],
    summary: "A vector of length 1 for each text, as numbers or as base64 of little-endian float32.",
    task: "encoder",
    body: embeddingsBody,
    answer: z.object({
      object: text,
      model: text,
      data: z.array(z.object({ object: text, index: z.int(), embedding: z.union([z.array(number), text]) })),
      usage,
    }),
    run: embeddings,
  }),
  route({
    ...post,
    paths: ["/score", "/v1/score"],
    summary: "A score for each pair of texts.",
    task: "reranker",
    body: scoreBody,
    answer: z.object({
      ...listAnswer,
      data: z.array(z.object({ index: z.int(), object: text, score: number })),
    }),
    run: score,
  }),
  route({
    ...post,
    paths: ["/classify"],
    summary: "The best label of each text, and the scores of all labels by their index.",
    task: "classifier",
    body: classifyBody,
    answer: z.object({
      ...listAnswer,
      data: z.array(z.object({ index: z.int(), label: text, probs: z.array(number), num_classes: z.int() })),
    }),
    run: classify,
  }),
];
