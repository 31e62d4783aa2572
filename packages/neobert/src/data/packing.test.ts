import fc from "fast-check";
import { expect, test } from "vitest";
import { Packer } from "./packing.js";
import { uniform } from "./random.js";

const sizesArbitrary = fc.array(fc.integer({ min: 3, max: 100 }), { maxLength: 300 });

function packAll(sizes: number[], budget: number, lookAhead: number) {
  const items = sizes.map((size, index) => ({ size, index }));
  let next = 0;
  const packer = new Packer(() => items[next++], lookAhead);
  const bins: (typeof items)[] = [];
  for (let bin = packer.bin(budget); bin.length > 0; bin = packer.bin(budget)) bins.push(bin);
  return bins;
}

test("every piece lies in exactly one bin and no bin exceeds its budget", () => {
  fc.assert(
    fc.property(
      sizesArbitrary,
      fc.integer({ min: 100, max: 400 }),
      fc.integer({ min: 1, max: 64 }),
      (sizes, budget, lookAhead) => {
        const bins = packAll(sizes, budget, lookAhead);
        const indexes = bins.flat().map(({ index }) => index);
        expect(indexes.sort((a, b) => a - b)).toEqual(sizes.map((_, index) => index));
        for (const bin of bins) expect(bin.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(budget);
      },
    ),
  );
});

test("a piece waits for at most as many bins as pieces may wait", () => {
  fc.assert(
    fc.property(sizesArbitrary, fc.integer({ min: 1, max: 20 }), (sizes, lookAhead) => {
      const bins = packAll(sizes, 100, lookAhead);
      let highest = -1;
      const drawnIn = new Map<number, number>();
      for (const [bin, items] of bins.entries()) {
        highest += items.length;
        for (let index = 0; index <= highest + lookAhead; index++) if (!drawnIn.has(index)) drawnIn.set(index, bin);
        for (const { index } of items) expect(bin - drawnIn.get(index)!).toBeLessThanOrEqual(lookAhead);
      }
    }),
  );
});

/** Log-normal lengths with the median and spread of web text, cut into pieces of at most maxLength. */
function webLikeSizes(documents: number, maxLength: number): number[] {
  return Array.from({ length: documents }, (_, index) => {
    const [u, v] = [uniform(1, 9, index, 0), uniform(1, 9, index, 1)];
    const normal = Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
    let length = Math.max(1, Math.round(300 * Math.exp(1.1 * normal)));
    const sizes: number[] = [];
    for (; length > 0; length -= maxLength - 2) sizes.push(Math.min(length, maxLength - 2) + 2);
    return sizes;
  }).flat();
}

test.each([
  [512, 4096],
  [1024, 8192],
  [1024, 32_768],
  [4096, 16_384],
])("pieces of up to %i tokens of web-like documents fill bins of %i to more than 97 %%", (maxLength, budget) => {
  const sizes = webLikeSizes(6000, maxLength);
  const bins = packAll(sizes, budget, 256).slice(0, -3); // the last bins hold what is left
  const tokens = bins.flat().reduce((sum, { size }) => sum + size, 0);
  expect(tokens / (bins.length * budget)).toBeGreaterThan(0.97);
});
