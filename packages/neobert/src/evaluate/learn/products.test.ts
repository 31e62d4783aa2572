import { getNumThreads, liveTensors } from "@neobert/torch";
import { describe, expect, test } from "vitest";
import { chooseProducts, productsOrLoops } from "./choose-products.js";
import { type Floats, plainProducts } from "./products.js";
import { RandomState } from "./random-state.js";
import { torchProducts } from "./torch-products.js";

const random = new RandomState(3);
const [n, d, m] = [37, 21, 13];
const doubles = (length: number) => Float64Array.from({ length }, () => random.randn());
const floats = (length: number) => Float32Array.from({ length }, () => random.randn());

/** Entry (i, j) of a b^T in float64. */
const product = (a: Floats, b: Floats, i: number, j: number) =>
  Array.from({ length: d }, (_, c) => a[i * d + c]! * b[j * d + c]!).reduce((x, y) => x + y);

describe.each([
  ["float64", doubles, 1e-12],
  ["float32", floats, 1e-5],
] as const)("of %s", (_, fill, tolerance) => {
  test.each([["plain loops", () => plainProducts] as const, ["libtorch", torchProducts] as const])(
    "%s give both products, of arrays that begin within others too",
    async (_, load) => {
      const products = await load();
      const before = liveTensors();
      const [x, y] = [fill((n + 2) * d).subarray(d, (n + 1) * d), fill((m + 1) * d).subarray(d)];
      const matrix = products.matrix<Floats>(x, d);
      expect(matrix.shape).toEqual([n, d]);
      const scores = matrix.timesTransposed(y);
      expect(scores.constructor).toBe(x.constructor);
      expect(scores.length).toBe(n * m);
      for (const [at, value] of scores.entries()) {
        expect(Math.abs(value - product(x, y, Math.floor(at / m), at % m))).toBeLessThan(tolerance * 10);
      }
      const back = matrix.transposedTimes(scores); // (x y^T)^T x: [m, d]
      expect(back.length).toBe(m * d);
      for (const [at, value] of back.entries()) {
        const [j, c] = [Math.floor(at / d), at % d];
        let sum = 0;
        for (let i = 0; i < n; i++) sum += scores[i * m + j]! * x[i * d + c]!;
        expect(Math.abs(value - sum)).toBeLessThan(tolerance * 1e3);
      }
      matrix.dispose();
      expect(liveTensors()).toBe(before);
    },
  );
});

test.each([
  ["small", 8],
  ["large", 400],
])("libtorch agrees with plain loops on a %s product and leaves the number of threads", async (_, n) => {
  const threads = getNumThreads();
  const [d, m] = [64, 64];
  const [x, y] = [doubles(n * d), doubles(m * d)];
  const [plain, torch] = [plainProducts, await torchProducts()].map((products) => {
    const matrix = products.matrix(x, d);
    const scores = matrix.timesTransposed(y);
    const both = [...scores, ...matrix.transposedTimes(scores)];
    matrix.dispose();
    return both;
  }) as [number[], number[]];
  const largest = plain.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(torch).toHaveLength(plain.length);
  for (const [i, value] of torch.entries()) expect(Math.abs(value - plain[i]!)).toBeLessThan(1e-12 * largest);
  expect(getNumThreads()).toBe(threads);
});

test("libtorch is chosen where it is installed", async () => {
  expect((await chooseProducts()).name).toBe("libtorch");
});

test("plain loops take its place where it was never set up, and never where its addon is broken", async () => {
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error(`the addon: ${code}`), { code }));
  expect((await productsOrLoops(failing("ERR_ADDON_NOT_BUILT"))).name).toBe(plainProducts.name);
  expect((await productsOrLoops(failing("ERR_MODULE_NOT_FOUND"))).name).toBe(plainProducts.name);
  await expect(productsOrLoops(failing("ERR_ADDON_UNUSABLE"))).rejects.toThrow("the addon: ERR_ADDON_UNUSABLE");
});

test("rows that do not come out even are refused", () => {
  expect(() => plainProducts.matrix(new Float32Array(7), 3)).toThrow("matrix: expected rows of 3 values, got 7 values");
});
