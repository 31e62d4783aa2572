// Elementwise ops: forward against the same formula in plain TypeScript (float64), gradients against finite differences.

import { describe, expect } from "vitest";
import { expectClose, expectGradients, sample, sampleValues } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { type Tensor, tensor, where } from "./index.js";

expectNoLeaks();

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
// The Maclaurin series, which converges to full precision for |x| < 3.
const erf = (x: number) => {
  let [term, sum] = [x, x];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};
const tanhGelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const unary: [string, (x: Tensor) => Tensor, (x: number) => number, number?, number?][] = [
  ["neg", (x) => x.neg(), (x) => -x],
  ["abs", (x) => x.abs(), Math.abs],
  ["exp", (x) => x.exp(), Math.exp],
  ["log", (x) => x.log(), Math.log, 0.2, 3],
  ["sqrt", (x) => x.sqrt(), Math.sqrt, 0.2, 3],
  ["rsqrt", (x) => x.rsqrt(), (x) => 1 / Math.sqrt(x), 0.2, 3],
  ["square", (x) => x.square(), (x) => x * x],
  ["reciprocal", (x) => x.reciprocal(), (x) => 1 / x, 0.2, 3],
  ["sin", (x) => x.sin(), Math.sin],
  ["cos", (x) => x.cos(), Math.cos],
  ["tanh", (x) => x.tanh(), Math.tanh],
  ["erf", (x) => x.erf(), erf],
  ["sigmoid", (x) => x.sigmoid(), sigmoid],
  ["relu", (x) => x.relu(), (x) => Math.max(x, 0)],
  ["silu", (x) => x.silu(), (x) => x * sigmoid(x)],
  ["gelu", (x) => x.gelu(), (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
  ["gelu by tanh", (x) => x.gelu({ approximate: "tanh" }), tanhGelu],
  ["round", (x) => x.round(), Math.round],
  ["floor", (x) => x.floor(), Math.floor],
  ["clamp", (x) => x.clamp(-0.5, 0.7), (x) => Math.min(Math.max(x, -0.5), 0.7)],
  ["clamp from below", (x) => x.clamp(0.1), (x) => Math.max(x, 0.1)],
  ["clamp from above", (x) => x.clamp(undefined, 0.1), (x) => Math.min(x, 0.1)],
  ["add of a number", (x) => x.add(2.5, { alpha: 2 }), (x) => x + 5],
  ["sub of a number", (x) => x.sub(2.5, { alpha: 2 }), (x) => x - 5],
  ["mul by a number", (x) => x.mul(-3), (x) => x * -3],
  ["div by a number", (x) => x.div(4), (x) => x / 4],
  ["pow of a whole number", (x) => x.pow(3), (x) => x ** 3],
  ["pow of a fraction", (x) => x.pow(2.5), (x) => x ** 2.5, 0.2, 3],
  ["add_ of a number", (x) => x.clone().add_(2), (x) => x + 2],
  ["mul_ by a number", (x) => x.clone().mul_(1.5), (x) => x * 1.5],
  ["div_ by a number", (x) => x.clone().div_(2), (x) => x / 2],
];

describe("a function of one number agrees with its formula and its gradient with finite differences:", () => {
  for (const [name, op, formula, low = -2.6, high = 2.6] of unary)
    tidyTest(name, () => {
      const x = sample([3, 4], low, high);
      expectClose(op(x), Array.from(sampleValues(12, low, high), formula), 1e-12);
      expectGradients(op, x);
    });
});

// b [4] is broadcast over the rows of a [3, 4].
const binary: [string, (a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number][] = [
  ["add", (a, b) => a.add(b), (a, b) => a + b],
  ["add with alpha", (a, b) => a.add(b, { alpha: 0.5 }), (a, b) => a + 0.5 * b],
  ["sub", (a, b) => a.sub(b), (a, b) => a - b],
  ["sub with alpha", (a, b) => a.sub(b, { alpha: 2 }), (a, b) => a - 2 * b],
  ["mul", (a, b) => a.mul(b), (a, b) => a * b],
  ["div", (a, b) => a.div(b), (a, b) => a / b],
  ["pow", (a, b) => a.pow(b), (a, b) => a ** b],
  ["maximum", (a, b) => a.maximum(b), Math.max],
  ["minimum", (a, b) => a.minimum(b), Math.min],
  ["add_", (a, b) => a.clone().add_(b), (a, b) => a + b],
  ["add_ with alpha", (a, b) => a.clone().add_(b, { alpha: -3 }), (a, b) => a - 3 * b],
  ["mul_", (a, b) => a.clone().mul_(b), (a, b) => a * b],
  ["div_", (a, b) => a.clone().div_(b), (a, b) => a / b],
  ["copy_", (a, b) => a.mul(2).copy_(b).add(a), (a, b) => a + b],
];

describe("a function of two broadcast tensors agrees with its formula and its gradients with finite differences:", () => {
  for (const [name, op, formula] of binary)
    tidyTest(name, () => {
      const [a, b] = [sampleValues(12, 0.3, 2), sampleValues(4, 0.4, 1.9, 1)];
      const inputs = [sample([3, 4], 0.3, 2), sample([4], 0.4, 1.9, 1)] as const;
      expectClose(
        op(...inputs),
        Array.from(a, (value, i) => formula(value, b[i % 4]!)),
        1e-12,
      );
      expectGradients(op as (...inputs: Tensor[]) => Tensor, ...inputs);
    });
});

tidyTest("maskedFill and where take each value and each gradient from the side that the mask names", () => {
  const mask = tensor([true, false, true], { dtype: "bool" });
  const [a, b] = [sample([2, 3]), sample([2, 3], -2, 2, 1)];
  const [av, bv] = [a.toArray(), b.toArray()];
  expectClose(
    a.maskedFill(mask, -7),
    av.map((value, i) => (i % 3 === 1 ? value : -7)),
    0,
  );
  expectClose(
    where(mask, a, b),
    av.map((value, i) => (i % 3 === 1 ? bv[i]! : value)),
    0,
  );
  expectGradients((x) => x.maskedFill(mask, -7).mul(x), a);
  expectGradients((x, y) => where(mask, x, y), a, b);
});

tidyTest("comparisons with a tensor and with a number give bools", () => {
  const [a, b] = [tensor([1, 2, 3]), tensor([3, 2, 1])];
  const comparisons = [
    ["eq", [0, 1, 0]],
    ["ne", [1, 0, 1]],
    ["lt", [1, 0, 0]],
    ["le", [1, 1, 0]],
    ["gt", [0, 0, 1]],
    ["ge", [0, 1, 1]],
  ] as const;
  for (const [op, expected] of comparisons) {
    expect(a[op](b).dtype).toBe("bool");
    expect(a[op](b).toArray(), op).toEqual(expected);
    expect(a[op](2).toArray(), `${op} of a number`).toEqual(expected);
  }
});

tidyTest("logical ops, all and any follow their truth tables", () => {
  const [a, b] = [tensor([true, true, false, false], { dtype: "bool" }), tensor([1, 0, 1, 0], { dtype: "bool" })];
  expect(a.logicalAnd(b).toArray()).toEqual([1, 0, 0, 0]);
  expect(a.logicalOr(b).toArray()).toEqual([1, 1, 1, 0]);
  expect(a.logicalNot().toArray()).toEqual([0, 0, 1, 1]);
  expect([a.all().item(), a.any().item(), a.logicalNot().logicalAnd(a).any().item()]).toEqual([0, 1, 0]);
});

tidyTest("isnan and isfinite tell numbers, NaN and infinities apart", () => {
  const x = tensor([0, Number.NaN, Number.POSITIVE_INFINITY, -1]);
  expect(x.isnan().toArray()).toEqual([0, 1, 0, 0]);
  expect(x.isfinite().toArray()).toEqual([1, 0, 0, 1]);
});

tidyTest("round takes a half to the even neighbour", () => {
  expect(tensor([0.5, 1.5, 2.5, -1.5]).round().toArray()).toEqual([0, 2, 2, -2]);
});

tidyTest("fill_ and zero_ overwrite every value and cut its gradient", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  const y = x.mul(3);
  y.fill_(4).sum().backward();
  expect(y.toArray()).toEqual([4, 4]);
  expect(x.grad!.toArray()).toEqual([0, 0]);
  expect(tensor([1, 2]).zero_().toArray()).toEqual([0, 0]);
});

tidyTest("a whole number leaves an integer tensor integer, a fraction makes it float32", () => {
  const x = tensor([1, 2], { dtype: "int64" });
  const results = [x.mul(2), x.add(1), x.sub(0), x.mul(-0), x.mul(0.5)];
  expect(results.map((y) => y.dtype)).toEqual(["int64", "int64", "int64", "int64", "float32"]);
});
