// The fused kernels against the ops composed of libtorch's own in float64: values and the gradient of every input, in both
// dtypes, at odd widths, one row and none, with every instruction set that this processor has.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectNoLeaks, kernelTest, tidyTest } from "../test/leaks.js";
import * as composed from "./composed.js";
import * as fused from "./fused.js";
import type { NormOptions } from "./fused-options.js";
import {
  type DType,
  fromTypedArray,
  Generator,
  getNumThreads,
  grad,
  instructionSet,
  linear,
  randint,
  randn,
  setNumThreads,
  type Tensor,
  tensor,
  tidy,
} from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

type Op = (...inputs: Tensor[]) => Tensor[];

/** The largest difference of outputs and of the gradients of all inputs from float64 ones, relative to the largest value or 1. */
function worstError(fusedOp: Op, composedOp: Op, inputs: Tensor[]): number {
  return tidy(() => {
    const leaves = inputs.map((x) => x.detach().clone().requiresGrad_());
    const doubles = inputs.map((x) => x.detach().to("float64").requiresGrad_());
    const [outputs, wanted] = [fusedOp(...leaves), composedOp(...doubles)];
    const gradOutputs = outputs.map((x, i) => randn(x.shape, { generator: new Generator(i + 50) }).to(x.dtype));
    const wide = gradOutputs.map((x) => x.to("float64"));
    const got = [...outputs, ...grad(outputs, leaves, gradOutputs)];
    const expected = [...wanted, ...grad(wanted, doubles, wide)];
    for (const [i, gradient] of got.slice(outputs.length).entries()) expect(gradient!.dtype).toBe(inputs[i]!.dtype);
    const errors = got.map((value, i) => {
      expect(value!.shape).toEqual(expected[i]!.shape);
      if (value!.numel === 0) return 0;
      const difference = value!.detach().to("float64").sub(expected[i]!.detach()).abs().amax().item();
      return difference / Math.max(expected[i]!.detach().abs().amax().item(), 1);
    });
    return Math.max(...errors.map((error) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)));
  });
}

const random = (seed: number, shape: number[], dtype: DType = "float32") =>
  randn(shape, { generator: new Generator(seed) }).to(dtype);

const tolerance = { float32: 5e-6, bfloat16: 1e-2 };
const dtypes = ["float32", "bfloat16"] as const;

describe.each(native.instructionSets())("with %s instructions,", (set) => {
  const before = native.instructionSet();
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setInstructionSet(before));

  describe.each(["rms", "layer"] as const)("%s norm", (kind) => {
    const eps = 1e-5;
    const options = (weight: Tensor, bias?: Tensor): NormOptions => ({
      kind,
      weight,
      eps,
      ...(bias && { bias }),
    });

    tidyTest("equals the float64 one, alone and after an addition, in values and every gradient", () => {
      for (const rows of [[5], [1], [0], [2, 3]]) {
        const inputs = [
          random(1, [...rows, 37])
            .mul(3)
            .add(0.5),
          random(3, [37]),
          ...(kind === "layer" ? [random(4, [37])] : []),
        ];
        expect(
          worstError(
            (x, weight, bias) => [fused.norm(x!, options(weight!, bias))],
            (x, weight, bias) => [composed.norm(x!, options(weight!, bias))],
            inputs,
          ),
        ).toBeLessThan(tolerance.float32);
        for (const dtype of dtypes) {
          const [x, ...weights] = inputs;
          expect(
            worstError(
              (x, y, weight, bias) => fused.addNorm(x!, y!, options(weight!, bias)),
              (x, y, weight, bias) => composed.addNorm(x!, y!, options(weight!, bias)),
              [x!, random(2, [...rows, 37], dtype), ...weights],
            ),
            dtype,
          ).toBeLessThan(tolerance[dtype]);
        }
      }
    });

    tidyTest("gives the gradient of the sum alone where the norm is not used, and of the norm alone", () => {
      const [x, y, weight] = [random(1, [3, 8]), random(2, [3, 8]), random(3, [8])].map((x) => x.requiresGrad_()) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const [sum] = fused.addNorm(x, y, options(weight));
      const [gx, gy, gw] = grad([sum.sum()], [x, y, weight]);
      expect(gx!.toArray()).toEqual(new Array(24).fill(1));
      expect(gy!.toArray()).toEqual(new Array(24).fill(1));
      expect(gw).toBeUndefined();
      const [, normed] = fused.addNorm(x, y, options(weight));
      const [direct] = grad([normed.square().sum()], [y]);
      const [reference] = grad([composed.norm(x.add(y), options(weight)).square().sum()], [y]);
      expect(direct!.sub(reference!).abs().amax().item()).toBeLessThan(1e-5);
    });
  });

  describe.each(dtypes)("in %s", (dtype) => {
    test.each(["silu", "gelu"] as const)(
      "the unit gated by %s equals the composed one, for either half",
      (activation) => {
        tidy(() => {
          for (const shape of [
            [5, 42],
            [1, 2],
            [0, 8],
            [2, 3, 130],
          ])
            for (const gate of ["first", "last"] as const)
              expect(
                worstError(
                  (x) => [fused.gatedUnit(x!, gate, activation)],
                  (x) => [composed.gatedUnit(x!, gate, activation)],
                  [random(1, shape, dtype).mul(4)],
                ),
              ).toBeLessThan(tolerance[dtype]);
        });
      },
    );

    test.each(["silu", "gelu"] as const)(
      "a linear layer on a unit gated by %s has the plain one's values and gradients",
      (activation) => {
        tidy(() => {
          for (const gate of ["first", "last"] as const) {
            const origin = (x: Tensor) => ({ x, gate, activation });
            const error = worstError(
              (x, weight) => [fused.gatedLinear(fused.gatedUnit(x!, gate, activation), origin(x!), weight!)],
              (x, weight) => [linear(composed.gatedUnit(x!, gate, activation), weight!)],
              [random(1, [2, 5, 42], dtype), random(2, [7, 21], dtype)],
            );
            expect(error).toBeLessThan(tolerance[dtype]);
          }
        });
      },
    );

    describe.each(["adjacent", "half", undefined] as const)("with pairs %s", (pairing) => {
      tidyTest("heads split from either layout, and turned, equal the composed ones", () => {
        for (const [N, H, D] of [
          [5, 3, 10],
          [1, 1, 2],
          [0, 2, 4],
          [3, 2, 64],
        ] as const) {
          const angles = random(7, [N, D / 2]).mul(3);
          const rotary = (wide: boolean) => {
            const [cos, sin] = [angles.cos(), angles.sin()].map((x) => (wide ? x.to("float64") : x)) as [
              Tensor,
              Tensor,
            ];
            return pairing && { rotary: { cos, sin, pairing } };
          };
          for (const layout of ["blocks", "perHead"] as const)
            expect(
              worstError(
                (qkv) => fused.splitQkv(qkv!, { layout, heads: H, ...rotary(false) }),
                (qkv) => composed.splitQkv(qkv!, { layout, heads: H, ...rotary(true) }),
                [random(1, [N, 3 * H * D], dtype)],
              ),
            ).toBeLessThan(tolerance[dtype]);
          for (const K of [1, H])
            expect(
              worstError(
                (qkv) => fused.splitQkv(qkv!, { layout: "blocks", heads: 2 * H, kvHeads: K, ...rotary(false) }),
                (qkv) => {
                  const parts = qkv!
                    .split([2 * H * D, K * D, K * D], 1)
                    .map((part) => part.reshape(N, part.shape[1]! / D, D));
                  const turned = parts.map((part, i) =>
                    pairing && i < 2 ? composed.rotary(part, rotary(true)!.rotary) : part,
                  );
                  return turned;
                },
                [random(1, [N, (2 * H + 2 * K) * D], dtype)],
              ),
              `${2 * H} heads over ${K}`,
            ).toBeLessThan(tolerance[dtype]);
          if (!pairing) continue;
          expect(
            worstError(
              (x) => [fused.rotary(x!, rotary(false)!.rotary)],
              (x) => [composed.rotary(x!, rotary(true)!.rotary)],
              [random(1, [N, H, D], dtype)],
            ),
          ).toBeLessThan(tolerance[dtype]);
        }
      });
    });

    tidyTest("linear cross entropy equals the composed one, with a bias and without, some rows ignored", () => {
      for (const [M, C, V] of [
        [7, 5, 31],
        [1, 3, 2],
        [0, 3, 4],
        [33, 16, 1001],
      ] as const) {
        const labels = randint(0, V, [M], { dtype: "int64", generator: new Generator(8) });
        if (M > 1) labels.narrow(0, 1, 1).fill_(-100);
        const inputs = [random(1, [M, C]), random(2, [V, C], dtype), random(3, [V])];
        for (const count of [3, 2])
          expect(
            worstError(
              (x, weight, bias) => [fused.linearCrossEntropy(x!, weight!, bias, labels)],
              (x, weight, bias) => [composed.linearCrossEntropy(x!, weight!, bias, labels)],
              inputs.slice(0, count),
            ) / Math.max(1, Math.sqrt(M)),
          ).toBeLessThan(tolerance[dtype]);
      }
    });

    tidyTest("linear cross entropy in several chunks of rows equals the composed one", () => {
      const [M, C, V] = [1200, 2, 60_000]; // 144 MB of bfloat16 logits, 288 MB of float32
      const labels = randint(0, V, [M], { dtype: "int64", generator: new Generator(8) });
      const inputs = [random(1, [M, C]), random(2, [V, C], dtype), random(3, [V])].map((x) => x.requiresGrad_());
      const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor];
      const losses = [fused, composed].map(({ linearCrossEntropy }) => linearCrossEntropy(x, weight, bias, labels));
      const [got, expected] = losses.map((loss) => [loss, ...grad([loss.div(M)], inputs)]) as [Tensor[], Tensor[]];
      for (const [i, value] of got.entries()) {
        const [a, b] = [value, expected[i]!].map((x) => x.detach().to("float64")) as [Tensor, Tensor];
        const scale = b.abs().amax().item();
        // Sums of 60,000 values in float32; a build that takes them one after another is off by 6e-5.
        expect(a.sub(b).abs().amax().item() / scale, `output or gradient ${i}`).toBeLessThan(
          dtype === "float32" ? 1e-4 : 2e-2,
        );
      }
    });
  });

  tidyTest("values beyond the range of exp give finite gated units and losses, and NaN stays NaN", () => {
    const x = tensor([[-200, 200, 0, Number.NaN, 1, 1, 1, 1]]);
    for (const activation of ["silu", "gelu"] as const) {
      const [low, high, zero, nan] = fused.gatedUnit(x, "first", activation).toArray();
      expect(Math.abs(low!)).toBeLessThan(1e-30);
      expect([high, zero]).toEqual([200, 0]);
      expect(nan).toBeNaN();
    }
    expect(fused.gatedUnit(x.to("bfloat16"), "first").toArray()[3]).toBeNaN();
    const labels = tensor([1], { dtype: "int64" });
    const weight = tensor([[1], [-1]]);
    expect(fused.linearCrossEntropy(tensor([[150]]), weight, undefined, labels).item()).toBe(300);
    expect(fused.linearCrossEntropy(tensor([[Number.NaN]]), weight, undefined, labels).item()).toBeNaN();
  });

  tidyTest("bfloat16 results are the float32 ones rounded to nearest, ties to even", () => {
    const x = random(1, [4, 50], "bfloat16");
    const rounded = fused.gatedUnit(x.to("float32"), "first").to("bfloat16");
    expect(fused.gatedUnit(x, "first").toArray()).toEqual(rounded.toArray());
  });
});

test("the best instruction set is taken, and one that the processor lacks is refused", () => {
  expect(instructionSet()).toBe(native.instructionSets().at(-1));
  expect(() => native.setInstructionSet("avx1024")).toThrow(
    "setInstructionSet: expected an instruction set that this processor has, [portable",
  );
});

tidyTest("an unused head's gradient is zero", () => {
  const qkv = random(1, [3, 12]).requiresGrad_();
  const [, k] = fused.splitQkv(qkv, { layout: "blocks", heads: 2 });
  const [gradient] = grad([k.sum()], [qkv]);
  const row = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0];
  expect(gradient!.toArray()).toEqual([...row, ...row, ...row]);
});

kernelTest("fused ops read tensors that are not contiguous", () => {
  const x = random(1, [12, 6]);
  const transposed = x.t();
  const copy = transposed.contiguous();
  expect(fused.gatedUnit(transposed, "first").toArray()).toEqual(fused.gatedUnit(copy, "first").toArray());
  const options: NormOptions = { kind: "rms", weight: random(2, [12]), eps: 1e-5 };
  expect(fused.norm(transposed, options).toArray()).toEqual(fused.norm(copy, options).toArray());
  const [y, gradOutput] = [copy.detach().requiresGrad_(), random(3, [6, 6])];
  const expanded = gradOutput.narrow(1, 0, 1).expand(6, 6);
  const [a] = grad([fused.gatedUnit(y, "last")], [y], [expanded]);
  const [b] = grad([fused.gatedUnit(y, "last")], [y], [expanded.contiguous()]);
  expect(a!.toArray()).toEqual(b!.toArray());
});

test("two threads give what they gave before, bit for bit, and close to what one gives", () => {
  const before = getNumThreads();
  const run = (threads: number) =>
    tidy(() => {
      setNumThreads(threads);
      const [x, y, weight] = [random(1, [301, 256]), random(2, [301, 256]), random(3, [256])].map((x) =>
        x.requiresGrad_(),
      ) as [Tensor, Tensor, Tensor];
      const [sum, normed] = fused.addNorm(x, y, { kind: "rms", weight, eps: 1e-5 });
      const labels = randint(0, 900, [301], { dtype: "int64", generator: new Generator(8) });
      const decoder = random(4, [900, 256]).requiresGrad_();
      const loss = fused.linearCrossEntropy(sum.mul(normed), decoder, undefined, labels);
      return [loss, ...grad([loss], [x, y, weight, decoder])].map((value) => value!.toArray());
    });
  const [once, again, alone] = [run(2), run(2), run(1)];
  setNumThreads(before);
  expect(again).toEqual(once);
  for (const [i, values] of alone.entries()) {
    const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = values.reduce((most, value, j) => Math.max(most, Math.abs(value - once[i]![j]!)), 0);
    expect(worst / scale).toBeLessThan(1e-5);
  }
});

kernelTest("wrong shapes and labels are refused, naming what was expected and what came", () => {
  const [x, weight] = [random(1, [3, 4]), random(2, [4])];
  const options: NormOptions = { kind: "rms", weight, eps: 1e-5 };
  expect(() => fused.norm(random(1, [3, 5]), options)).toThrow(
    "fusedNorm: expected weight float32 [5] on the CPU, got Float [4]",
  );
  expect(() => fused.addNorm(x, random(1, [2, 4]), options)).toThrow("expected y of x's shape [3, 4], got [2, 4]");
  expect(() => fused.gatedUnit(random(1, [3, 5]), "first")).toThrow("fusedGatedUnit: expected x [.., 2I], got [3, 5]");
  expect(() => fused.splitQkv(x, { layout: "blocks", heads: 2 })).toThrow("C a multiple of 2 heads, got [3, 4]");
  for (const split of [fused.splitQkv, composed.splitQkv]) {
    const wide = random(1, [3, 16]);
    expect(() => split(wide, { layout: "perHead", heads: 4, kvHeads: 2 })).toThrow(
      "as many kvHeads as heads in layout perHead",
    );
    expect(() => split(wide, { layout: "blocks", heads: 4, kvHeads: 3 })).toThrow("multiple of");
    expect(() => split(wide, { layout: "blocks", heads: 0 })).toThrow("multiple of");
    expect(() => split(wide, { layout: "blocks", heads: 6, kvHeads: 2 })).toThrow("got [3");
  }
  const heads = random(1, [3, 2, 4]);
  const angles = { cos: random(1, [2, 2]), sin: random(1, [2, 2]), pairing: "half" as const };
  expect(() => fused.rotary(heads, angles)).toThrow("expected cos float32 [3, D/2] on the CPU for heads of width 4");
  const labels = fromTypedArray(BigInt64Array.of(0n, 5n, 1n));
  expect(() => fused.linearCrossEntropy(x, x, undefined, labels)).toThrow("labels from 0 to 2 or -100, got 5 in row 1");
  expect(() => native.fusedGatedUnit(x.to("float64").handle, true, false)).toThrow(
    "expected float32 or bfloat16 on the CPU",
  );
});
