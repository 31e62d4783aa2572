// Fields that many bodies have, as zod schemas. A list is checked by a function that ends at its first wrong element: zod
// would write an issue for each of millions.

import { z } from "zod";

export const text = z.string();
export const number = z.number();
export const vector = z.array(number);

/** A list of what `isElement` knows; `items` is the JSON Schema of an element. */
export function list<T>(isElement: (value: unknown) => value is T, items: object, expected: string) {
  return z
    .custom<T[]>((value) => Array.isArray(value) && value.every(isElement), `expected ${expected}`)
    .meta({ type: "array", items });
}

const isText = (value: unknown): value is string => typeof value === "string";
const isId = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;
const isIds = (value: unknown): value is number[] => Array.isArray(value) && value.every(isId);
const textItems = { type: "string" };
const idItems = { type: "integer", minimum: 0 };

export const texts = list(isText, textItems, "a list of texts");
export const ids = list(isId, idItems, "a list of token ids");
export const wordLists = list(
  (value): value is string[] => Array.isArray(value) && value.every(isText),
  { type: "array", items: textItems },
  "a list of lists of words",
);
export const idLists = list(isIds, { type: "array", items: idItems }, "a list of lists of token ids");
export const textOrTexts = z.union([text, texts], { error: "expected a text or a list of texts" });
/** A text, the ids of one, or a list of either. */
export const inputs = z.union(
  [
    text,
    ids,
    list(
      (value): value is string | number[] => isText(value) || isIds(value),
      { anyOf: [textItems, { type: "array", items: idItems }] },
      "a list of texts or of lists of token ids",
    ),
  ],
  { error: "expected a text, a list of token ids, or a list of texts or of lists of token ids" },
);

const isPart = (value: unknown): value is { text: string } => isText(Object(value).text);
/** As `inputs`, or a list with texts as { text }, which Jina's clients send. */
export const inputsOrParts = z
  .union(
    [
      inputs,
      list(
        (value): value is string | { text: string } => isText(value) || isPart(value),
        { anyOf: [textItems, { type: "object", properties: { text: textItems }, required: ["text"] }] },
        "a list of texts or { text }",
      ),
    ],
    { error: "expected a text, a list of token ids, or a list of texts or of lists of token ids" },
  )
  .transform((value) => {
    if (typeof value === "string") return value;
    return (value as unknown[]).map((one) => (isPart(one) ? one.text : one)) as number[] | (string | number[])[];
  });

interface Message {
  role: "user";
  content: string | { type: "text"; text: string }[];
}

const isMessage = (value: unknown): value is Message => {
  const { role, content } = Object(value);
  return role === "user" && (isText(content) || (Array.isArray(content) && content.every(isPart)));
};
const isConversation = (value: unknown): value is [Message] =>
  Array.isArray(value) && value.length === 1 && isMessage(value[0]);
const messageItems = { type: "object", properties: { role: { const: "user" }, content: {} }, required: ["content"] };
/** Texts as messages of a user, one in a conversation, which mteb's client sends: an encoder has no template for more. */
export const messages = list(
  (value): value is Message | [Message] => isMessage(value) || isConversation(value),
  { anyOf: [messageItems, { type: "array", items: messageItems, minItems: 1, maxItems: 1 }] },
  "a user's message of text, or a list of conversations of one such message",
).transform((value) =>
  value.flat().map(({ content }) => (isText(content) ? content : content.map(({ text }) => text).join("\n"))),
);

export const dimensions = z.int().min(1, "`dimensions` should be positive").nullish();
export const topN = z.int().min(1).nullish();
/** A boolean, with the default in place of null and undefined. */
export const flag = (otherwise: boolean) =>
  z
    .boolean()
    .nullish()
    .transform((value) => value ?? otherwise);

/** Whether an answer says how long each text was, and what it says. */
export const report = flag(false);
export const reports = z.array(z.object({ tokens: z.int(), cut: z.int() }));
export const usage = z.object({ prompt_tokens: z.int(), total_tokens: z.int() });
