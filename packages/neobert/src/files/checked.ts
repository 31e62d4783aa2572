// Values out of files that others made: shown in errors, of any type, size and depth; and held against a schema, of which
// the first field that is of another form is named.

import { z } from "zod";
import { InputError } from "./input-error.js";

/** Characters of what came that an error shows, unless it says otherwise. */
const MAX_SHOWN = 1000;

/** `text`, cut where it would fill screens: files hold names of any length, and lists of any number. */
export function shortened(text: string, maxCharacters = MAX_SHOWN): string {
  return text.length > maxCharacters ? `${text.slice(0, maxCharacters)}...` : text;
}

/** Whether a value is what JSON calls an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON text of a value for an error, cut short; bigint has its digits, and what is no number in JSON its name. */
export function shown(value: unknown, maxCharacters = 80): string {
  if (typeof value === "number") return String(value);
  let text: string;
  try {
    text = JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}` : item)) ?? "nothing";
  } catch {
    return "a value of too many levels to show";
  }
  return shortened(text, maxCharacters);
}

/**
 * An object whose keys are names that others gave, `__proto__` among them, which a record of zod's leaves out: the object
 * itself, with every value held against the schema.
 */
export function namesTo<Schema extends z.ZodType>(schema: Schema, what: string) {
  return z.custom<Record<string, z.output<Schema>>>(isObject, `expected ${what}`).superRefine((object, context) => {
    for (const name of Object.keys(object)) {
      for (const issue of schema.safeParse(object[name], { reportInput: true }).error?.issues ?? []) {
        context.addIssue({ code: "custom", path: [name, ...issue.path], message: issue.message, input: issue.input });
      }
    }
  });
}

/** The value as a schema has it. Throws naming `where`, the first field of another form, and the way out. */
export function checked<Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
  { where, wayOut }: { where: string; wayOut: string },
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value, { reportInput: true });
  if (success) return data;
  const [issue] = error.issues as [z.core.$ZodIssue];
  const field = issue.path.length > 0 ? `${shown(issue.path.map(String).join("."), 200).slice(1, -1)}: ` : "";
  const wanted =
    issue.code === "unrecognized_keys"
      ? `known keys alone, got ${shown(issue.keys)}`
      : `${issue.message.replace(/^.*?expected /s, "").replace(/, received .*$/s, "")}, got ${shown(issue.input)}`;
  throw new InputError(`${where}: ${field}expected ${wanted}\n${wayOut}`, { cause: error });
}
