import { expect, test } from "vitest";
import { portableError } from "./portable-error.js";

test.each([
  ["an error", new TypeError("expected a text, got none"), "expected a text, got none"],
  ["one with a cause that cannot be cloned", new Error("lost", { cause: () => {} }), "lost"],
  ["a DOMException", new DOMException("stopped by the caller", "AbortError"), "stopped by the caller"],
  ["an object", { reason: "no room" }, '{"reason":"no room"}'],
  ["a text", "no room", "no room"],
  ["an error without a message", new RangeError(), "RangeError"],
])("%s keeps its message through structured cloning", (_, thrown, message) => {
  const arrived = structuredClone(portableError(thrown));
  expect(arrived).toBeInstanceOf(Error);
  expect(arrived.message).toBe(message);
});
