// Logistic regression as scikit-learn's LogisticRegression with its defaults (lbfgs, L2 with C = 1, intercept not penalised):
// one weight vector for two classes, softmax over all for more. Minimized is the mean loss plus ||W||^2 / (2 C n), from zero,
// in float64; the solver's early stop is part of the result. Both products of an iteration are of the kept matrix X.

import type { Labels } from "../metrics/classification-metrics.js";
import { lbfgsSteps } from "./lbfgs.js";
import type { Matrix, Products } from "./products.js";
import { finish, type Sliced } from "./slices.js";

export interface LogisticRegressionOptions {
  products: Products;
  /** The inverse of the penalty's strength. */
  C?: number;
  maxIter?: number;
  /** The largest component of the gradient at which the solver ends. */
  tol?: number;
}

type Label = number | string;

export class LogisticRegression {
  /** The classes in rising order. */
  readonly classes: readonly Label[];
  /** [K, d]; K is 1 for two classes. */
  readonly coef: Float64Array;
  readonly intercept: Float64Array;
  readonly iterations: number;
  readonly isConverged: boolean;

  private constructor(
    classes: readonly Label[],
    K: number,
    parameters: Float64Array,
    result: { iterations: number; isConverged: boolean },
  ) {
    this.classes = classes;
    this.coef = parameters.subarray(0, parameters.length - K);
    this.intercept = parameters.subarray(parameters.length - K);
    this.iterations = result.iterations;
    this.isConverged = result.isConverged;
  }

  /** Fits rows `x` [n, d] to their labels, of two classes or more. */
  static fit(x: ArrayLike<number>, d: number, labels: Labels, options: LogisticRegressionOptions): LogisticRegression {
    return finish(LogisticRegression.fitSteps(x, d, labels, options));
  }

  /** The same, a step at a time. */
  static *fitSteps(
    x: ArrayLike<number>,
    d: number,
    labels: Labels,
    options: LogisticRegressionOptions,
  ): Sliced<LogisticRegression> {
    const { products, C = 1, maxIter = 100, tol = 1e-4 } = options;
    const n = labels.length;
    if (x.length !== n * d) {
      throw new RangeError(`LogisticRegression: expected ${n} rows of ${d} values, got ${x.length} values`);
    }
    const classes = [...new Set(Array.from(labels))].sort((a, b) => (a < b ? -1 : 1));
    if (classes.length < 2) {
      throw new RangeError(`LogisticRegression: expected two classes or more, got ${classes.join() || "no rows"}`);
    }
    const place = new Map(classes.map((label, k) => [label, k]));
    const targets = Int32Array.from(Array.from(labels), (label) => place.get(label)!);
    const K = classes.length === 2 ? 1 : classes.length;
    const matrix = products.matrix(new Float64Array(x), d);
    try {
      const result = yield* lbfgsSteps(
        (parameters, gradient) => lossAndGradient(matrix, targets, K, 1 / (C * n), parameters, gradient),
        new Float64Array(K * d + K),
        { maxIterations: maxIter, gradientTolerance: tol, valueTolerance: 64 * 2 ** -52 },
      );
      return new LogisticRegression(classes, K, result.x, result);
    } finally {
      matrix.dispose();
    }
  }

  /** x W^T + b: [n, K]. */
  decisionFunction(x: Matrix<Float32Array>): Float32Array {
    const K = this.intercept.length;
    const scores = x.timesTransposed(new Float32Array(this.coef));
    for (let at = 0; at < scores.length; at += K) {
      for (let k = 0; k < K; k++) scores[at + k] = scores[at + k]! + this.intercept[k]!;
    }
    return scores;
  }

  predict(x: Matrix<Float32Array>): Label[] {
    const scores = this.decisionFunction(x);
    const K = this.intercept.length;
    if (K === 1) return Array.from(scores, (score) => this.classes[score > 0 ? 1 : 0]!);
    return Array.from({ length: scores.length / K }, (_, i) => {
      const at = i * K;
      let best = 0;
      let most = scores[at]!;
      for (let k = 1; k < K; k++) {
        if (scores[at + k]! <= most) continue;
        best = k;
        most = scores[at + k]!;
      }
      return this.classes[best]!;
    });
  }

  /** The probability of each class: [n, classes]. */
  predictProba(x: Matrix<Float32Array>): Float64Array {
    const K = this.intercept.length;
    const scores = new Float64Array(this.decisionFunction(x));
    if (K === 1) {
      const both = new Float64Array(2 * scores.length);
      for (const [i, score] of scores.entries()) {
        both[2 * i + 1] = 1 / (1 + Math.exp(-score));
        both[2 * i] = 1 / (1 + Math.exp(score));
      }
      return both;
    }
    for (let i = 0; i < scores.length; i += K) softmax_(scores, i, K);
    return scores;
  }
}

/** Turns K scores from `at` on into their probabilities, and returns the logarithm of the sum of their exponentials. */
function softmax_(scores: Float64Array, at: number, K: number): number {
  const end = at + K;
  let largest = scores[at]!;
  for (let k = at + 1; k < end; k++) if (scores[k]! > largest) largest = scores[k]!;
  let sum = 0;
  for (let k = at; k < end; k++) {
    const power = Math.exp(scores[k]! - largest);
    scores[k] = power;
    sum += power;
  }
  const scale = 1 / sum;
  for (let k = at; k < end; k++) scores[k] = scores[k]! * scale;
  return largest + Math.log(sum);
}

/** The objective at parameters [W [K, d] | b [K]]; writes its gradient. */
function lossAndGradient(
  x: Matrix<Float64Array>,
  targets: Int32Array,
  K: number,
  penalty: number,
  parameters: Float64Array,
  gradient: Float64Array,
): number {
  const [n, d] = x.shape;
  const weights = parameters.subarray(0, K * d);
  const residuals = x.timesTransposed(weights); // [n, K]: scores, then probabilities less the truth, over n
  const bias = K * d;
  gradient.fill(0, bias);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    const at = i * K;
    for (let k = 0; k < K; k++) residuals[at + k] = residuals[at + k]! + parameters[bias + k]!;
    const target = targets[i]!;
    if (K === 1) {
      const score = residuals[at]!;
      const small = Math.exp(-Math.abs(score));
      loss += Math.log1p(small) + Math.max(score, 0) - target * score;
      residuals[at] = (score > 0 ? 1 : small) / (1 + small) - target;
    } else {
      const truth = residuals[at + target]!;
      loss += softmax_(residuals, at, K) - truth;
      residuals[at + target]! -= 1;
    }
    for (let k = 0; k < K; k++) {
      const residual = residuals[at + k]! / n;
      residuals[at + k] = residual;
      gradient[bias + k] = gradient[bias + k]! + residual;
    }
  }
  gradient.set(x.transposedTimes(residuals)); // [K, d]
  let squares = 0;
  for (let i = 0; i < K * d; i++) {
    const weight = weights[i]!;
    squares += weight * weight;
    gradient[i]! += penalty * weight;
  }
  return loss / n + 0.5 * penalty * squares;
}
