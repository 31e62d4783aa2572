import { expect, test } from "vitest";
import { lbfgs } from "./lbfgs.js";

const options = { maxIterations: 200, gradientTolerance: 1e-8, valueTolerance: 0 };

/** Rosenbrock's valley: a minimum of 0 at (1, 1, ...), along a bent and narrow floor. */
function rosenbrock(x: Float64Array, gradient: Float64Array): number {
  gradient.fill(0);
  let sum = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const [a, b] = [x[i]!, x[i + 1]!];
    sum += 100 * (b - a * a) ** 2 + (1 - a) ** 2;
    gradient[i]! += -400 * a * (b - a * a) - 2 * (1 - a);
    gradient[i + 1]! += 200 * (b - a * a);
  }
  return sum;
}

test("the bottom of Rosenbrock's valley is found, in few iterations", () => {
  const { x, value, iterations, isConverged } = lbfgs(
    rosenbrock,
    Float64Array.from([-1.2, 1, -0.5, 2, 1, -3]),
    options,
  );
  expect(isConverged).toBe(true);
  for (const coordinate of x) expect(coordinate).toBeCloseTo(1, 6);
  expect(value).toBeLessThan(1e-12);
  expect(iterations).toBeLessThan(100);
});

test("every step goes down", () => {
  let before = Number.POSITIVE_INFINITY;
  for (let maxIterations = 1; maxIterations < 30; maxIterations++) {
    const start = Float64Array.from([-1.2, 1, 4, -2]);
    const { value, iterations } = lbfgs(rosenbrock, start, { ...options, maxIterations });
    expect(iterations).toBe(maxIterations);
    expect(value).toBeLessThan(before);
    before = value;
  }
});

test("a start at the minimum takes no step; a slope without end stops at the iterations allowed", () => {
  expect(lbfgs(rosenbrock, Float64Array.from([1, 1]), options)).toMatchObject({ iterations: 0, isConverged: true });
  const slope = (x: Float64Array, gradient: Float64Array) => {
    gradient[0] = -1;
    return -x[0]!;
  };
  expect(lbfgs(slope, Float64Array.from([0]), { ...options, maxIterations: 5 }).isConverged).toBe(false);
});

test("a value that cannot be lowered ends the search instead of repeating it", () => {
  // The gradient points the wrong way, so no step goes down.
  const wrong = (x: Float64Array, gradient: Float64Array) => {
    gradient[0] = -2 * x[0]!;
    return x[0]! ** 2;
  };
  const result = lbfgs(wrong, Float64Array.from([3]), { ...options, maxEvaluations: 4 });
  expect(result).toMatchObject({ iterations: 0, isConverged: false, value: 9 });
});
