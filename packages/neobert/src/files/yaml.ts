// YAML of others: what a text says, as plain values. What stops the parser is said with the file.

import { parseDocument } from "yaml";
import { shortened } from "./checked.js";
import { InputError } from "./input-error.js";

/** The value of a YAML text. Throws naming `where`. */
export function parseYaml(text: string, where: string, options: { intAsBigInt?: boolean } = {}): unknown {
  const document = parseDocument(text, { ...options, logLevel: "error" });
  const [error] = document.errors;
  if (error) throw notYaml(where, error);
  try {
    return document.toJS();
  } catch (error) {
    throw notYaml(where, error as Error); // an alias without its anchor, or too many of them
  }
}

/** The error of YAML that cannot be read. */
export function notYaml(where: string, { message }: Error): Error {
  const reason = /call stack/.test(message) ? "more levels than can be read" : shortened(message);
  return new InputError(`${where}: expected YAML, got an error: ${reason}`);
}
