// The ops that compute on a GPU, on the CPU against those that the CPU has, as far as libtorch has them there too; and on the meta
// device, which has shapes and no values. What needs a GPU is in `npm run test:gpu`.

import { describe, expect } from "vitest";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import {
  countOps,
  type DType,
  fromTypedArray,
  gatedUnit,
  linearCrossEntropy,
  packedAttention,
  segmentMean,
  Tensor,
  tidy,
  totalNorm,
  zeros,
} from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

const random = (seed: number, shape: number[], dtype: DType = "float32") =>
  fromTypedArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed * 1000 + 12.9898 * i)),
    { shape },
  ).to(dtype);
function bordersOf(lengths: number[]): number[] {
  const borders = [0];
  for (const length of lengths) borders.push(borders.at(-1)! + length);
  return borders;
}

const values = (x: Tensor) => x.detach().to("float32").toTypedArray() as Float32Array;

function expectClose(got: Tensor, expected: Tensor, tolerance: number): void {
  const [a, b] = [values(got), values(expected)];
  expect(a.length).toBe(b.length);
  const most = b.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  const difference = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  expect(difference / most).toBeLessThan(tolerance);
}

/** Results and the inputs' gradients of a weighted sum of them. */
function throughBoth(inputs: Tensor[], one: (...inputs: Tensor[]) => Tensor, other: typeof one): [Tensor[], Tensor[]] {
  return [one, other].map((compute) => {
    const leaves = inputs.map((input) => input.detach().clone().requiresGrad_());
    const result = compute(...leaves);
    result
      .mul(random(77, [...result.shape]))
      .sum()
      .backward();
    return [result, ...leaves.map((leaf) => leaf.grad!)];
  }) as [Tensor[], Tensor[]];
}

describe("attention with a window by blocks", () => {
  const lengths = { short: [3, 1, 5], long: [150, 70, 0, 1, 200], one: [130] };
  for (const [name, list] of Object.entries(lengths)) {
    tidyTest(`gives ${name} texts what the CPU's kernel gives, and their gradients`, () => {
      const cuSeqlens = bordersOf(list);
      const N = cuSeqlens.at(-1)!;
      const inputs = [random(1, [N, 4, 8]), random(2, [N, 2, 8]), random(3, [N, 2, 8])];
      for (const window of [2, 64, 90]) {
        const [got, expected] = throughBoth(
          inputs,
          (q, k, v) => new Tensor(native.deviceAttention(q.handle, k.handle, v.handle, cuSeqlens, 0.3, window)),
          (q, k, v) => packedAttention(q, k, v, cuSeqlens, { scale: 0.3, window }),
        );
        for (const [i, tensor] of got.entries()) expectClose(tensor, expected[i]!, 1e-5);
      }
    });
  }
});

// The addon of `npm run test:cuda-build` has the GPU's operators for the CPU (test/native/emulated-attention.cc).
const hasOperators = (() => {
  try {
    const [x] = [random(1, [1, 1, 8])];
    tidy(() => new Tensor(native.deviceAttention(x!.handle, x!.handle, x!.handle, [0, 1], 1, undefined)));
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasOperators).each(["float32", "bfloat16"] as const)(
  "attention by the GPU's operators, %s",
  (dtype) => {
    for (const [H, K, D] of [
      [4, 4, 16],
      [4, 2, 8],
      [2, 1, 12],
    ] as const) {
      tidyTest(`of ${H} heads of queries and ${K} of keys, width ${D}, goes there and back`, () => {
        const cuSeqlens = [0, 3, 3, 40, 41, 60];
        const inputs = [H, K, K].map((heads, i) => random(i, [60, heads, D], dtype));
        for (const window of dtype === "float32" ? [undefined] : [undefined, 2, 50]) {
          const [got, expected] = throughBoth(
            inputs,
            (q, k, v) => new Tensor(native.deviceAttention(q.handle, k.handle, v.handle, cuSeqlens, 0.3, window)),
            (q, k, v) => packedAttention(q, k, v, cuSeqlens, { scale: 0.3, ...(window !== undefined && { window }) }),
          );
          for (const [i, tensor] of got.entries()) expectClose(tensor, expected[i]!, dtype === "float32" ? 1e-5 : 2e-2);
        }
      });
    }
  },
);

describe.each(["float32", "bfloat16"] as const)("the loss in chunks, %s", (dtype) => {
  tidyTest("is the CPU kernel's, and so are its gradients, with labels that do not count", () => {
    const labels = fromTypedArray(Int32Array.from({ length: 9 }, (_, i) => (i % 4 === 1 ? -100 : (i * 5) % 11))).to(
      "int64",
    );
    const inputs = [random(1, [9, 6]), random(2, [11, 6], dtype), random(3, [11])];
    const [got, expected] = throughBoth(
      inputs,
      (x, w, b) => new Tensor(native.chunkedLinearCrossEntropy(x.handle, w.handle, b.handle, labels.handle)),
      (x, w, b) => linearCrossEntropy(x, w, b, labels),
    );
    for (const [i, tensor] of got.entries()) expectClose(tensor, expected[i]!, dtype === "float32" ? 1e-5 : 1e-2);
  });
});

describe.each(["float32", "bfloat16"] as const)("the gated unit, %s", (dtype) => {
  tidyTest("is the CPU kernel's of either half and activation, and so is its gradient", () => {
    for (const gate of ["first", "last"] as const) {
      for (const activation of ["silu", "gelu"] as const) {
        const [got, expected] = throughBoth(
          [random(1, [5, 12], dtype)],
          (x) => new Tensor(native.deviceGatedUnit(x.handle, gate === "first", activation === "gelu")),
          (x) => gatedUnit(x, gate, activation),
        );
        for (const [i, tensor] of got.entries()) expectClose(tensor, expected[i]!, dtype === "float32" ? 1e-6 : 8e-3);
      }
    }
  });
});

tidyTest("a label out of range is refused where it can be looked at", () => {
  const [x, weight] = [random(1, [2, 3]), random(2, [4, 3])];
  const labels = fromTypedArray(Int32Array.of(1, 4)).to("int64");
  expect(() => native.chunkedLinearCrossEntropy(x.handle, weight.handle, undefined, labels.handle)).toThrow(
    /out of bounds/,
  );
});

describe.each([true, false])("a step of Adam over all parameters at once, decoupled: %s", (decoupled) => {
  tidyTest("moves parameters, state and copies as the CPU's kernel does, and leaves the gradients", () => {
    const shapes = [[5, 3], [7], [2, 2, 2]];
    const state = () => {
      const params = shapes.map((shape, i) => random(i, shape));
      const grads = shapes.map((shape, i) => random(10 + i, shape, i === 1 ? "bfloat16" : "float32"));
      const like = () => params.map((param) => zeros(param.shape));
      const copies = params.map((param, i) => (i === 2 ? undefined : param.to("bfloat16")));
      return { params, grads, averages: like(), squares: like(), steps: params.map(() => zeros([])), copies };
    };
    const [one, other] = [state(), state()];
    for (const [step, of] of [
      ["foreachAdam_", one],
      ["fusedAdam_", other],
    ] as const) {
      const handles = (tensors: (Tensor | undefined)[]) => tensors.map((tensor) => tensor?.handle);
      const { params, grads, averages, squares, steps, copies } = of;
      const lists = [params, grads, averages, squares, steps].map((list) => handles(list) as number[]);
      for (let i = 0; i < 3; i++)
        native[step](
          ...(lists as [number[], number[], number[], number[], number[]]),
          handles(copies),
          0.1,
          0.9,
          0.95,
          0.01,
          1e-8,
          0.5,
          decoupled,
        );
    }
    for (const part of ["params", "averages", "squares", "steps"] as const)
      for (const [i, tensor] of one[part].entries()) expectClose(tensor, other[part][i]!, 2e-6);
    for (const [i, copy] of one.copies.entries())
      if (copy) expect(values(copy)).toEqual(values(one.params[i]!.to("bfloat16")));
    for (const [i, grad] of one.grads.entries()) expect(values(grad)).toEqual(values(state().grads[i]!));
  });
});

tidyTest("the norm of tensors of several dtypes is that of their values end to end", () => {
  const tensors = [random(1, [5, 3]), random(2, [4], "bfloat16"), random(3, [2])];
  const all = tensors.flatMap((tensor) => [...values(tensor)]);
  expect(native.normOfAll(tensors.map(({ handle }) => handle)) / Math.hypot(...all)).toBeCloseTo(1, 6);
  expect(totalNorm(tensors) / Math.hypot(...all)).toBeCloseTo(1, 6);
});

tidyTest("means of sequences are theirs alone, with gradients, and that of none is not a number", () => {
  const cuSeqlens = [0, 3, 3, 4, 9];
  const [got, expected] = throughBoth(
    [random(1, [9, 5])],
    (x) => segmentMean(x, [0, 3, 4, 9]),
    (x) => {
      const means = [
        [0, 3],
        [3, 1],
        [4, 5],
      ].map(([start, length]) => x.narrow(0, start!, length!).mean(0, true));
      return means.slice(1).reduce((all, mean) => new Tensor(native.cat([all.handle, mean.handle], 0)), means[0]!);
    },
  );
  for (const [i, tensor] of got.entries()) expectClose(tensor, expected[i]!, 1e-6);
  expect(values(segmentMean(random(1, [9, 5]), cuSeqlens)).slice(5, 10)).toEqual(new Float32Array(5).fill(Number.NaN));
  expect(() => segmentMean(random(1, [9, 5]), [0, 5, 3, 9])).toThrow(/cuSeqlens that do not fall/);
});

describe("on the meta device", () => {
  tidyTest("a tensor has shape and dtype, and an op gives the CPU's", () => {
    const x = zeros([4, 6], { device: "meta", dtype: "bfloat16" });
    expect([x.device, x.dtype, x.to("float32").matmul(zeros([6, 2], { device: "meta" })).shape]).toEqual([
      "meta",
      "bfloat16",
      [4, 2],
    ]);
  });

  tidyTest("attention takes as many ops for many texts as for one", () => {
    const opsOf = (lengths: number[], dtype: DType) => {
      const cuSeqlens = bordersOf(lengths);
      const inputs = [2, 1, 1].map((heads) =>
        zeros([cuSeqlens.at(-1)!, heads, 8], { device: "meta", dtype, requiresGrad: true }),
      );
      const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
      const counts = countOps(() => tidy(() => packedAttention(q, k, v, cuSeqlens).sum().backward()));
      expect(inputs.map(({ grad }) => grad!.shape)).toEqual(inputs.map(({ shape }) => shape));
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    };
    for (const dtype of ["float32", "bfloat16"] as const)
      expect(opsOf([3, 5, 1, 9, 40, 2], dtype)).toBe(opsOf([60], dtype));
  });
});

tidyTest("ops are counted while they are asked for, and not after", () => {
  const x = random(1, [2, 2]);
  expect(countOps(() => tidy(() => void x.exp().exp().t().matmul(x)))).toEqual({ "aten::exp": 2, "aten::mm": 1 });
  tidy(() => x.exp());
  expect(countOps(() => {})).toEqual({});
});
