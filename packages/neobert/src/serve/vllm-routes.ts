// What vLLM has beside OpenAI's routes: /score, /classify and /pooling.

import { z } from "zod";
import type { Classifier } from "../encoder/classifier.js";
import type { CrossEncoder } from "../encoder/cross-encoder.js";
import type { Encoder } from "../encoder/encoder.js";
import { dimensions, flag, inputs, number, text, textOrTexts, usage, vector } from "./body-fields.js";
import { embedTexts, embedTokens, rowsOf } from "./embed-texts.js";
import { cut, cutOf, tooLong, withCut } from "./prompt-cut.js";
import { RequestError } from "./request-error.js";
import { checkCount, finite, inputsOf, listOf, measure, sumOf } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";
import { partOf } from "./served-models.js";
import { base64Of, byteFormat, formatted } from "./vector-formats.js";

const model = text.nullish();
const activation = { use_activation: flag(true) };

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
  ...activation,
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
  const { maxTokens, ...truncation } = cutOf(body);
  const inputs = pairs.map(([text, pair]) => ({ text, pair }));
  const cutContext = withCut(context, maxTokens, reranker.maxTokens);
  const { tokens } = await measure(inputs, reranker, truncation, cutContext, { tooLong });
  const call = { ...cutContext.call, ...(!body.use_activation && { activation: "none" as const }) };
  const scores = finite("score", await reranker.scores(pairs, call));
  context.count(tokens);
  const data = Array.from(scores, (score, index) => ({ index, object: "score", score }));
  return answerOf("score", data, tokens, context);
}

const classifyBody = z.object({
  model,
  input: textOrTexts,
  ...cut,
  ...activation,
});

/** The best label of each text, and its scores by the labels' index. */
async function labelScores(body: z.output<typeof classifyBody>, classifier: Classifier, context: Context) {
  const texts = [body.input].flat();
  checkCount("input", texts.length, context);
  const { maxTokens, ...truncation } = cutOf(body);
  const cutContext = withCut(context, maxTokens, classifier.maxTokens);
  const { tokens } = await measure(texts, classifier, truncation, cutContext, { tooLong });
  const found = await classifier.classify(texts, {
    ...cutContext.call,
    ...(!body.use_activation && { activation: "none" }),
  });
  context.count(tokens);
  const scores = found.map((labels) => {
    const probs = [...labels].sort((a, b) => a.index - b.index).map(({ score }) => score);
    return { label: labels[0]!.label, probs: finite("score", probs) };
  });
  return { scores, tokens };
}

async function classify(body: z.output<typeof classifyBody>, classifier: Classifier, context: Context) {
  const { scores, tokens } = await labelScores(body, classifier, context);
  const data = scores.map(({ label, probs }, index) => ({ index, label, probs, num_classes: probs.length }));
  return answerOf("classify", data, tokens, context);
}

const poolingTasks = ["embed", "classify", "token_embed"] as const;
const poolingBody = z.object({
  model,
  input: inputs,
  /** Default: token vectors of a model that embeds. */
  task: z.enum(poolingTasks).nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  ...byteFormat,
  dimensions,
  user: text.nullish(),
  ...cut,
  /** Whether vectors have length 1; default: those of texts. */
  use_activation: z.boolean().nullish(),
});

async function poolVectors(body: z.output<typeof poolingBody>, encoder: Encoder, context: Context) {
  const { task, dimensions, use_activation } = body;
  const inputs = await inputsOf("input", body.input, encoder, context);
  const { maxTokens, ...truncation } = cutOf(body);
  const cutContext = withCut(context, maxTokens, encoder.maxTokens);
  if (task === "embed") {
    const wishes = { ...truncation, dimensions, normalize: use_activation ?? true };
    const { vectors, tokens } = await embedTexts(inputs, encoder, wishes, cutContext, tooLong);
    return poolAnswer(formatted(vectors, body.encoding_format ?? "float"), tokens, context);
  }
  if (dimensions != null || use_activation) {
    const field = use_activation ? "use_activation" : "dimensions";
    throw new RequestError("invalid", `\`${field}\`: expected none for vectors of tokens, got one`, { param: field });
  }
  const { vectors, tokens } = await embedTokens(inputs, encoder, truncation, cutContext, tooLong);
  const data = vectors.map((rows) => (body.encoding_format === "base64" ? base64Of(rows.data) : rowsOf(rows)));
  return poolAnswer(data, tokens, context);
}

async function poolLabels(body: z.output<typeof poolingBody>, classifier: Classifier, context: Context) {
  const given = listOf(body.input);
  if (!given.every((one) => typeof one === "string")) {
    throw new RequestError("invalid", "`input`: expected texts to classify, got token ids", { param: "input" });
  }
  const wishes = { ...body, input: given, use_activation: body.use_activation ?? true };
  const { scores, tokens } = await labelScores(wishes, classifier, context);
  const rows = scores.map(({ probs }) =>
    body.encoding_format === "base64" ? base64Of(Float32Array.from(probs)) : probs,
  );
  return poolAnswer(rows, tokens, context);
}

function poolAnswer(rows: readonly unknown[], tokens: ArrayLike<number> | number, context: Context) {
  const data = rows.map((data, index) => ({ index, object: "pooling", data }));
  return answerOf("pool", data, tokens, context);
}

function answerOf(kind: string, data: readonly object[], tokens: ArrayLike<number> | number, { id, served }: Context) {
  const created = Math.floor(Date.now() / 1000);
  const total = typeof tokens === "number" ? tokens : sumOf(tokens);
  const usage = { prompt_tokens: total, total_tokens: total };
  return { id: `${kind}-${id}`, object: "list", created, model: served.name, data, usage };
}

const listAnswer = { id: text, object: text, created: z.int(), model: text, usage };
const post = { method: "POST", family: "openai" } as const;
const pooled = z.union([vector, z.array(vector), text]);
const pooling = {
  paths: ["/pooling"],
  body: poolingBody,
  answer: z.object({
    ...listAnswer,
    data: z.array(z.object({ index: z.int(), object: text, data: pooled })),
  }),
};

export const vllmRoutes: readonly Route[] = [
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
  route({
    ...post,
    ...pooling,
    summary: "The scores of each text's labels, where `task` says so or no model embeds.",
    task: "classifier",
    when: (body, models) => {
      const { task } = Object(body) as { task?: unknown };
      return task === "classify" || (task == null && !models.some((model) => partOf(model, "encoder")));
    },
    run: poolLabels,
  }),
  route({
    ...post,
    ...pooling,
    summary: "The vectors of each text's tokens, or with `task` embed its one vector.",
    task: "encoder",
    run: poolVectors,
  }),
];
