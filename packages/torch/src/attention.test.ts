// Packed attention against attention composed of products and a softmax, sequence by sequence and with each head of keys and
// values repeated for every query head that reads it, in float64.

import { afterAll, beforeAll, describe, expect } from "vitest";
import { expectGradients, sample } from "../test/gradients.js";
import { expectNoLeaks, kernelTest, tidyTest } from "../test/leaks.js";
import {
  arange,
  cat,
  Generator,
  getNumThreads,
  grad,
  memoryStats,
  packedAttention,
  randn,
  setNumThreads,
  type Tensor,
  tidy,
} from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

type Triple = [Tensor, Tensor, Tensor];

interface Options {
  scale?: number;
  window?: number;
  dropout?: { p: number; generator: Generator };
}

/** [N, K, D] -> [N, H, D]: head h is head h / (H / K), rounded down. */
function repeated(x: Tensor, H: number): Tensor {
  const [N, K, D] = x.dims(3);
  return x
    .unsqueeze(2)
    .expand(N, K, H / K, D)
    .reshape(N, H, D);
}

function composedAttention(inputs: Triple, cuSeqlens: number[], { scale, window }: Options): Tensor {
  const [q, k, v] = inputs.map((x) => repeated(x, inputs[0].shape[1]!)) as Triple;
  const sequences = cuSeqlens.slice(1).map((end, i) => {
    const start = cuSeqlens[i]!;
    const [qs, ks, vs] = [q, k, v].map((x) => x.narrow(0, start, end - start).transpose(0, 1)) as Triple; // [H, T, D]
    const scores = qs.matmul(ks.transpose(1, 2)).mul(scale ?? 1 / Math.sqrt(q.shape[2]!)); // [H, T, T]
    const token = arange(end - start);
    const distance = token.unsqueeze(0).sub(token.unsqueeze(1)).abs();
    const seen = scores.maskedFill(distance.gt(window ?? end), Number.NEGATIVE_INFINITY);
    return seen.softmax(-1).matmul(vs).transpose(0, 1);
  });
  return cat(sequences);
}

/** The largest difference of output and gradients from the composed float64 ones, relative to the largest value or 1. */
function worstError(inputs: Triple, cuSeqlens: number[], options: Options = {}): number {
  return tidy(() => {
    const doubles = inputs.map((x) => x.detach().to("float64").requiresGrad_()) as Triple;
    const leaves = inputs.map((x) => x.detach().requiresGrad_()) as Triple;
    const output = packedAttention(...leaves, cuSeqlens, options);
    const expected = composedAttention(doubles, cuSeqlens, options);
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

function random([N, H, D]: number[], dtype: "float32" | "bfloat16" | "float64" = "float32", K = H): Triple {
  const generator = new Generator(3);
  return [H, K, K].map((heads) => randn([N!, heads!, D!], { generator }).to(dtype)) as Triple;
}

const layouts: [string, number[]][] = [
  ["uneven lengths", [0, 5, 6, 40, 57]],
  ["equal lengths side by side", [0, 8, 16, 24, 25, 33]],
  ["one token", [0, 1]],
  ["one sequence", [0, 70]],
  ["empty sequences at both ends and between", [0, 0, 9, 9, 9, 12, 12]],
  ["lengths around the kernel's blocks", [0, 1, 3, 3, 18, 34, 51, 114, 178, 243, 443]],
  ["a length of many blocks", [0, 600, 603]],
];

describe.each(native.instructionSets())("with %s instructions packed attention equals the composed one:", (set) => {
  const before = native.instructionSet();
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setInstructionSet(before));

  for (const [name, cuSeqlens] of layouts)
    for (const width of [8, 16, 20, 64, 80])
      tidyTest(`${name}, head width ${width}`, () => {
        const shape = [cuSeqlens.at(-1)!, 2, width];
        expect(worstError(random(shape), cuSeqlens), "float32").toBeLessThan(1e-5);
        expect(worstError(random(shape, "bfloat16"), cuSeqlens), "bfloat16").toBeLessThan(2e-2);
      });

  for (const [H, K] of [
    [4, 2],
    [6, 1],
    [9, 3],
  ] as const)
    for (const window of [undefined, 1, 100])
      tidyTest(`${H} query heads over ${K}, window ${window}`, () => {
        const cuSeqlens = [0, 5, 5, 75, 139, 400];
        const options = window === undefined ? {} : { window };
        const of = (dtype: "float32" | "bfloat16" | "float64") =>
          worstError(random([400, H, 20], dtype, K), cuSeqlens, options);
        expect(of("float32"), "float32").toBeLessThan(1e-5);
        expect(of("bfloat16"), "bfloat16").toBeLessThan(2e-2);
        expect(of("float64"), "float64").toBeLessThan(1e-12);
      });

  for (const window of [0, 1, 7, 64, 100, 1000])
    tidyTest(`window ${window}`, () => {
      const cuSeqlens = [0, 1, 1, 66, 90, 390];
      expect(worstError(random([390, 2, 16]), cuSeqlens, { window }), "float32").toBeLessThan(1e-5);
      expect(worstError(random([390, 2, 16], "bfloat16"), cuSeqlens, { window }), "bfloat16").toBeLessThan(2e-2);
      expect(worstError(random([390, 2, 16], "float64"), cuSeqlens, { window }), "float64").toBeLessThan(1e-12);
    });
});

tidyTest("packed attention takes odd head widths and a scale of its own", () => {
  expect(worstError(random([9, 3, 5]), [0, 2, 9])).toBeLessThan(1e-5);
  expect(worstError(random([9, 3, 5], "bfloat16"), [0, 2, 9])).toBeLessThan(2e-2);
  expect(worstError(random([9, 1, 8]), [0, 2, 9], { scale: 1.5 })).toBeLessThan(1e-5);
  expect(worstError(random([9, 1, 8]), [0, 2, 9], { scale: -0.4 }), "negative").toBeLessThan(1e-5);
});

tidyTest("packed attention reads q, k and v wherever they lie in memory", () => {
  const cuSeqlens = [0, 4, 8, 15];
  const sliced = randn([15, 3, 2, 16], { generator: new Generator(4) }).unbind(1) as Triple;
  expect(worstError(sliced, cuSeqlens), "slices of one product").toBeLessThan(1e-5);
  const transposed = random([15, 16, 2]).map((x) => x.transpose(1, 2)) as Triple;
  expect(worstError(transposed, cuSeqlens), "head width not last in memory").toBeLessThan(1e-5);
  const halves = randn([15, 3, 2, 24], { generator: new Generator(6) })
    .to("bfloat16")
    .unbind(1) as Triple;
  expect(worstError(halves, cuSeqlens), "slices in bfloat16").toBeLessThan(2e-2);
  const [query, key, value] = randn([15, 8, 16], { generator: new Generator(7) }).split([4, 2, 2], 1) as Triple;
  expect(worstError([query, key, value], cuSeqlens), "grouped heads of one product").toBeLessThan(1e-5);
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

/** Output and gradients [N, H, D], each as one flat array. */
function valuesOf(inputs: Triple, cuSeqlens: number[]): number[][] {
  return tidy(() => {
    const leaves = inputs.map((x) => x.detach().requiresGrad_()) as Triple;
    const output = packedAttention(...leaves, cuSeqlens);
    const gradOutput = randn(output.shape, { generator: new Generator(8) }).to(output.dtype);
    return [output, ...grad([output], leaves, [gradOutput])].map((x) => x!.detach().toArray());
  });
}

tidyTest("a change in one sequence leaves outputs and gradients of the others as they are, bit for bit", () => {
  const cuSeqlens = [0, 70, 100, 165];
  const [first, last] = [70 * 32, 100 * 32];
  for (const dtype of ["float32", "bfloat16"] as const) {
    const inputs = random([165, 2, 16], dtype);
    const changed = inputs.map((x) => cat([x.narrow(0, 0, 70), x.narrow(0, 70, 30).mul(3), x.narrow(0, 100, 65)]));
    const after = valuesOf(changed as Triple, cuSeqlens);
    for (const [i, before] of valuesOf(inputs, cuSeqlens).entries()) {
      expect(after[i]!.slice(0, first)).toEqual(before.slice(0, first));
      expect(after[i]!.slice(first, last)).not.toEqual(before.slice(first, last));
      expect(after[i]!.slice(last)).toEqual(before.slice(last));
    }
  }
});

tidyTest("two query heads over one of k and v give what they give over two copies of it", () => {
  for (const dtype of ["float32", "bfloat16"] as const) {
    const [q, k, v] = random([900, 4, 16], dtype, 2);
    const twice = packedAttention(q, repeated(k, 4), repeated(v, 4), [0, 700, 900]);
    expect(packedAttention(q, k, v, [0, 700, 900]).toArray()).toEqual(twice.toArray());
  }
});

tidyTest("grouped heads take the memory of their own keys and values, not of as many as there are query heads", () => {
  const [N, H, D] = [2048, 16, 64];
  const leaves = random([N, H, D], "float32", 1).map((x) => x.requiresGrad_()) as Triple;
  const before = memoryStats().allocatedBytes;
  const output = packedAttention(...leaves, [0, 1024, N]);
  const saved = memoryStats().allocatedBytes - before;
  expect(saved).toBeLessThan(4 * (N * H * D + N * H) + 2 ** 16); // the output and its log-sum-exp
  expect(grad([output.sum()], [leaves[1]])[0]!.shape).toEqual([N, 1, D]);
});

tidyTest("heads that are cut between threads keep their values, and every run has the same bits", () => {
  const threads = getNumThreads();
  try {
    for (const [dtype, K] of [
      ["float32", 3],
      ["bfloat16", 3],
      ["float32", 1],
      ["bfloat16", 1],
    ] as const) {
      const inputs = random([900, 3, 16], dtype, K);
      setNumThreads(4);
      expect(worstError(inputs, [0, 700, 900])).toBeLessThan(dtype === "float32" ? 1e-5 : 2e-2);
      expect(valuesOf(inputs, [0, 700, 900])).toEqual(valuesOf(inputs, [0, 700, 900]));
      const forward = packedAttention(...inputs, [0, 700, 900]).toArray();
      setNumThreads(1);
      expect(packedAttention(...inputs, [0, 700, 900]).toArray()).toEqual(forward);
    }
  } finally {
    setNumThreads(threads);
  }
});

kernelTest("a NaN in v reaches its sequence's every output, one in q only its row's", () => {
  const options = { window: 20 }; // so that it is our kernel on every processor
  for (const dtype of ["float32", "bfloat16"] as const) {
    const [q, k, v] = random([20, 1, 16], dtype);
    const spoilt = (x: Tensor) => cat([x.narrow(0, 0, 11), x.narrow(0, 11, 1).mul(Number.NaN), x.narrow(0, 12, 8)]);
    const byV = packedAttention(q, k, spoilt(v), [0, 9, 20], options).sum([1, 2]).toArray();
    expect(byV.map(Number.isNaN)).toEqual(byV.map((_, i) => i >= 9));
    const byQ = packedAttention(spoilt(q), k, v, [0, 9, 20], options).sum([1, 2]).toArray();
    expect(byQ.map(Number.isNaN)).toEqual(byQ.map((_, i) => i === 11));
  }
});

tidyTest("large scores do not overflow", () => {
  const [q, k, v] = random([70, 1, 16]).map((x) => x.mul(30)) as Triple;
  expect(worstError([q, k, v], [0, 70])).toBeLessThan(1e-4);
});

tidyTest("with NEOBERT_FUSED=0 packed attention and its window give the same by libtorch's kernels", () => {
  const before = process.env.NEOBERT_FUSED;
  try {
    process.env.NEOBERT_FUSED = "0";
    expect(worstError(random([90, 2, 16]), [0, 30, 60, 90])).toBeLessThan(1e-5);
    expect(worstError(random([90, 2, 16]), [0, 30, 60, 90], { window: 5 })).toBeLessThan(1e-5);
    expect(worstError(random([90, 6, 16], "float32", 2), [0, 30, 60, 90], { window: 5 })).toBeLessThan(1e-5);
    expect(worstError(random([90, 6, 16], "bfloat16", 2), [0, 30, 60, 90])).toBeLessThan(2e-2);
  } finally {
    if (before === undefined) delete process.env.NEOBERT_FUSED;
    else process.env.NEOBERT_FUSED = before;
  }
});

tidyTest("one sequence of 8,192 tokens takes memory by its length, not by its square", () => {
  const leaves = random([8192, 1, 16]).map((x) => x.requiresGrad_()) as Triple;
  const beforeKb = process.resourceUsage().maxRSS;
  packedAttention(...leaves, [0, 8192])
    .sum()
    .backward();
  const scoresKb = (8192 * 8192 * 4) / 1024;
  expect(process.resourceUsage().maxRSS - beforeKb).toBeLessThan(scoresKb / 4);
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
  expect(() => packedAttention(q, k, v, [0, 6], { window: -1 })).toThrow("expected a window of 0 or more, got -1");
  const grouped = "expected q [N, H, D] with k and v [N, K, D], H a multiple of K, got [6, 2, 8], ";
  expect(() => packedAttention(q, q, v.narrow(1, 0, 1), [0, 6])).toThrow(`${grouped}[6, 2, 8] and [6, 1, 8]`);
  const [three, none] = [randn([6, 3, 8]), k.narrow(1, 0, 0)];
  expect(() => packedAttention(q, three, three, [0, 6])).toThrow(`${grouped}[6, 3, 8] and [6, 3, 8]`);
  expect(() => packedAttention(q, none, none, [0, 6])).toThrow(`${grouped}[6, 0, 8] and [6, 0, 8]`);
  const int = q.to("int64");
  expect(() => packedAttention(int, int, int, [0, 6])).toThrow("packedAttention: ");
});

describe("dropout of the probabilities", () => {
  const borders = [0, 1, 12, 12, 40];
  const inputs = () => [1, 2, 3].map((seed) => randn([40, 2, 8], { generator: new Generator(seed) })) as Triple;

  tidyTest("computes what attention without it does where it drops nothing, with a window too", () => {
    const dropout = { p: 1e-12, generator: new Generator(4) };
    expect(worstError(inputs(), borders, { dropout })).toBeLessThan(1e-5);
    expect(worstError(inputs(), borders, { dropout, window: 3 })).toBeLessThan(1e-5);
    expect(worstError(random([40, 6, 8], "float32", 2), borders, { dropout })).toBeLessThan(1e-5);
    expect(worstError(random([40, 6, 8], "bfloat16", 2), borders, { dropout, window: 3 })).toBeLessThan(2e-2);
  });

  tidyTest("has the undropped attention as its mean, and repeats with its generator's seed", () => {
    const [q, k, v] = inputs();
    const dropped = (seed: number) =>
      packedAttention(q, k, v, borders, { dropout: { p: 0.3, generator: new Generator(seed) } });
    expect(dropped(5).toArray()).toEqual(dropped(5).toArray());
    expect(dropped(5).toArray()).not.toEqual(dropped(6).toArray());
    let sum = dropped(0);
    for (let seed = 1; seed < 400; seed++) sum = tidy(() => sum.add(dropped(seed)));
    const difference = sum.div(400).sub(packedAttention(q, k, v, borders));
    expect(difference.abs().amax().item()).toBeLessThan(0.25); // one token's value is dropped whole: deviation 0.65 |v| / 20
    expect(difference.mean().abs().item()).toBeLessThan(5e-3);
  });
});
