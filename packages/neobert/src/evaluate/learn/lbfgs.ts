// L-BFGS (Liu and Nocedal 1989) with the choices of L-BFGS-B 3.0 without bounds (Zhu, Byrd, Lu, Nocedal 1997), which
// scikit-learn reaches through scipy: ten pairs remembered, first step 1 / ||gradient||, the line search of Moré and Thuente,
// and its two tests for the end. The same tests matter: solvers that stop elsewhere predict some rows otherwise.

import { lineSearch } from "./line-search.js";
import { dot } from "./products.js";
import { finish, type Sliced } from "./slices.js";

export interface LbfgsOptions {
  maxIterations: number;
  /** Ends where no component of the gradient is larger. */
  gradientTolerance: number;
  /** Ends where a step lowers the value by no more than this part of it (of 1 where the value is smaller). */
  valueTolerance: number;
  /** Evaluations within one step: 50 unless said. */
  maxEvaluations?: number;
}

export interface LbfgsResult {
  x: Float64Array;
  value: number;
  iterations: number;
  /** False where the iterations ran out or no step went down. */
  isConverged: boolean;
}

const MEMORY = 10;
const EPSILON = 2 ** -52;

interface CurvaturePair {
  step: Float64Array;
  change: Float64Array;
  /** The product of the two. */
  curvature: number;
}

type Objective = (x: Float64Array, gradient: Float64Array) => number;

/** Minimizes from `start`; `evaluate` returns the value at x and writes its gradient. */
export function lbfgs(evaluate: Objective, start: Float64Array, options: LbfgsOptions): LbfgsResult {
  return finish(lbfgsSteps(evaluate, start, options));
}

/** The same, a step at a time. */
export function* lbfgsSteps(evaluate: Objective, start: Float64Array, options: LbfgsOptions): Sliced<LbfgsResult> {
  const size = start.length;
  let x = start.slice();
  let gradient = new Float64Array(size);
  let value = evaluate(x, gradient);
  let pairs: CurvaturePair[] = [];
  let iterations = 0;
  if (maxAbs(gradient) <= options.gradientTolerance) return { x, value, iterations, isConverged: true };

  while (iterations < options.maxIterations) {
    yield;
    const direction = descend(gradient, pairs);
    const slope = dot(gradient, 0, direction, 0, size);
    const firstStep = iterations === 0 ? 1 / Math.sqrt(dot(direction, 0, direction, 0, size)) : 1;
    const nextX = new Float64Array(size);
    const nextGradient = new Float64Array(size);
    const accepted =
      slope < 0
        ? lineSearch(
            (step) => {
              for (let i = 0; i < size; i++) nextX[i] = x[i]! + step * direction[i]!;
              const there = evaluate(nextX, nextGradient);
              return { step, value: there, slope: dot(nextGradient, 0, direction, 0, size) };
            },
            { step: 0, value, slope },
            firstStep,
            { maxStep: 1e10, maxEvaluations: options.maxEvaluations ?? 50 },
          )
        : undefined;
    if (!accepted) {
      // The remembered pairs lead nowhere: once more along the gradient.
      if (pairs.length === 0) return { x, value, iterations, isConverged: false };
      pairs = [];
      continue;
    }
    iterations++;
    const before = value;
    value = accepted.value;
    const curvature = (accepted.slope - slope) * accepted.step;
    if (curvature > EPSILON * -slope * accepted.step) {
      for (let i = 0; i < size; i++) {
        direction[i]! *= accepted.step;
        gradient[i] = nextGradient[i]! - gradient[i]!;
      }
      pairs.push({ step: direction, change: gradient, curvature });
      if (pairs.length > MEMORY) pairs.shift();
    }
    [x, gradient] = [nextX, nextGradient];
    const isFlat = maxAbs(gradient) <= options.gradientTolerance;
    const scale = Math.max(Math.abs(before), Math.abs(value), 1);
    if (isFlat || before - value <= options.valueTolerance * scale) return { x, value, iterations, isConverged: true };
  }
  return { x, value, iterations, isConverged: false };
}

/** Minus the approximate inverse Hessian times the gradient: the two loops over the remembered pairs. */
function descend(gradient: Float64Array, pairs: readonly CurvaturePair[]): Float64Array {
  const size = gradient.length;
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) result[i] = -gradient[i]!;
  const factors: number[] = [];
  for (let p = pairs.length - 1; p >= 0; p--) {
    const { step, change, curvature } = pairs[p]!;
    const factor = dot(step, 0, result, 0, size) / curvature;
    factors[p] = factor;
    for (let i = 0; i < size; i++) result[i]! -= factor * change[i]!;
  }
  const last = pairs.at(-1);
  if (last) {
    const scale = last.curvature / dot(last.change, 0, last.change, 0, size);
    for (let i = 0; i < size; i++) result[i]! *= scale;
  }
  for (const [p, { step, change, curvature }] of pairs.entries()) {
    const factor = factors[p]! - dot(change, 0, result, 0, size) / curvature;
    for (let i = 0; i < size; i++) result[i]! += factor * step[i]!;
  }
  return result;
}

function maxAbs(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > largest) largest = size;
  }
  return largest;
}
