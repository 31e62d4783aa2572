// What the tests of GPUs share: the device, and how far two arrays of numbers may be apart.
import assert from "node:assert/strict";
import { tidy } from "#torch/index";

export const device = process.env.GPU_TEST_DEVICE ?? "cuda:0";
export const isGpu = device !== "cpu";

export const values = (tensor) => tidy(() => tensor.detach().to("float32").toTypedArray());
const largest = (numbers) => numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const norm = (numbers) => Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0));

/** The largest difference, in parts of the largest expected value. */
export function assertClose(got, expected, tolerance, what) {
  assert.equal(got.length, expected.length, what);
  const difference = largest(got.map((value, i) => value - expected[i])) / Math.max(largest(expected), 1e-12);
  assert.ok(difference <= tolerance, `${what}: expected a difference of at most ${tolerance}, got ${difference}`);
}

/** The norm of the difference, in parts of the norm of `measure`. */
export function assertNear(got, expected, measure, tolerance, what) {
  const difference = norm(got.map((value, i) => value - expected[i])) / Math.max(norm(measure), 1e-12);
  assert.ok(difference <= tolerance, `${what}: expected a difference of at most ${tolerance}, got ${difference}`);
}
