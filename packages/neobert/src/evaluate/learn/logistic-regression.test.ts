// Oracle: golden/metrics/logistic_regression.json.gz, made by scikit-learn.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { LogisticRegression } from "./logistic-regression.js";
import { plainProducts } from "./products.js";
import { torchProducts } from "./torch-products.js";

interface Case {
  X: number[][];
  y: number[];
  X_test: number[][];
  expected: {
    coef: number[][];
    intercept: number[];
    n_iter: number[];
    predictions: number[];
    probabilities: number[][];
  };
  exact_optimum: { coef: number[][]; intercept: number[] };
}
const cases: Case[] = golden("logistic_regression.json.gz").cases;
const largest = (values: ArrayLike<number>) => Math.max(...Array.from(values, Math.abs));
const furthest = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
};

describe.each([["plain loops", () => plainProducts] as const, ["libtorch", torchProducts] as const])(
  "with %s",
  (_, load) => {
    test.each(cases.map((one, i) => [i, one] as const))(
      "case %i: coefficients, probabilities, predictions and the number of iterations equal scikit-learn's",
      async (_, { X, y, X_test, expected }) => {
        const products = await load();
        const d = X[0]!.length;
        const model = LogisticRegression.fit(X.flat(), d, y, { products });
        const coef = expected.coef.flat();
        expect(furthest(model.coef, coef) / largest(coef)).toBeLessThan(1e-2);
        expect(furthest(model.intercept, expected.intercept)).toBeLessThan(
          1e-2 * Math.max(1, largest(expected.intercept)),
        );
        expect(Math.abs(model.iterations - expected.n_iter[0]!)).toBeLessThanOrEqual(2);
        const test = products.matrix(Float32Array.from(X_test.flat()), d);
        expect(furthest(model.predictProba(test), expected.probabilities.flat())).toBeLessThan(1e-2);
        const predictions = model.predict(test);
        const agree = predictions.filter((label, i) => label === expected.predictions[i]).length;
        expect(agree / predictions.length).toBeGreaterThanOrEqual(0.97);
        test.dispose();
      },
    );
  },
);

test("a strict tolerance reaches the optimum of the objective", () => {
  for (const { X, y, exact_optimum } of cases) {
    const options = { products: plainProducts, tol: 1e-10, maxIter: 100000 };
    const model = LogisticRegression.fit(X.flat(), X[0]!.length, y, options);
    const coef = exact_optimum.coef.flat();
    expect(furthest(model.coef, coef) / largest(coef)).toBeLessThan(1e-5);
  }
});

test("classes may be strings, in rising order; one class alone is refused", () => {
  const x = [1, 0, 0.9, 0.1, 0, 1, 0.1, 1.1];
  const model = LogisticRegression.fit(x, 2, ["b", "b", "a", "a"], { products: plainProducts, C: 100 });
  expect(model.classes).toEqual(["a", "b"]);
  expect(model.predict(plainProducts.matrix(Float32Array.from(x), 2))).toEqual(["b", "b", "a", "a"]);
  expect(() => LogisticRegression.fit(x, 2, [1, 1, 1, 1], { products: plainProducts })).toThrow(
    "LogisticRegression: expected two classes or more, got 1",
  );
});
