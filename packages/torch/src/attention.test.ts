// Packed attention against attention composed of products and a softmax, sequence by sequence, in float64.

import { describe, expect } from "vitest";
import { expectGradients, sample } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { cat, Generator, grad, packedAttention, randn, type Tensor, tidy } from "./index.js";

expectNoLeaks();

type Triple = [Tensor, Tensor, Tensor];

function composedAttention([q, k, v]: Triple, cuSeqlens: number[], scale: number): Tensor {
  const sequences = cuSeqlens.slice(1).map((end, i) => {
    const start = cuSeqlens[i]!;
    const [qs, ks, vs] = [q, k, v].map((x) => x.narrow(0, start, end - start).transpose(0, 1)) as Triple; // [H, T, D]
    return qs.matmul(ks.transpose(1, 2)).mul(scale).softmax(-1).matmul(vs).transpose(0, 1);
  });
  return cat(sequences);
}

/** The largest difference of output and gradients from the composed float64 ones, relative to the largest value or 1. */
function worstError(inputs: Triple, cuSeqlens: number[], scale?: number): number {
  return tidy(() => {
    const doubles = inputs.map((x) => x.detach().to("float64").requiresGrad_()) as Triple;
    const leaves = inputs.map((x) => x.detach().requiresGrad_()) as Triple;
    const output = packedAttention(...leaves, cuSeqlens, scale === undefined ? {} : { scale });
    const expected = composedAttention(doubles, cuSeqlens, scale ?? 1 / Math.sqrt(inputs[0].shape[2]!));
    expect(output.dtype).toBe(inputs[0].dtype);
    expect(output.shape).toEqual(inputs[0].shape);
    const gradOutput = randn(output.shape, { generator: new Generator(9) }).to(output.dtype);
    const actual = [output, ...grad([output], leaves, [gradOutput])];
    const wanted = [expected, ...grad([expected], doubles, [gradOutput.to("float64")])];
    const errors = actual.map((value, i) => {
      const difference = value!.detach().to("float64").sub(wanted[i]!.detach()).abs().amax().item();
      return difference / Math.max(wanted[i]!.detach().abs().amax().item(), 1);
    });
    return Math.max(...errors.map((error) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)));
  });
}

function random(shape: number[], dtype: "float32" | "bfloat16" | "float64" = "float32"): Triple {
  const generator = new Generator(3);
  return [0, 1, 2].map(() => randn(shape, { generator }).to(dtype)) as Triple;
}

const layouts: [string, number[]][] = [
  ["uneven lengths", [0, 5, 6, 40, 57]],
  ["equal lengths side by side", [0, 8, 16, 24, 25, 33]],
  ["one token", [0, 1]],
  ["one sequence", [0, 70]],
  ["empty sequences at both ends and between", [0, 0, 9, 9, 9, 12, 12]],
  ["a length beyond the kernel's block", [0, 600, 603]],
];

describe("packed attention equals the composed one, values and gradients:", () => {
  for (const [name, cuSeqlens] of layouts)
    for (const width of [8, 16, 20, 64])
      tidyTest(`${name}, head width ${width}`, () => {
        const shape = [cuSeqlens.at(-1)!, 2, width];
        expect(worstError(random(shape), cuSeqlens), "float32").toBeLessThan(1e-5);
        expect(worstError(random(shape, "bfloat16"), cuSeqlens), "bfloat16").toBeLessThan(2e-2);
      });
});

tidyTest("packed attention takes odd head widths and a scale of its own", () => {
  expect(worstError(random([9, 3, 5]), [0, 2, 9])).toBeLessThan(1e-5);
  expect(worstError(random([9, 3, 5], "bfloat16"), [0, 2, 9])).toBeLessThan(2e-2);
  expect(worstError(random([9, 1, 8]), [0, 2, 9], 1.5)).toBeLessThan(1e-5);
});

tidyTest("packed attention reads q, k and v wherever they lie in memory", () => {
  const cuSeqlens = [0, 4, 8, 15];
  const sliced = randn([15, 3, 2, 16], { generator: new Generator(4) }).unbind(1) as Triple;
  expect(worstError(sliced, cuSeqlens), "slices of one product").toBeLessThan(1e-5);
  const transposed = random([15, 16, 2]).map((x) => x.transpose(1, 2)) as Triple;
  expect(worstError(transposed, cuSeqlens), "head width not last in memory").toBeLessThan(1e-5);
  const one = randn([15, 1, 16], { generator: new Generator(5) }).expand(15, 2, 16);
  expect(worstError([one, one, one], cuSeqlens), "heads that share memory").toBeLessThan(1e-5);
});

tidyTest("the gradient of packed attention agrees with finite differences", () => {
  const inputs = [0, 1, 2].map((seed) => sample([5, 2, 4], -1, 1, seed));
  expectGradients((...x) => packedAttention(x[0]!, x[1]!, x[2]!, [0, 3, 5]), ...inputs);
});

tidyTest("a sequence's attention does not depend on what else is packed with it, bit for bit", () => {
  const [q, k, v] = random([30, 2, 16]);
  const packed = packedAttention(q, k, v, Int32Array.of(0, 7, 19, 30)).narrow(0, 7, 12);
  const alone = packedAttention(...([q, k, v].map((x) => x.narrow(0, 7, 12)) as Triple), [0, 12]);
  expect(packed.toArray()).toEqual(alone.toArray());
});

tidyTest("a second backward through packed attention under retainGraph gives the same gradients", () => {
  const leaves = random([6, 2, 8]).map((x) => x.requiresGrad_()) as Triple;
  const loss = packedAttention(...leaves, [0, 6])
    .square()
    .sum();
  loss.backward(undefined, { retainGraph: true });
  const first = leaves[0].grad!.toArray();
  leaves[0].grad = undefined;
  loss.backward();
  expect(leaves[0].grad!.toArray()).toEqual(first);
});

tidyTest("a batch without tokens gives an output without tokens", () => {
  expect(packedAttention(...random([0, 2, 8]), [0]).shape).toEqual([0, 2, 8]);
  expect(packedAttention(...random([0, 2, 8]), [0, 0]).shape).toEqual([0, 2, 8]);
});

tidyTest("packed attention refuses borders and shapes that do not fit, naming them", () => {
  const [q, k, v] = random([6, 2, 8]);
  expect(() => packedAttention(q, k, v, [0, 5])).toThrow(
    "packedAttention: expected cuSeqlens from 0 to N = 6, got [0, 5]",
  );
  expect(() => packedAttention(q, k, v, [1, 6])).toThrow("from 0 to N = 6, got [1, 6]");
  expect(() => packedAttention(q, k, v, [])).toThrow("from 0 to N = 6, got []");
  expect(() => packedAttention(q, k, v, [0, 4, 2, 6])).toThrow("do not fall, got [0, 4, 2, 6]");
  expect(() => packedAttention(q, k.narrow(0, 0, 5), v, [0, 6])).toThrow("[6, 2, 8], [5, 2, 8] and [6, 2, 8]");
  expect(() => packedAttention(q, k, v.to("bfloat16"), [0, 6])).toThrow("one dtype");
  const int = q.to("int64");
  expect(() => packedAttention(int, int, int, [0, 6])).toThrow("packedAttention: ");
});
