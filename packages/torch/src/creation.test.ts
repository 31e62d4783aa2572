// Making tensors, and the way to and from typed arrays: dtypes, shared memory, lifetimes.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import {
  arange,
  type DType,
  empty,
  eye,
  fromTypedArray,
  full,
  ones,
  rand,
  randint,
  randn,
  randperm,
  Tensor,
  type TypedArray,
  tensor,
  zeros,
} from "./index.js";

expectNoLeaks();

// bfloat16 is the upper half of a float32: 1, -2, 0.5, 3.140625.
const bits = Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0x4049);
const samples: [DType, TypedArray, number[]][] = [
  ["float32", Float32Array.of(1.5, -2, 1e-30, 3e38), [1.5, -2, Math.fround(1e-30), Math.fround(3e38)]],
  ["float64", Float64Array.of(Math.PI, -1e-300), [Math.PI, -1e-300]],
  ["bfloat16", bits, [1, -2, 0.5, 3.140625]],
  ["int64", BigInt64Array.of(3n, -(2n ** 62n)), [3, -(2 ** 62)]],
  ["int32", Int32Array.of(2 ** 31 - 1, -5), [2 ** 31 - 1, -5]],
  ["uint8", Uint8Array.of(0, 255, 7), [0, 255, 7]],
  ["bool", Uint8Array.of(1, 0, 1), [1, 0, 1]],
];

describe("a typed array comes back from a tensor bit for bit:", () => {
  for (const [dtype, array, numbers] of samples)
    tidyTest(dtype, () => {
      const x = fromTypedArray(array, { dtype });
      expect([x.dtype, x.shape, x.numel, x.device]).toEqual([dtype, [array.length], array.length, "cpu"]);
      expect(x.toTypedArray()).toStrictEqual(array);
      expect(x.toArray()).toEqual(numbers);
      expect(x.view(1, -1).t().toTypedArray()).toStrictEqual(array);
      expect(fromTypedArray(array.slice(0, 0), { dtype, shape: [2, 0] }).toTypedArray().length).toBe(0);
    });
});

tidyTest("the dtype follows the array's type, and a dtype of another element size is refused", () => {
  const natural = samples.slice(0, -1);
  expect(natural.map(([, array]) => fromTypedArray(array).dtype)).toEqual(natural.map(([dtype]) => dtype));
  expect(() => fromTypedArray(Float32Array.of(1, 2), { dtype: "float64" })).toThrow(
    "borrow: expected a typed array of 16 bytes, got 8",
  );
  expect(() => fromTypedArray(Uint32Array.of(1))).toThrow("expected an array type with a dtype, got Uint32Array");
  expect(() => fromTypedArray(Float32Array.of(1, 2), { shape: [-1, -2] })).toThrow(
    "borrow: expected a shape of sizes that are 0 or more, got [-1, -2]",
  );
});

tidyTest("a tensor and the typed array it was made from see each other's writes", () => {
  const array = Float32Array.of(1, 2, 3, 4);
  const x = fromTypedArray(array.subarray(1), { shape: [3] });
  array[1] = 20;
  expect(x.toArray()).toEqual([20, 3, 4]);
  x.mul_(2);
  expect(Array.from(array)).toEqual([1, 40, 6, 8]);
  (x.toTypedArray() as Float32Array).fill(0);
  expect(Array.from(array)).toEqual([1, 40, 6, 8]);
});

tidyTest("a tensor over a SharedArrayBuffer sees its writes", () => {
  const array = new Int32Array(new SharedArrayBuffer(12), 4, 2);
  const x = fromTypedArray(array);
  array.set([5, 6]);
  expect(x.toArray()).toEqual([5, 6]);
});

test("the array lives as long as a tensor over it, or a view of that, and is collected afterwards", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const make = (): [Tensor, WeakRef<Float32Array>] => {
    const array = new Float32Array(1e6).fill(7);
    return [fromTypedArray(array), new WeakRef(array)];
  };
  const collect = async () => {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      collectGarbage();
    }
  };
  const [x, array] = make();
  const view = x.narrow(0, 10, 2);
  x.dispose();
  await collect();
  expect(array.deref()).toBeDefined();
  expect(view.toArray()).toEqual([7, 7]);
  view.dispose();
  await collect();
  expect(array.deref()).toBeUndefined();
});

tidyTest("tensor takes nested numbers of any depth in every dtype", () => {
  expect([tensor(3).shape, tensor([]).shape, tensor([[], []]).shape]).toEqual([[], [0], [2, 0]]);
  expect(tensor([[1, 2], [3, 4]]).shape).toEqual([2, 2]); // biome-ignore format: a matrix
  for (const [dtype] of samples) {
    expect(tensor([0, 1, 1], { dtype }).dtype).toBe(dtype);
    expect(tensor([0, 1, 1], { dtype }).toArray()).toEqual([0, 1, 1]);
  }
  expect(tensor([2, 0, -0.5, true], { dtype: "bool" }).toArray()).toEqual([1, 0, 1, 1]);
  expect(tensor([1 / 3], { dtype: "float64" }).item()).toBe(1 / 3);
  expect(tensor([1.00390625], { dtype: "bfloat16" }).item()).toBe(1); // a tie, to the even neighbour
  expect(tensor([1], { requiresGrad: true }).isLeaf).toBe(true);
});

tidyTest("tensor refuses rows of different lengths, naming the shape it expected", () => {
  for (const values of [[[1, 2], [3]], [[1], 2], [1, [2]]]) // biome-ignore format: a list
    expect(() => tensor(values)).toThrow(
      /^tensor: expected nested arrays of shape \[.*\], got another length at depth/,
    );
});

tidyTest("the fillers fill, and count from start to end", () => {
  expect([zeros([2]), ones([2]), full([2], 2.5)].map((x) => x.toArray())).toEqual([[0, 0], [1, 1], [2.5, 2.5]]); // biome-ignore format: a list
  expect(eye(2).toArray()).toEqual([1, 0, 0, 1]);
  expect([arange(3).toArray(), arange(3).dtype]).toEqual([[0, 1, 2], "int64"]);
  expect(arange(1, 2, 0.25, { dtype: "float64" }).toArray()).toEqual([1, 1.25, 1.5, 1.75]);
  expect(empty([2, 3], { dtype: "int32" }).shape).toEqual([2, 3]);
  expect([zeros([1]).dtype, zeros([1], { dtype: "bool" }).dtype]).toEqual(["float32", "bool"]);
});

tidyTest("random tensors have the range, mean and spread of their distributions", () => {
  const n = 20_000;
  const [normal, uniform] = [randn([n]), rand([n])];
  expect(Math.abs(normal.mean().item())).toBeLessThan(0.035); // five deviations
  expect(Math.abs(normal.var().item() - 1)).toBeLessThan(0.05);
  expect(Math.abs(uniform.mean().item() - 0.5)).toBeLessThan(0.0103);
  expect([uniform.amin().item() >= 0, uniform.amax().item() < 1]).toEqual([true, true]);
  expect(new Set(randint(-2, 3, [500]).toArray())).toEqual(new Set([-2, -1, 0, 1, 2]));
  const order = randperm(50).toArray();
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

tidyTest("a tensor prints its dtype, shape and, when it is small, its values", () => {
  expect(String(tensor([[1, 2.5]]))).toBe("Tensor(float32 [1, 2] [1, 2.5])");
  expect(String(zeros([3, 7]))).toBe("Tensor(float32 [3, 7])");
  expect(ones([1])).toBeInstanceOf(Tensor);
});
