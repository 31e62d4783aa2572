// What the package says of its libtorch and of this thread.

import { expect, test } from "vitest";
import { expectNoLeaks } from "../test/leaks.js";
import { cpuCapability, getNumThreads, setNumThreads, version } from "./index.js";

expectNoLeaks();

test("libtorch is 2.9 or later, and names the vector instructions it uses", () => {
  const [major, minor] = version().split(".").map(Number);
  expect(major! * 100 + minor!).toBeGreaterThanOrEqual(209);
  expect(cpuCapability()).toMatch(/^[A-Z0-9_ ]+$/);
});

test("the number of threads is a whole number of one or more", () => {
  const before = getNumThreads();
  setNumThreads(2);
  expect(getNumThreads()).toBe(2);
  for (const wrong of [0, -1, 1.5, Number.NaN])
    expect(() => setNumThreads(wrong)).toThrow(`setNumThreads: expected an integer of 1 or more, got ${wrong}`);
  expect(getNumThreads()).toBe(2);
  setNumThreads(before);
});
