// What goes wrong is said in one sentence: the op, what was expected, what came; in the caller's stack, without C++'s.

import { expect, test } from "vitest";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { cat, type Device, type DType, Generator, mseLoss, ones, Tensor, tensor, tidy, zeros } from "./index.js";
import { native, type Reduction } from "./native.js";

expectNoLeaks();

function errorOf(fn: () => unknown): Error {
  try {
    fn();
  } catch (error) {
    return error as Error;
  }
  return expect.fail("expected an error");
}

test("wrong shapes name the op and both shapes, in the stack of the function that called it", () => {
  const multiplyWrongShapes = () => tidy(() => ones([2, 3]).matmul(ones([4, 5])));
  const error = errorOf(multiplyWrongShapes);
  expect(error).toBeInstanceOf(Error);
  expect(error.message).toMatch(/^matmul: .*2x3.*4x5/);
  expect(error.stack).toContain("multiplyWrongShapes");
  expect(error.stack).toContain("errors.test.ts");
});

tidyTest("no error carries C++ frames or file names", () => {
  const x = ones([2, 3]);
  const failures = [
    () => x.matmul(x),
    () => x.add(ones([4])),
    () => x.view(7),
    () => cat([x, ones([1, 1, 1])]),
    () => x.select(5, 0),
    () => x.backward(),
    () => x.to("float16" as DType),
    () => x.sum(9),
    () => x.indexSelect(0, ones([1])),
    () => x.indexSelect(0, tensor([9], { dtype: "int64" })),
    () => zeros([-1]),
    () => x.narrow(0, 1, 5),
  ];
  for (const failure of failures) {
    const { message } = errorOf(failure);
    expect(message).toMatch(/^[a-zA-Z_]+: ./);
    expect(message).not.toMatch(/\.cpp|\.h:|frame #|Exception raised|0x[0-9a-f]{6}/);
  }
});

tidyTest("more memory than there is gives an error with the bytes asked for", () => {
  expect(() => zeros([2 ** 50])).toThrow(/^full: .*can't allocate memory.*4503599627370496 bytes/);
});

test("use of a disposed tensor says so, and disposing of it twice does nothing", () => {
  const x = ones([2]);
  const kept = ones([1]);
  x.dispose();
  x.dispose();
  expect(x.isDisposed).toBe(true);
  expect(() => x.exp()).toThrow("exp: expected a live tensor, got one that was disposed");
  expect(() => kept.add(x)).toThrow("add: expected a live tensor, got one that was disposed");
  const reused = ones([3]);
  expect(() => x.sum(), "its slot has another tensor now").toThrow("sum: expected a live tensor");
  expect(reused.toArray()).toEqual([1, 1, 1]);
  reused.dispose();
  kept.dispose();
});

tidyTest("a name that is not known is answered with those that are", () => {
  const x = ones([1]);
  const dtypes = "expected dtype float32, float64, bfloat16, int64, int32, uint8 or bool, got float16";
  expect(() => zeros([1], { dtype: "float16" as DType })).toThrow(`full: ${dtypes}`);
  expect(() => x.to("float16" as DType)).toThrow(`toDtype: ${dtypes}`);
  expect(() => mseLoss(x, x, { reduction: "max" as Reduction })).toThrow(
    "mseLoss: expected reduction none, mean or sum, got max",
  );
});

tidyTest("a device of another kind is refused with those that are", () => {
  expect(() => ones([1]).to("cudaX" as Device)).toThrow(/^toDevice: /);
  expect(() => zeros([1], { device: "xpu" as Device })).toThrow("full: expected device cpu, cuda or meta, got xpu");
});

tidyTest("dims checks the rank", () => {
  const x = zeros([2, 3, 4]);
  expect([x.dims(3), x.ndim]).toEqual([[2, 3, 4], 3]);
  expect(() => x.dims(2)).toThrow(RangeError);
  expect(() => x.dims(2)).toThrow("dims: expected 2 dimensions, got shape [2, 3, 4]");
});

tidyTest("an argument of another type is refused with what came instead", () => {
  const x = ones([2]);
  const wrong = (value: unknown) => value as never;
  expect(() => x.mul(wrong("2"))).toThrow("mul: expected a tensor, got undefined");
  expect(() => x.sum(wrong("0"))).toThrow("sum: expected an array, got 0");
  expect(() => x.narrow(0, 0.5, 1)).toThrow("narrow: expected an integer, got 0.5");
  expect(() => x.narrow(0, 2 ** 63, 1)).toThrow("narrow: expected an integer, got 9223372036854776000");
  expect(() => x.narrow(0, Number.NaN, 1)).toThrow("narrow: expected an integer, got NaN");
  expect(() => x.unsqueeze(wrong(x))).toThrow("unsqueeze: expected an integer, got Tensor(float32 [2] [1, 1])");
  expect(() => x.fill_(wrong(x))).toThrow("fill_: expected a number, got Tensor(float32 [2] [1, 1])");
  expect(() => x.reshape(wrong([2]))).toThrow("reshape: expected an integer, got 2");
  expect(() => native.exp(wrong(x))).toThrow("exp: expected a tensor, got Tensor");
  expect(() => native.exp(wrong(undefined))).toThrow("exp: expected a tensor, got undefined");
  expect(() => native.exp(wrong(Symbol("x")))).toThrow(new TypeError("exp: expected a tensor, got a symbol"));
  expect(() => native.copyTo(x.handle, wrong([1, 2]))).toThrow("copyTo: expected a typed array, got 1,2");
  expect(() => native.dispose(wrong("x"))).toThrow(new TypeError("dispose: expected a tensor, got x"));
});

tidyTest("a number that is no handle is refused, whatever number it is", () => {
  const x = ones([2]);
  const { handle } = new Generator(1);
  for (const number of [-1, -x.handle, Number.NaN, x.handle + 0.5, 2 ** 53, 1e300, Number.POSITIVE_INFINITY]) {
    expect(() => native.exp(number), String(number)).toThrow("exp: expected a live tensor");
    native.dispose(number);
  }
  expect(() => native.exp(handle), "a generator's").toThrow("exp: expected a live tensor");
  expect(() => native.setSeed(x.handle, 1), "a tensor's").toThrow("setSeed: expected a live generator");
  expect(x.toArray()).toEqual([1, 1]);
});

tidyTest("item refuses more than one element, and an int64 that a number cannot hold", () => {
  const big = (value: bigint) => new Tensor(native.borrow(BigInt64Array.of(value), [1], "int64"));
  expect(() => ones([2]).item()).toThrow("item: expected a tensor of one element, got shape [2]");
  expect([big(2n ** 53n).item(), big(-(2n ** 53n)).item()]).toEqual([2 ** 53, -(2 ** 53)]);
  for (const value of [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)])
    expect(() => big(value).item()).toThrow(`item: expected an integer that a number holds exactly, got ${value}`);
});
