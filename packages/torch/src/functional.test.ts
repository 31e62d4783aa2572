// Products, layers, losses and dropout: forward against plain TypeScript loops, gradients against finite differences.

import { expect } from "vitest";
import { expectClose, expectGradients, sample } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import {
  binaryCrossEntropyWithLogits,
  crossEntropy,
  dropout,
  embedding,
  Generator,
  layerNorm,
  linalgEigh,
  linalgQr,
  linear,
  matmul,
  mseLoss,
  ones,
  rmsNorm,
  scaledDotProductAttention,
  type Tensor,
  tensor,
  zeros,
} from "./index.js";

expectNoLeaks();

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const dot = (a: number[], b: number[]) => sum(a.map((value, i) => value * b[i]!));
const rowsOf = (x: Tensor) => {
  const [values, width] = [x.toArray(), x.shape.at(-1)!];
  return Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
};
const logSoftmax = (row: number[]) => row.map((value) => value - Math.log(sum(row.map(Math.exp))));
const softmax = (row: number[]) => logSoftmax(row).map(Math.exp);

tidyTest("matmul multiplies matrices, batches of them, and vectors", () => {
  const [a, b] = [sample([3, 4]), sample([4, 2], -2, 2, 1)];
  const columns = rowsOf(b.t());
  expectClose(
    a.matmul(b),
    rowsOf(a).flatMap((row) => columns.map((column) => dot(row, column))),
  );
  expectClose(
    a.matmul(b.select(1, 0)),
    rowsOf(a).map((row) => dot(row, columns[0]!)),
  );
  expectGradients((x, y) => x.matmul(y), a, b);
  expectGradients((x, y) => x.matmul(y), sample([2, 3, 4]), b);
  expectGradients((x, y) => x.matmul(y), sample([2, 2, 3, 4]), sample([2, 4, 1], -2, 2, 1));
  expectGradients((x, y) => x.matmul(y), sample([4]), sample([4], -2, 2, 1));
});

tidyTest("matmul writes into `out`, whose memory stays where it is", () => {
  const [a, b, out] = [sample([2, 3, 4]), sample([2, 4, 5]), zeros([2, 3, 5], { dtype: "float64" })];
  const view = out.view(-1);
  expect(matmul(a, b, { out })).toBe(out);
  expectClose(view, a.matmul(b).view(-1));
  expectClose(matmul(a, b), a.matmul(b));
});

tidyTest(
  "linalgEigh gives ascending eigenvalues with their orthonormal eigenvectors, and refuses what is not square",
  () => {
    const half = sample([4, 4]);
    const x = half.add(half.t());
    const { eigenvalues, eigenvectors } = linalgEigh(x);
    expectClose(eigenvectors.t().matmul(eigenvectors), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    expectClose(x.matmul(eigenvectors), eigenvectors.mul(eigenvalues));
    expect(eigenvalues.toArray()).toEqual(eigenvalues.toArray().sort((a, b) => a - b));
    expectGradients((half) => linalgEigh(half.add(half.t())).eigenvalues, half);
    expect(() => linalgEigh(sample([3, 4]))).toThrow(/^linalgEigh: /);
  },
);

tidyTest("linalgQr gives orthonormal columns and an upper triangle whose product is the matrix", () => {
  for (const [M, N] of [
    [5, 3],
    [3, 5],
  ] as const) {
    const x = sample([M, N]);
    const { q, r } = linalgQr(x);
    expect([q.shape, r.shape]).toEqual([[M, 3], [3, N]]); // biome-ignore format: a table
    expectClose(q.t().matmul(q), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    expect(r.toArray()).toEqual(r.triu().toArray());
    expectClose(q.matmul(r), x);
  }
  expectGradients((x) => linalgQr(x).r, sample([4, 3]));
});

tidyTest("linear is x times the weight's transpose plus the bias, on any number of leading dimensions", () => {
  const [x, weight, bias] = [sample([2, 3, 4]), sample([5, 4], -1, 1, 1), sample([5], -1, 1, 2)];
  const products = rowsOf(x).flatMap((row) => rowsOf(weight).map((column) => dot(row, column)));
  expect(linear(x, weight).shape).toEqual([2, 3, 5]);
  expectClose(linear(x, weight), products);
  expectClose(
    linear(x, weight, bias),
    products.map((value, i) => value + bias.toArray()[i % 5]!),
  );
  expectGradients((...inputs) => linear(inputs[0]!, inputs[1]!, inputs[2]!), x, weight, bias);
  expectGradients((...inputs) => linear(inputs[0]!, inputs[1]!), x, weight);
});

tidyTest("embedding picks rows, and a row picked twice gets both gradients", () => {
  const [indices, weight] = [tensor([[2, 0], [2, 1]], { dtype: "int64" }), sample([4, 3])]; // biome-ignore format: a matrix
  expect(embedding(indices, weight).shape).toEqual([2, 2, 3]);
  expectClose(
    embedding(indices, weight),
    [2, 0, 2, 1].flatMap((row) => rowsOf(weight)[row]!),
    0,
  );
  expectGradients((table) => embedding(indices, table), weight);
});

tidyTest("layerNorm and rmsNorm follow their formulas, with and without weights", () => {
  const [x, weight, bias] = [sample([2, 5]), sample([5], 0.5, 1.5, 1), sample([5], -1, 1, 2)];
  const [scale, shift] = [weight.toArray(), bias.toArray()];
  const standard = rowsOf(x).map((row) => {
    const mean = sum(row) / 5;
    const deviation = Math.sqrt(sum(row.map((value) => (value - mean) ** 2)) / 5 + 0.1);
    return row.map((value) => (value - mean) / deviation);
  });
  const unit = rowsOf(x).map((row) => row.map((value) => value / Math.sqrt(dot(row, row) / 5 + 0.1)));
  const eps = { eps: 0.1 };
  expectClose(layerNorm(x, [5], undefined, undefined, eps), standard.flat());
  expectClose(
    layerNorm(x, [5], weight, bias, eps),
    standard.flatMap((row) => row.map((v, i) => v * scale[i]! + shift[i]!)),
  );
  expectClose(rmsNorm(x, [5], undefined, eps), unit.flat());
  expectClose(
    rmsNorm(x, [5], weight, eps),
    unit.flatMap((row) => row.map((value, i) => value * scale[i]!)),
  );
  expectGradients((...inputs) => layerNorm(inputs[0]!, [5], inputs[1]!, inputs[2]!), x, weight, bias);
  expectGradients((...inputs) => layerNorm(inputs[0]!, [2, 5]), x);
  expectGradients((...inputs) => rmsNorm(inputs[0]!, [5], inputs[1]!), x, weight);
  expectGradients((...inputs) => rmsNorm(inputs[0]!, [5]), x);
});

tidyTest("crossEntropy leaves ignored targets out of sum and mean, and smooths labels evenly over the classes", () => {
  const [logits, classes] = [sample([4, 3]), [2, 0, -100, 1]];
  const target = tensor(classes, { dtype: "int64" });
  const rows = rowsOf(logits).map(logSoftmax);
  const losses = classes.map((target, i) => (target < 0 ? 0 : -rows[i]![target]!));
  const smooth = losses.map((loss, i) => (loss === 0 ? 0 : 0.9 * loss - (0.1 * sum(rows[i]!)) / 3));
  expectClose(crossEntropy(logits, target, { reduction: "none" }), losses);
  expectClose(crossEntropy(logits, target, { reduction: "sum" }), [sum(losses)]);
  expectClose(crossEntropy(logits, target), [sum(losses) / 3]);
  expectClose(crossEntropy(logits, target, { labelSmoothing: 0.1 }), [sum(smooth) / 3]);
  const ignoring = crossEntropy(logits, target.clamp(0), { reduction: "none", ignoreIndex: 0 });
  expectClose(
    ignoring,
    losses.map((loss, i) => (classes[i]! > 0 ? loss : 0)),
  );
  for (const reduction of ["none", "sum", "mean"] as const)
    expectGradients((x) => crossEntropy(x, target, { reduction, labelSmoothing: 0.1 }), logits);
});

tidyTest("binary cross entropy and squared error follow their formulas under every reduction", () => {
  const [x, target] = [sample([2, 3]), sample([2, 3], 0, 1, 1)];
  const [xs, ys] = [x.toArray(), target.toArray()];
  const entropies = xs.map((value, i) => Math.log(1 + Math.exp(value)) - value * ys[i]!);
  const squares = xs.map((value, i) => (value - ys[i]!) ** 2);
  for (const [loss, expected] of [
    [binaryCrossEntropyWithLogits, entropies],
    [mseLoss, squares],
  ] as const) {
    // biome-ignore format: pairs
    expectClose(loss(x, target, { reduction: "none" }), expected);
    expectClose(loss(x, target, { reduction: "sum" }), [sum(expected)]);
    expectClose(loss(x, target), [sum(expected) / 6]);
    expectGradients((a, b) => loss(a, b), x, target);
    expectGradients((a, b) => loss(a, b, { reduction: "none" }), x, target);
  }
});

tidyTest("scaledDotProductAttention mixes the values by softmax of the scaled, masked products", () => {
  const [q, k, v] = [0, 1, 2].map((seed) => sample([1, 2, 3, 4], -1, 1, seed)) as [Tensor, Tensor, Tensor];
  const allowed = tensor([[1, 0, 1], [1, 1, 0], [0, 0, 1]], { dtype: "bool" }); // biome-ignore format: a matrix
  const naive = (scale: number, mask: number[][]) =>
    [0, 1].flatMap((head) => {
      const [qs, ks, vs] = [q, k, v].map((x) => rowsOf(x.select(1, head))) as [number[][], number[][], number[][]];
      return qs.flatMap((query, i) => {
        const weights = softmax(ks.map((key, j) => scale * dot(query, key) + mask[i]![j]!));
        return [0, 1, 2, 3].map((d) => dot(weights, vs.map((value) => value[d]!))); // biome-ignore format: a product
      });
    });
  const none = [0, 1, 2].map(() => [0, 0, 0]);
  expectClose(scaledDotProductAttention(q, k, v), naive(0.5, none));
  expectClose(scaledDotProductAttention(q, k, v, { scale: 2 }), naive(2, none));
  const minusInfinity = rowsOf(allowed).map((row) => row.map((value) => (value ? 0 : Number.NEGATIVE_INFINITY)));
  expectClose(scaledDotProductAttention(q, k, v, { mask: allowed }), naive(0.5, minusInfinity));
  const bias = sample([3, 3], -1, 1, 3);
  expectClose(scaledDotProductAttention(q, k, v, { mask: bias }), naive(0.5, rowsOf(bias)));
  expectGradients((...x) => scaledDotProductAttention(x[0]!, x[1]!, x[2]!), q, k, v);
  expectGradients((...x) => scaledDotProductAttention(x[0]!, x[1]!, x[2]!, { mask: allowed, scale: 2 }), q, k, v);
});

tidyTest("dropout zeroes about p of the values, scales the rest, and repeats with its generator", () => {
  const generator = new Generator(7);
  const x = ones([100, 100]);
  const dropped = dropout(x, 0.25, generator);
  const values = new Set(dropped.toArray());
  expect(values).toEqual(new Set([0, Math.fround(1 / 0.75)]));
  expect(Math.abs(dropped.eq(0).to("float32").mean().item() - 0.25)).toBeLessThan(0.02); // 4.6 deviations
  expect(dropout(x, 0.25, generator.manualSeed(7)).toArray()).toEqual(dropped.toArray());
  expect(dropout(x, 0.25, generator).toArray()).not.toEqual(dropped.toArray());
  expectGradients((y) => dropout(y, 0.25, generator.manualSeed(7)), sample([4, 5]));
  expect(dropout(x, 0, generator)).toBe(x);
  expect(() => dropout(x, 1, generator)).toThrow("dropout: expected a probability in [0, 1), got 1");
});
