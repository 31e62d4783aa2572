// An error as it goes from a worker to its caller. What structured cloning makes of an error is its own affair: a
// DOMException arrives as an object without a message, and a cause or field that cannot be cloned stops the message.

/** A plain error of the same message, name, code, stack and cause; of what is thrown and is no error, its text. */
export function portableError(thrown: unknown): Error {
  const { message, name, stack, cause, code } = Object(thrown) as Partial<Error> & { code?: unknown };
  const because = cause instanceof Error ? { cause: portableError(cause) } : {};
  const error = new Error(typeof message === "string" && message !== "" ? message : textOf(thrown), because);
  if (typeof code === "string") Object.assign(error, { code });
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
