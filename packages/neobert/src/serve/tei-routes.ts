// The routes of Text Embeddings Inference that ask a model: its bodies, answers and statuses. `POST /` is what its clients
// call when they know the address only: what it does follows from the body and the model.

import { z } from "zod";
import type { Classifier } from "../encoder/classifier.js";
import type { CrossEncoder } from "../encoder/cross-encoder.js";
import type { Encoder } from "../encoder/encoder.js";
import type { LoadedModel } from "../encoder/loaded-model.js";
import {
  dimensions,
  flag,
  idLists,
  ids,
  inputs,
  list,
  number,
  report,
  reports,
  text,
  textOrTexts,
  texts,
  vector,
} from "./body-fields.js";
import { embedTexts, embedTokens, rowsOf } from "./embed-texts.js";
import { RequestError } from "./request-error.js";
import { checkCount, checkIds, finite, inputsOf, listOf, measure, type Pair, Slices } from "./request-texts.js";
import { type Context, hasField, type Route, route } from "./route.js";
import { partOf } from "./served-models.js";

/** Characters of all that /tokenize takes. */
const MOST_CHARACTERS = 2 ** 18;

const truncation = {
  truncate: z.boolean().nullish(),
  truncation_direction: z.enum(["Left", "Right", "left", "right"]).nullish(),
};
const prompt_name = text.nullish();

const embedBody = z.object({ inputs, ...truncation, prompt_name, normalize: flag(true), dimensions, report });

async function embed(body: z.output<typeof embedBody>, encoder: Encoder, context: Context) {
  const inputs = await inputsOf("inputs", body.inputs, encoder, context);
  const { vectors, report } = await embedTexts(inputs, encoder, body, context);
  return report ? { embeddings: rowsOf(vectors), report } : rowsOf(vectors);
}

const embedAllBody = z.object({ inputs, ...truncation, prompt_name });

async function embedAll(body: z.output<typeof embedAllBody>, encoder: Encoder, context: Context) {
  const inputs = await inputsOf("inputs", body.inputs, encoder, context);
  const { vectors } = await embedTokens(inputs, encoder, body, context);
  return vectors.map(rowsOf);
}

/** Two texts at most, the second of which is read together with the first. */
const pair = list(
  (value): value is string[] =>
    Array.isArray(value) && [1, 2].includes(value.length) && value.every((one) => typeof one === "string"),
  { type: "array", items: { type: "string" }, minItems: 1, maxItems: 2 },
  "a list of [text] and [text, text]",
);
const predictBody = z.object({
  inputs: z.union([text, z.tuple([text, text]), pair], {
    error: "expected a text, a pair of texts, or a list of [text] and [text, text]",
  }),
  ...truncation,
  raw_scores: flag(false),
});
const labelScores = z.array(z.object({ score: number, label: text }));

async function predict(body: z.output<typeof predictBody>, classifier: Classifier, context: Context) {
  const isSingle =
    typeof body.inputs === "string" || (body.inputs as unknown[]).every((one) => typeof one === "string");
  const list = isSingle && body.inputs.length > 0 ? [body.inputs as string | string[]] : (body.inputs as string[][]);
  checkCount("inputs", list.length, context);
  const texts = list.map((input): string | Pair => {
    const [first, second] = typeof input === "string" ? [input] : input;
    return second === undefined ? first! : { text: first!, pair: second };
  });
  const { tokens } = await measure(texts, classifier, body, context);
  const found = await classifier.classify(texts, { ...context.call, ...(body.raw_scores && { activation: "none" }) });
  context.count(tokens);
  const answers = found.map((labels) =>
    labels.map(({ score, label }) => ({ score: finite("score", [score])[0]!, label })),
  );
  return isSingle ? answers[0]! : answers;
}

const rerankBody = z.object({
  query: text,
  texts,
  ...truncation,
  raw_scores: flag(false),
  return_text: flag(false),
});

async function rerank(body: z.output<typeof rerankBody>, reranker: CrossEncoder, context: Context) {
  const { query, texts, raw_scores, return_text } = body;
  checkCount("texts", texts.length, context);
  const pairs = texts.map((pair) => ({ text: query, pair }));
  const { tokens } = await measure(pairs, reranker, body, context);
  const ranked = await reranker.rerank(query, texts, { ...context.call, ...(raw_scores && { activation: "none" }) });
  context.count(tokens);
  return ranked.map(({ index, score, text }) => {
    finite("score", [score]);
    return return_text ? { index, text, score } : { index, score };
  });
}

const similarityBody = z.object({
  inputs: z.object({ source_sentence: text, sentences: texts }),
  parameters: z.object({ ...truncation, prompt_name }).nullish(),
});

async function similarity({ inputs, parameters }: z.output<typeof similarityBody>, encoder: Encoder, context: Context) {
  checkCount("sentences", inputs.sentences.length, context);
  const texts = [inputs.source_sentence, ...inputs.sentences];
  const { vectors } = await embedTexts(texts, encoder, { ...parameters }, context);
  const scores = encoder.similarity(vectors, vectors.row(0));
  return Array.from(finite("score", scores.data)).slice(1);
}

const tokenizeBody = z.object({
  inputs: textOrTexts,
  add_special_tokens: flag(true),
  prompt_name,
});
const token = z.object({
  id: z.int(),
  text,
  special: z.boolean(),
  start: z.int().nullable(),
  stop: z.int().nullable(),
});

async function tokenize(body: z.output<typeof tokenizeBody>, model: LoadedModel, context: Context) {
  const texts = typeof body.inputs === "string" ? [body.inputs] : body.inputs;
  checkCount("inputs", texts.length, context);
  const prompt = body.prompt_name == null ? "" : promptOf(model, body.prompt_name);
  const characters = texts.reduce((sum, text) => sum + prompt.length + text.length, 0);
  if (characters > MOST_CHARACTERS) {
    throw new RequestError("tooLarge", `\`inputs\`: expected at most ${MOST_CHARACTERS} characters, got ${characters}`);
  }
  const { tokenizer } = model;
  const how = { addSpecialTokens: body.add_special_tokens, padding: false, truncation: false } as const;
  return texts.map((text) => {
    const { ids, offsets, tokens, specialTokensMask } = tokenizer.encode(prompt + text, how);
    return Array.from(ids, (id, i) => {
      const special = specialTokensMask[i] === 1;
      const [start, stop] = special ? [null, null] : [offsets[2 * i]!, offsets[2 * i + 1]!];
      return { id, text: tokens[i]!, special, start, stop };
    });
  });
}

function promptOf(model: LoadedModel, name: string): string {
  const { prompts = {} } = model as Partial<Encoder>;
  if (Object.hasOwn(prompts, name)) return prompts[name]!;
  const known = Object.keys(prompts).join(", ") || "none";
  throw new RequestError("invalid", `prompt_name: expected one of the model's (${known}), got another`, {
    param: "prompt_name",
  });
}

const decodeBody = z.object({
  ids: z.union([ids, idLists], { error: "expected a list of token ids, or a list of such lists" }),
  skip_special_tokens: flag(true),
});

async function decode(body: z.output<typeof decodeBody>, { tokenizer }: LoadedModel, context: Context) {
  const lists = listOf(body.ids) as number[][];
  checkCount("ids", lists.length, context);
  checkIds("ids", lists);
  const foreign = lists.flat().find((id) => id > tokenizer.maxId);
  if (foreign !== undefined) {
    throw new RequestError("invalid", `\`ids\`: expected ids up to ${tokenizer.maxId}, got ${foreign}`, {
      param: "ids",
    });
  }
  const slices = new Slices(context.signal);
  const texts: string[] = [];
  for (const ids of lists) {
    await slices.pause();
    texts.push(tokenizer.decode(ids, { skipSpecialTokens: body.skip_special_tokens }));
  }
  return texts;
}

const post = { method: "POST", family: "tei" } as const;
const rows = {
  embed: {
    ...post,
    task: "encoder",
    body: embedBody,
    answer: z.union([z.array(vector), z.object({ embeddings: z.array(vector), report: reports })]),
    run: embed,
  },
  predict: {
    ...post,
    task: "classifier",
    body: predictBody,
    answer: z.union([labelScores, z.array(labelScores)]),
    run: predict,
  },
  rerank: {
    ...post,
    task: "reranker",
    body: rerankBody,
    answer: z.array(z.object({ index: z.int(), score: number, text: text.optional() })),
    run: rerank,
  },
  similarity: { ...post, task: "encoder", body: similarityBody, answer: vector, run: similarity },
} as const;

const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

export const teiRoutes: readonly Route[] = [
  route({ ...rows.embed, paths: ["/embed"], summary: "A vector for each text." }),
  route({
    ...post,
    paths: ["/embed_all"],
    summary: "The vectors of each text's tokens.",
    task: "encoder",
    body: embedAllBody,
    answer: z.array(z.array(vector)),
    run: embedAll,
  }),
  route({ ...rows.predict, paths: ["/predict"], summary: "The labels of each text or pair, best first." }),
  route({
    ...rows.rerank,
    paths: ["/rerank"],
    summary: "Texts sorted by how well they answer a query.",
    when: (body) => hasField(body, "texts"),
  }),
  route({ ...rows.similarity, paths: ["/similarity"], summary: "How alike a sentence and others are." }),
  route({
    ...post,
    paths: ["/tokenize"],
    summary: "The tokens of each text, with their places in Unicode characters.",
    task: "any",
    body: tokenizeBody,
    answer: z.array(z.array(token)),
    run: tokenize,
  }),
  route({
    ...post,
    paths: ["/decode"],
    summary: "The texts of lists of token ids.",
    task: "any",
    body: decodeBody,
    answer: z.array(text),
    run: decode,
  }),
  route({
    ...rows.similarity,
    paths: ["/", "/invocations"],
    summary: "As /similarity, where `inputs` is an object.",
    when: (body) => isObject((body as { inputs?: unknown } | null)?.inputs),
  }),
  route({
    ...rows.rerank,
    paths: ["/", "/invocations"],
    summary: "As /rerank, where there is a query.",
    when: (body) => hasField(body, "query"),
  }),
  route({
    ...rows.predict,
    paths: ["/", "/invocations"],
    summary: "As /predict, where no model embeds.",
    when: (_, models) =>
      models.some((model) => partOf(model, "classifier")) && !models.some((model) => partOf(model, "encoder")),
  }),
  route({ ...rows.embed, paths: ["/", "/invocations"], summary: "As /embed." }),
];
