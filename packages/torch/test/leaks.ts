// Tests that make tensors: each body runs in a tidy, and every file checks that nothing stays behind. They use one thread, as
// the threads of several test processes would mostly wait for each other over tensors this small.

import { afterEach, beforeEach, expect, test } from "vitest";
import { fusedKernels, liveTensors, setNumThreads, tidy } from "../src/index.js";

setNumThreads(1);

/** Call once at a file's head: after each test there are as many live tensors as before it. */
export function expectNoLeaks(): void {
  let before = 0;
  beforeEach(() => {
    before = liveTensors();
  });
  afterEach(() => {
    expect(liveTensors(), "live tensors after the test").toBe(before);
  });
}

/** A test whose synchronous body runs in a tidy. */
export function tidyTest(name: string, body: () => void): void {
  test(name, () => tidy(body));
}

/** The same of what our own kernels alone promise, bit for bit or in words: skipped with NEOBERT_FUSED=0. */
export function kernelTest(name: string, body: () => void): void {
  test.skipIf(!fusedKernels())(name, () => tidy(body));
}
