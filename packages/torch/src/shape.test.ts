// Ops that move, cut, join and index: values written out by hand, gradients against finite differences.

import { describe, expect } from "vitest";
import { expectGradients, sample } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { arange, cat, ones, stack, type Tensor, tensor } from "./index.js";

expectNoLeaks();

const index = (...values: number[]) => tensor(values, { dtype: "int64" });
const mask = () => tensor([true, false, true], { dtype: "bool" });

// On [[0, 1, 2], [3, 4, 5]]: the shape and the values of the result.
const ops: [string, (x: Tensor) => Tensor, number[], number[]][] = [
  ["reshape", (x) => x.t().reshape(2, -1), [2, 3], [0, 3, 1, 4, 2, 5]],
  ["view", (x) => x.view(3, 2), [3, 2], [0, 1, 2, 3, 4, 5]],
  ["flatten", (x) => x.flatten(), [6], [0, 1, 2, 3, 4, 5]],
  ["flatten from a dimension", (x) => x.view(1, 2, 3).flatten(1), [1, 6], [0, 1, 2, 3, 4, 5]],
  ["transpose", (x) => x.transpose(0, -1), [3, 2], [0, 3, 1, 4, 2, 5]],
  ["t", (x) => x.t(), [3, 2], [0, 3, 1, 4, 2, 5]],
  ["permute", (x) => x.view(2, 3, 1).permute(2, 1, 0), [1, 3, 2], [0, 3, 1, 4, 2, 5]],
  ["unsqueeze", (x) => x.unsqueeze(1), [2, 1, 3], [0, 1, 2, 3, 4, 5]],
  ["squeeze", (x) => x.view(1, 2, 1, 3).squeeze(), [2, 3], [0, 1, 2, 3, 4, 5]],
  ["squeeze of a dimension", (x) => x.view(1, 2, 1, 3).squeeze(2), [1, 2, 3], [0, 1, 2, 3, 4, 5]],
  ["expand", (x) => x.view(2, 1, 3).expand(-1, 2, 3), [2, 2, 3], [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]],
  ["repeat", (x) => x.repeat(1, 2), [2, 6], [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]],
  ["flip", (x) => x.flip(1), [2, 3], [2, 1, 0, 5, 4, 3]],
  ["narrow", (x) => x.narrow(1, 1, 2), [2, 2], [1, 2, 4, 5]],
  ["select", (x) => x.select(0, -1), [3], [3, 4, 5]],
  ["split into given sizes", (x) => x.split([1, 2], 1)[1]!, [2, 2], [1, 2, 4, 5]],
  ["split into one size", (x) => x.split(2, 1)[1]!, [2, 1], [2, 5]],
  ["chunk", (x) => x.chunk(2)[1]!, [1, 3], [3, 4, 5]],
  ["unbind", (x) => x.unbind(1)[2]!, [2], [2, 5]],
  ["contiguous", (x) => x.t().contiguous(), [3, 2], [0, 3, 1, 4, 2, 5]],
  ["clone", (x) => x.clone(), [2, 3], [0, 1, 2, 3, 4, 5]],
  ["indexSelect", (x) => x.indexSelect(1, index(2, 0, 2)), [2, 3], [2, 0, 2, 5, 3, 5]],
  ["gather", (x) => x.gather(1, index(2, 0).view(2, 1)), [2, 1], [2, 3]],
  ["maskedSelect", (x) => x.maskedSelect(mask()), [4], [0, 2, 3, 5]],
  ["tril", (x) => x.tril(), [2, 3], [0, 0, 0, 3, 4, 0]],
  ["triu", (x) => x.triu(1), [2, 3], [0, 1, 2, 0, 0, 5]],
  ["cat", (x) => cat([x, x.mul(2)], 1), [2, 6], [0, 1, 2, 0, 2, 4, 3, 4, 5, 6, 8, 10]],
  ["stack", (x) => stack([x, x.mul(2)], 1), [2, 2, 3], [0, 1, 2, 0, 2, 4, 3, 4, 5, 6, 8, 10]],
  ["indexAdd_", (x) => x.clone().indexAdd_(1, index(0, 0), x.narrow(1, 1, 2)), [2, 3], [3, 1, 2, 12, 4, 5]],
  ["indexCopy_", (x) => x.clone().indexCopy_(1, index(0), x.narrow(1, 2, 1)), [2, 3], [2, 1, 2, 5, 4, 5]],
  ["to another dtype and back", (x) => x.to("float32").to("float64"), [2, 3], [0, 1, 2, 3, 4, 5]],
];

describe("a shape op gives the values written out here, and its gradient agrees with finite differences:", () => {
  for (const [name, op, shape, values] of ops)
    tidyTest(name, () => {
      const y = op(arange(6).to("float64").view(2, 3));
      expect(y.shape).toEqual(shape);
      expect(y.toArray()).toEqual(values);
      // float32 on the way has too few digits for finite differences.
      if (!name.startsWith("to ")) expectGradients(op, sample([2, 3]));
    });
});

tidyTest("a change of dtype hands the gradient back in the dtype it came from", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  x.to("float64").mul(3).sum().backward();
  expect(x.grad!.dtype).toBe("float32");
  expect(x.grad!.toArray()).toEqual([3, 3]);
});

tidyTest("split, chunk and unbind cover the dimension without overlap", () => {
  const x = arange(7);
  expect(x.split(3).map((part) => part.toArray())).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  expect(x.chunk(3).map((part) => part.toArray())).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  expect(x.unbind().map((part) => part.item())).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

tidyTest("nonzero lists the places of the values that are not zero, one a row", () => {
  expect(tensor([[0, 7], [8, 0]]).nonzero().toArray()).toEqual([0, 1, 1, 0]); // biome-ignore format: a matrix
});

tidyTest("views share memory with their tensor, copies do not", () => {
  const x = ones([2, 3]);
  expect(
    [x.view(6), x.t(), x.narrow(1, 0, 2), x.select(0, 1), x.expand(4, 2, 3)].map((y) => y.sharesMemory(x)),
  ).toEqual(Array(5).fill(true));
  expect([x.clone(), x.t().contiguous(), x.repeat(1, 1)].map((y) => y.sharesMemory(x))).toEqual([false, false, false]);
  expect([x.t().isContiguous(), x.t().strides]).toEqual([false, [1, 3]]);
});
