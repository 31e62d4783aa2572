// Routes of our own for what no other service has: masks filled, tokens tagged. Names and values are the library's.

import { z } from "zod";
import type { Entity } from "../encoder/entities.js";
import type { FillMask } from "../encoder/fill-mask.js";
import type { TokenClassifier } from "../encoder/token-classifier.js";
import { number, text, textOrTexts, texts, wordLists } from "./body-fields.js";
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
  const { tokens } = await measure(texts, fillMask, body, context);
  const filled = await fillMask.fill(texts, { ...context.call, topK: body.top_k });
  context.count(tokens);
  return typeof body.inputs === "string" ? filled[0]! : filled;
}

const tagBody = z
  .object({
    inputs: inputs.optional(),
    /** The words of a text, or of several, in place of `inputs`. */
    words: z.union([texts, wordLists], { error: "expected a list of words, or a list of such lists" }).optional(),
    model,
    aggregation: z.enum(["none", "simple", "first", "average", "max"]).default("simple"),
    ignore: texts.default(["O"]),
  })
  .refine(({ inputs, words }) => (inputs === undefined) !== (words === undefined), {
    error: "body: expected either inputs or words",
  });
const wordPlaces = { word_start: z.int().optional(), word_end: z.int().optional() };
const entities = z.array(z.object({ label: text, score: number, text, start: z.int(), end: z.int(), ...wordPlaces }));

async function tag(
  { inputs, words, aggregation, ignore }: z.output<typeof tagBody>,
  tagger: TokenClassifier,
  context: Context,
) {
  const isSingle = typeof inputs === "string" || typeof words?.[0] === "string";
  const lists = words && ((isSingle ? [words] : words) as string[][]);
  const given = lists?.map((list) => list.join(" ")) ?? [inputs!].flat();
  const field = words ? "words" : "inputs";
  checkCount(field, given.length, context);
  checkCharacters(field, given, MOST_TAG_CHARACTERS);
  const { tokens } = await measure(given, tagger, { truncate: true }, context);
  const tagged = await tagger.tag(given, { ...context.call, aggregation, ignore });
  context.count(tokens);
  const found = lists ? tagged.map((entities, i) => withWords(entities, lists[i]!)) : tagged;
  return isSingle ? found[0]! : found;
}

/** Entities of words that were joined by a space each, with the places of their first word and behind their last. */
function withWords(entities: readonly Entity[], words: readonly string[]) {
  let end = -1;
  const ends = words.map((word) => {
    end += 1 + word.length;
    return end;
  });
  return entities.map((entity) => {
    const word_start = ends.findIndex((end) => end > entity.start);
    const word_end = 1 + ends.findIndex((end) => end >= entity.end);
    return { ...entity, word_start, word_end };
  });
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
    summary: "The entities of a text, of each text of a list, or of words; start and end count UTF-16 units.",
    task: "tagger",
    body: tagBody,
    answer: z.union([entities, z.array(entities)]),
    run: tag,
  }),
];
