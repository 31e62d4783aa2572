// What the package says of its libtorch, of this thread and of its memory.

import { expect, test } from "vitest";
import { expectNoLeaks } from "../test/leaks.js";
import { cpuCapability, empty, emptyCache, getNumThreads, memoryStats, setNumThreads, tidy, version } from "./index.js";

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

test("freed memory is kept for the next tensor of about its size, counted, and given back when asked", () => {
  emptyCache();
  expect(memoryStats().cachedBytes).toBe(0);
  const before = memoryStats().allocatedBytes;
  const bytes = 10 * 2 ** 20;
  const x = empty([bytes / 4]);
  expect(memoryStats().allocatedBytes - before).toBe(bytes);
  expect(memoryStats().peakBytes).toBeGreaterThanOrEqual(before + bytes);
  x.dispose();
  expect(memoryStats()).toMatchObject({ allocatedBytes: before, cachedBytes: bytes });
  const again = empty([bytes / 4 - 1000]);
  expect(memoryStats()).toMatchObject({ allocatedBytes: before + bytes, cachedBytes: 0 });
  again.dispose();
  emptyCache();
  expect(memoryStats()).toMatchObject({ allocatedBytes: before, cachedBytes: 0 });
});

test("tensors of ever new sizes keep at most a sixteenth more than the largest sum that was in use", () => {
  for (let i = 1; i <= 40; i++) {
    tidy(() => void [empty([i * 2 ** 18]), empty([i * 2 ** 17])]);
    const { allocatedBytes, peakBytes, cachedBytes } = memoryStats();
    expect(allocatedBytes + cachedBytes).toBeLessThanOrEqual((peakBytes * 17) / 16);
  }
  emptyCache();
});
