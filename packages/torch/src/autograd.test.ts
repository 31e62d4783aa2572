// Gradients across calls: accumulation, retained graphs, detached tensors, grad mode.

import { describe, expect, test } from "vitest";
import { expectClose } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { enableGrad, grad, noGrad, ones, tensor, tidy } from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

const leaf = (...values: number[]) => tensor(values, { requiresGrad: true });

tidyTest("backward of a vector takes the gradient of its output, and refuses to go without", () => {
  const x = leaf(1, 2, 3);
  expect(() => x.square().backward()).toThrow("backward: ");
  x.square().backward(tensor([1, 10, 100]));
  expect(x.grad!.toArray()).toEqual([2, 40, 600]);
  expect(() => x.square().backward(ones([2]))).toThrow("backward: ");
});

tidyTest("gradients of several backwards add up in the leaf until it is cleared", () => {
  const x = leaf(1, 2);
  expect(x.grad).toBeUndefined();
  x.mul(3).sum().backward();
  x.square().sum().backward();
  expect(x.grad!.toArray()).toEqual([5, 7]);
  x.grad = undefined;
  expect(x.grad).toBeUndefined();
  x.mul(3).sum().backward();
  expect(x.grad!.toArray()).toEqual([3, 3]);
});

tidyTest(
  "grad is a handle onto the leaf's own gradient, and may be replaced by one of its shape, dtype and device",
  () => {
    const x = leaf(1, 2);
    x.sum().backward();
    x.grad!.mul_(5);
    expect(x.grad!.toArray()).toEqual([5, 5]);
    x.grad = tensor([7, 8]);
    expect(x.grad.toArray()).toEqual([7, 8]);
    for (const wrong of [ones([3]), ones([2], { dtype: "float64" }), ones([])])
      expect(() => {
        x.grad = wrong;
      }).toThrow("setGrad: expected a gradient like its tensor, Float [2] on cpu, got ");
  },
);

tidyTest("a graph is gone after backward unless it is retained", () => {
  const x = leaf(2);
  const retained = x.square().sum();
  retained.backward(undefined, { retainGraph: true });
  retained.backward();
  expect(x.grad!.item()).toBe(8);
  expect(() => retained.backward()).toThrow(/^backward: .*a second time/);
});

tidyTest("grad() gives gradients of several outputs and leaves every leaf's own alone", () => {
  const [x, y, unused] = [leaf(1, 2), leaf(3, 4), leaf(5)];
  const product = x.mul(y);
  const gradients = grad([product, y], [x, y, unused], [tensor([1, 10]), tensor([100, 100])]);
  expect(gradients.map((gradient) => gradient?.toArray())).toEqual([[3, 40], [101, 120], undefined]);
  expect([x.grad, y.grad]).toEqual([undefined, undefined]);
  const hidden = x.mul(2);
  expectClose(grad([hidden.square().sum()], [hidden])[0]!, [4, 8], 0);
  expect(() => grad([x.sum()], [tensor([1])])).toThrow("gradients: ");
});

tidyTest("detach shares the values and stops the gradient", () => {
  const x = leaf(1, 2);
  const y = x.mul(2);
  expect([y.requiresGrad, y.isLeaf, y.detach().requiresGrad, y.detach().isLeaf]).toEqual([true, false, false, true]);
  expect(y.detach().sharesMemory(y)).toBe(true);
  y.detach().mul(y).sum().backward();
  expect(x.grad!.toArray()).toEqual([4, 8]);
});

tidyTest("an in-place change of a leaf, or of a value that backward needs, is refused", () => {
  const x = leaf(1, 2);
  expect(() => x.add_(1)).toThrow("addScalar_: ");
  noGrad(() => x.add_(1));
  expect(x.toArray()).toEqual([2, 3]);
  const y = x.exp();
  const loss = y.sum();
  y.mul_(2);
  expect(() => loss.backward()).toThrow(/^backward: .*modified by an inplace operation/);
  expect(() => tensor([1], { dtype: "int64" }).requiresGrad_()).toThrow("requiresGrad_: ");
});

tidyTest("a graph outlives the handles of the tensors in it", () => {
  const x = leaf(1, 2);
  const loss = tidy(() => x.exp().log().mul(3).sum());
  loss.backward();
  expectClose(x.grad!, [3, 3], 1e-6);
});

describe("grad mode", () => {
  const records = () => tidy(() => leaf(1).mul(2).requiresGrad);

  test("is off inside noGrad, on inside enableGrad, however they are nested, and returns to what it was", () => {
    expect(records()).toBe(true);
    const inside = noGrad(() => [records(), enableGrad(() => [records(), noGrad(records), records()]), records()]);
    expect(inside).toEqual([false, [true, false, true], false]);
    expect(records()).toBe(true);
  });

  test("returns to what it was after an exception", () => {
    const fail = () => {
      throw new Error("stop");
    };
    expect(() => noGrad(() => enableGrad(fail))).toThrow("stop");
    expect(records()).toBe(true);
    noGrad(() => {
      expect(() => enableGrad(fail)).toThrow("stop");
      expect(records()).toBe(false);
    });
  });

  test("belongs to a synchronous function: a promise is refused and the mode restored", () => {
    expect(() => noGrad(async () => 1)).toThrow(
      "noGrad: expected a synchronous function, got one that returns a promise",
    );
    expect(() => enableGrad(async () => 1)).toThrow("enableGrad: expected a synchronous function");
    expect(native.isGradEnabled()).toBe(true);
  });
});
