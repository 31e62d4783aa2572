// The oracle of the op tests: float64 samples, closeness with the worst value named, and gradients against central
// finite differences, f'(x) ~ (f(x + h) - f(x - h)) / 2h with h = 1e-6, whose error here is about 1e-9.

import { expect } from "vitest";
import { fromTypedArray, grad, noGrad, type Tensor, tidy } from "../src/index.js";

/** Values spread irregularly over [low, high): the fractional parts of multiples of the golden ratio, from `seed` on. */
export function sampleValues(count: number, low = -2, high = 2, seed = 0): Float64Array<ArrayBuffer> {
  return Float64Array.from(
    { length: count },
    (_, i) => low + (high - low) * (((i + 1 + 17 * seed) * 0.6180339887) % 1),
  );
}

export function sample(shape: readonly number[], low = -2, high = 2, seed = 0): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return fromTypedArray(sampleValues(count, low, high, seed), { shape });
}

/** Fails, naming the worst value, unless |actual - expected| <= tolerance * (1 + |expected|) everywhere. */
export function expectClose(actual: Tensor | number[], expected: Tensor | number[], tolerance = 1e-12): void {
  const [got, want] = [actual, expected].map((values) => (Array.isArray(values) ? values : values.toArray()));
  expect(got!.length).toBe(want!.length);
  let worst = { error: 0, at: "" };
  got!.forEach((value, i) => {
    const error = Object.is(value, want![i]) ? 0 : Math.abs(value - want![i]!) / (1 + Math.abs(want![i]!));
    if (!(error <= worst.error)) worst = { error, at: ` at ${i}: expected ${want![i]}, got ${value}` };
  });
  if (!(worst.error <= tolerance)) expect.fail(`error ${worst.error} above ${tolerance}${worst.at}`);
}

/**
 * Compares d(sum(weights * fn(inputs)))/d(input), weights of the output's shape, with finite differences for every
 * element of every float64 input. Returns nothing; frees all it makes.
 */
export function expectGradients(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): void {
  tidy(() => {
    const weighted = (values: Tensor[]) => {
      const output = fn(...values);
      return output.mul(sample(output.shape, 0.5, 1.5, 5)).sum();
    };
    const arrays = inputs.map((input) => input.toTypedArray() as Float64Array);
    const leaves = inputs.map((input, i) => fromTypedArray(arrays[i]!, { shape: input.shape, requiresGrad: true }));
    const analytic = grad([weighted(leaves)], leaves);
    const value = () => noGrad(() => tidy(() => weighted(leaves).item()));
    const step = 1e-6;
    arrays.forEach((array, i) => {
      expect(analytic[i], `the gradient of input ${i}`).toBeDefined();
      expect(analytic[i]!.shape).toEqual(inputs[i]!.shape);
      const numeric = Array.from(array, (x, j) => {
        array[j] = x + step;
        const above = value();
        array[j] = x - step;
        const below = value();
        array[j] = x;
        return (above - below) / (2 * step);
      });
      expectClose(analytic[i]!, numeric, 1e-7);
    });
  });
}
