// Packed layers against exact float64 arithmetic on what they store, and against the float layers they stand for, with every
// instruction set that this processor has.

import { afterAll, beforeAll, describe, expect } from "vitest";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import * as composed from "./composed.js";
import {
  fromTypedArray,
  Generator,
  getNumThreads,
  type LayerInput,
  linear,
  PrepackedWeight,
  prepackedChain,
  prepackedChainAddNorm,
  prepackedLinears,
  rand,
  randn,
  setNumThreads,
  type Tensor,
  tensor,
} from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

const PLAIN: LayerInput = { activation: "none", gate: "none" };
const random = (seed: number, ...shape: number[]) => randn(shape, { generator: new Generator(seed) });
const floats = (x: Tensor) => x.to("float32").toTypedArray() as Float32Array;
const relativeError = (got: Tensor, expected: Tensor) => got.sub(expected).norm().item() / expected.norm().item();

/** The signed bytes of a packed weight [O, I], from their documented places. */
function bytesOf({ parts: { packed, scales } }: PrepackedWeight, I: number): Int8Array[] {
  const depth = packed.shape[1]!;
  const stored = new Int8Array((packed.toTypedArray() as Uint8Array).buffer);
  return Array.from({ length: scales!.numel }, (_, o) => {
    const block = Math.floor(o / 16) * depth * 64;
    return Int8Array.from({ length: I }, (_, i) => stored[block + Math.floor(i / 4) * 64 + (o % 16) * 4 + (i % 4)]!);
  });
}

/** y of the formulas in kernels/prepacked.h, in float64 but for the row's own bytes, scale and minimum. */
function expectedRow(x: Float32Array, weight: PrepackedWeight, bias: Float32Array): number[] {
  const [least, most] = [Math.min(...x), Math.max(...x)];
  const scale = (most - least) / 255;
  const bytes = x.map((value) => Math.min(255, Math.round(scale > 0 ? (value - least) / scale : 0)));
  const scales = floats(weight.parts.scales!);
  return bytesOf(weight, x.length).map((row, o) => {
    const product = row.reduce((sum, value, i) => sum + value * bytes[i]!, 0);
    const ones = row.reduce((sum, value) => sum + value, 0);
    return scale * scales[o]! * product + least * scales[o]! * ones + bias[o]!;
  });
}

describe.each(native.instructionSets())("with %s instructions,", (set) => {
  const before = native.instructionSet();
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setInstructionSet(before));

  tidyTest("a layer gives what its bytes say, at widths that fill no block and no step of four", () => {
    for (const [N, I, O] of [
      [1, 5, 3],
      [7, 67, 70],
      [25, 128, 48],
      [13, 1, 17],
    ] as const) {
      const [x, w, bias] = [random(1, N, I).add(0.3), random(2, O, I), random(3, O)];
      const weight = PrepackedWeight.pack(w, "int8");
      const [y] = prepackedLinears(x, [{ weight, bias }], PLAIN, "float32");
      expect(y!.shape).toEqual([N, O]);
      const [got, rows] = [floats(y!), floats(x)];
      for (let n = 0; n < N; n++) {
        // A value on the border between two bytes may take either.
        const step =
          ((Math.max(...rows.subarray(n * I, (n + 1) * I)) - Math.min(...rows.subarray(n * I, (n + 1) * I))) / 255) * 4;
        const expected = expectedRow(rows.subarray(n * I, (n + 1) * I), weight, floats(bias));
        const worst = Math.max(...expected.map((value, o) => Math.abs(value - got[n * O + o]!)));
        expect(worst, `row ${n} of ${N} x ${I} x ${O}`).toBeLessThan(N === 1 || I === 1 ? 1e-4 : step);
        expect(expected.filter((value, o) => Math.abs(value - got[n * O + o]!) > 2e-4).length).toBeLessThan(O / 2 + 1);
      }
    }
  });

  tidyTest("a chain with any activation, gated or not, is near the float layers", () => {
    for (const activation of ["none", "gelu", "silu"] as const) {
      for (const gate of ["none", "first", "last"] as const) {
        const inner = 72;
        const x = random(4, 150, 40);
        const w1 = random(5, gate === "none" ? inner : 2 * inner, 40).mul(0.2);
        const [w2, bias] = [random(6, 40, inner).mul(0.1), random(7, 40)];
        const layers = [
          { weight: PrepackedWeight.pack(w1, "int8"), input: PLAIN },
          { weight: PrepackedWeight.pack(w2, "int8"), bias, input: { activation, gate } },
        ];
        const act = (h: Tensor) => (activation === "none" ? h : h[activation]());
        const hidden = linear(x, w1);
        const halves = gate === "none" ? undefined : hidden.chunk(2, -1);
        const unit = halves
          ? gate === "first"
            ? act(halves[0]!).mul(halves[1]!)
            : act(halves[1]!).mul(halves[0]!)
          : act(hidden);
        const expected = linear(unit, w2, bias);
        expect(relativeError(prepackedChain(x, layers), expected), `${activation} ${gate}`).toBeLessThan(0.02);
        const residual = random(8, 150, 40);
        const norm = { kind: "layer", weight: random(9, 40), bias: random(10, 40), eps: 1e-5 } as const;
        const [sum, normed] = prepackedChainAddNorm(residual, x, layers, norm);
        expect(sum.toTypedArray()).toEqual(residual.add(prepackedChain(x, layers)).toTypedArray());
        expect(relativeError(normed, composed.norm(sum, norm))).toBeLessThan(1e-6);
      }
    }
  });

  tidyTest("a row's result depends neither on its neighbours nor on threads nor on where the rows are divided", () => {
    const threads = getNumThreads();
    const [x, w1, w2] = [random(11, 250, 64), random(12, 96, 64), random(13, 64, 96)];
    const layers = [
      { weight: PrepackedWeight.pack(w1, "int8"), input: PLAIN },
      { weight: PrepackedWeight.pack(w2, "int8"), input: { activation: "gelu", gate: "none" } as const },
    ];
    const together = prepackedChain(x, layers).toTypedArray();
    const several = prepackedLinears(x, [layers[0]!, layers[0]!], PLAIN, "bfloat16").map((y) => y.toTypedArray());
    expect(several[0]).toEqual(several[1]);
    for (const count of [1, 2, 3]) {
      setNumThreads(count);
      expect(prepackedChain(x, layers).toTypedArray()).toEqual(together);
      for (const [start, length] of [
        [0, 1],
        [17, 5],
        [100, 60],
      ] as const) {
        const part = prepackedChain(x.narrow(0, start, length), layers).toTypedArray();
        expect(part).toEqual(together.subarray(start * 64, (start + length) * 64));
        const own = prepackedLinears(x.narrow(0, start, length), [layers[0]!], PLAIN, "bfloat16")[0]!.toTypedArray();
        expect(own).toEqual(several[0]!.subarray(start * 96, (start + length) * 96));
      }
    }
    setNumThreads(threads);
  });

  tidyTest("smoothing moves an input's range into the weight", () => {
    const loud = rand([48], { generator: new Generator(14) })
      .pow(8)
      .mul(50)
      .add(0.1); // few channels are loud
    const [x, w] = [random(15, 30, 48).mul(loud), random(16, 32, 48)];
    const error = (smoothing?: Tensor) => {
      const [y] = prepackedLinears(x, [{ weight: PrepackedWeight.pack(w, "int8", smoothing) }], PLAIN, "float32");
      return relativeError(y!, linear(x, w));
    };
    expect(error(loud.pow(-0.5))).toBeLessThan(0.8 * error());
  });

  tidyTest("rows of zeros, of one value, of NaN and infinity, and no rows at all", () => {
    const w = random(17, 20, 8);
    const layer = { weight: PrepackedWeight.pack(w, "int8") };
    const y = (x: Tensor) => floats(prepackedLinears(x, [layer], PLAIN, "float32")[0]!);
    expect(Math.max(...y(tensor([0, 0, 0, 0, 0, 0, 0, 0]).reshape(1, 8)).map(Math.abs))).toBe(0);
    const ones = floats(layer.weight.parts.sums!);
    const three = y(fromTypedArray(new Float32Array(8).fill(3), { shape: [1, 8] }));
    for (const [o, value] of three.entries()) expect(value).toBeCloseTo(3 * ones[o]!, 4);
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const rows = fromTypedArray(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, odd, 4, 5, 6, 7, 8), { shape: [2, 8] });
      const got = y(rows);
      expect(got.subarray(0, 20).every(Number.isFinite)).toBe(true);
      expect(got.subarray(20).every(Number.isNaN)).toBe(true);
    }
    expect(prepackedLinears(random(18, 0, 8), [layer], PLAIN, "float32")[0]!.shape).toEqual([0, 20]);
    expect(prepackedChain(random(18, 0, 8), [{ ...layer, input: PLAIN }]).shape).toEqual([0, 20]);
  });
});

tidyTest("what does not fit is refused by name", () => {
  const layer = { weight: PrepackedWeight.pack(random(1, 16, 8), "int8") };
  expect(() => prepackedLinears(random(2, 3, 12), [layer], PLAIN, "float32")).toThrow(
    /prepackedLinears: expected a packed weight for inputs of width 12 and 16 channels/,
  );
  expect(() => prepackedLinears(random(2, 3, 8), [layer], PLAIN, "int64")).toThrow(
    /expected dtype float32 or bfloat16/,
  );
  expect(() => PrepackedWeight.pack(random(1, 16), "int8")).toThrow(/prepack: expected a float32 weight \[O, I\]/);
  expect(() => prepackedLinears(random(2, 3, 8), [{ ...layer, bias: random(3, 4) }], PLAIN, "float32")).toThrow(
    /expected bias float32 \[16\]/,
  );
  const norm = { kind: "rms", weight: random(4, 16), eps: 1e-5 } as const;
  expect(() => prepackedChainAddNorm(random(5, 4, 16), random(2, 3, 8), [{ ...layer, input: PLAIN }], norm)).toThrow(
    /expected a float32 residual \[3, 16\]/,
  );
});

tidyTest("a weight of NaN says so in its results", () => {
  const w = fromTypedArray(Float32Array.of(1, 2, Number.NaN, 4), { shape: [2, 2] });
  const weight = PrepackedWeight.pack(w, "int8");
  const x = tensor([1, 2]).reshape(1, 2);
  const [y] = prepackedLinears(x, [{ weight }], PLAIN, "float32");
  const [first, second] = floats(y!);
  expect(first).toBeCloseTo(5, 1);
  expect(second).toBeNaN();
});

describe.each(native.instructionSets())("with %s instructions, in float types,", (set) => {
  const before = native.instructionSet();
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setInstructionSet(before));
  const types = (["float32", "bfloat16"] as const).filter((type) => type === "float32" || set === "avx512bf16");

  tidyTest("a chain with any activation, gated or not, equals the float64 one", () => {
    for (const type of types) {
      const tolerance = type === "float32" ? 2e-6 : 1e-2;
      for (const activation of ["none", "gelu", "silu"] as const) {
        for (const gate of ["none", "first", "last"] as const) {
          const [x, bias] = [random(4, 130, 37), random(7, 35)];
          const w1 = random(5, gate === "none" ? 67 : 134, 37).mul(0.3);
          const w2 = random(6, 35, 67).mul(0.2);
          const layers = [
            { weight: PrepackedWeight.pack(w1, type), input: PLAIN },
            { weight: PrepackedWeight.pack(w2, type), bias, input: { activation, gate } },
          ];
          const act = (h: Tensor) => (activation === "none" ? h : h[activation]());
          const hidden = linear(x.to("float64"), w1.to("float64"));
          const [a, b] = gate === "none" ? [] : hidden.chunk(2, -1);
          const unit = !a || !b ? act(hidden) : gate === "first" ? act(a).mul(b) : act(b).mul(a);
          const expected = linear(unit, w2.to("float64"), bias.to("float64"));
          expect(relativeError(prepackedChain(x, layers), expected), `${type} ${activation} ${gate}`).toBeLessThan(
            tolerance,
          );
          const [row] = [prepackedChain(x.narrow(0, 77, 1), layers)];
          expect(row.toTypedArray()).toEqual(prepackedChain(x, layers).narrow(0, 77, 1).toTypedArray());
        }
      }
    }
  });

  tidyTest("large values stay themselves through the activations, and NaN and infinity do", () => {
    const weight = PrepackedWeight.pack(fromTypedArray(Float32Array.of(1), { shape: [1, 1] }), "float32");
    const given = [-1e30, -200, -20, -0, 20, 200, 1e30, Number.NaN, Number.POSITIVE_INFINITY];
    const x = fromTypedArray(Float32Array.from(given), { shape: [given.length, 1] });
    for (const activation of ["gelu", "silu"] as const) {
      const got = floats(prepackedChain(x, [{ weight, input: { activation, gate: "none" } }]));
      for (const [i, value] of got.entries()) {
        const x = given[i]!; // beyond 20 either activation is the identity, below -20 it is 0, to float32's precision
        if (Number.isNaN(x)) expect(value).toBeNaN();
        else if (x <= 0) expect(Math.abs(value), `${activation}(${x})`).toBeLessThan(1e-7);
        else if (x === Number.POSITIVE_INFINITY) expect(value).toBe(x);
        else expect(value / x, `${activation}(${x})`).toBeCloseTo(1, 6);
      }
    }
  });
});
