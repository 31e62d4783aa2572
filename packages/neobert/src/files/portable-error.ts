// An error as it goes from a worker to its caller. What structured cloning makes of an error is its own affair: a
// DOMException arrives as an object without a message, and a cause or field that cannot be cloned stops the message.

/** A plain error of the same message, name and stack; of what is thrown and is no error, its text. */
export function portableError(thrown: unknown): Error {
  const { message, name, stack } = Object(thrown) as Partial<Error>;
  const error = new Error(typeof message === "string" && message !== "" ? message : textOf(thrown));
  if (typeof name === "string" && name !== "Error") error.name = name;
  if (typeof stack === "string") error.stack = stack;
  return error;
}

function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.name;
  if (typeof thrown !== "object") return String(thrown);
  try {
    return JSON.stringify(thrown);
  } catch {
    return "an object that cannot be shown";
  }
}
