// Routes of our own for what no other service has: masks filled, tokens tagged. Names and values are the library's.

import { z } from "zod";
import type { FillMask } from "../encoder/fill-mask.js";
import type { TokenClassifier } from "../encoder/token-classifier.js";
import { number, text, textOrTexts, texts } from "./body-fields.js";
import { RequestError } from "./request-error.js";
import { checkCharacters, checkCount, measure } from "./request-texts.js";
import { type Context, type Route, route } from "./route.js";

/** Characters of all filled texts of an answer. */
const MOST_CHARACTERS = 2 ** 22;
/** Characters of a text whose tokens are tagged. */
const MOST_TAG_CHARACTERS = 2 ** 18;

const inputs = textOrTexts;
const model = text.nullish();
const truncate = z.boolean().nullish();

const fillBody = z.object({ inputs, model, truncate, top_k: z.int().min(1).max(100).default(5) });
const fillings = z.array(z.array(z.object({ score: number, id: z.int(), token: text, sequence: text })));

async function fill(body: z.output<typeof fillBody>, fillMask: FillMask, context: Context) {
  const texts = [body.inputs].flat();
  checkCount("inputs", texts.length, context);
  const masks = (text: string) => text.split(fillMask.maskToken!).length - 1;
  const characters = body.top_k * texts.reduce((sum, text) => sum + masks(text) * text.length, 0);
  if (characters > MOST_CHARACTERS) {
    throw new RequestError(
      "tooLarge",
      `expected an answer of at most ${MOST_CHARACTERS} characters, got ${characters}`,
    );
  }
  const tokens = await measure(texts, fillMask, body, context);
  const filled = await fillMask.fill(texts, { ...context.call, topK: body.top_k });
  context.count({ inputs: texts.length, tokens });
  return typeof body.inputs === "string" ? filled[0]! : filled;
}

const tagBody = z.object({
  inputs,
  model,
  aggregation: z.enum(["none", "simple", "first", "average", "max"]).default("simple"),
  ignore: texts.default(["O"]),
});
const entities = z.array(z.object({ label: text, score: number, text, start: z.int(), end: z.int() }));

async function tag(body: z.output<typeof tagBody>, tagger: TokenClassifier, context: Context) {
  const texts = [body.inputs].flat();
  checkCount("inputs", texts.length, context);
  checkCharacters("inputs", texts, MOST_TAG_CHARACTERS);
  const tokens = await measure(texts, tagger, { truncate: true }, context);
  const { aggregation, ignore } = body;
  const found = await tagger.tag(texts, { ...context.call, aggregation, ignore });
  context.count({ inputs: texts.length, tokens });
  return typeof body.inputs === "string" ? found[0]! : found;
}

export const ownRoutes: readonly Route[] = [
  route({
    method: "POST",
    family: "tei",
    paths: ["/fill-mask"],
    summary: "The best tokens for each mask of a text, or of each text of a list.",
    task: "fillMask",
    body: fillBody,
    answer: z.union([fillings, z.array(fillings)]),
    run: fill,
  }),
  route({
    method: "POST",
    family: "tei",
    paths: ["/tag"],
    summary: "The entities of a text, or of each text of a list; start and end count UTF-16 units.",
    task: "tagger",
    body: tagBody,
    answer: z.union([entities, z.array(entities)]),
    run: tag,
  }),
];
