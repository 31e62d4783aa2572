// Each op against a plain float64 version written here; gradients are held by the golden models and by the comparison
// of recomputed blocks with kept ones.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cat, fromTypedArray, Generator, liveTensors, stack, type Tensor, tensor, tidy } from "@neobert/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { QkvProjection, SplitOptions } from "../ops.js";
import { TorchModel } from "./torch-model.js";
import { type TorchBatch, TorchOps } from "./torch-ops.js";

const ops = new TorchOps();
const floats = (x: Tensor) => x.detach().toTypedArray() as Float32Array;
const random = (seed: number, ...shape: number[]) =>
  fromTypedArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed * 1000 + 12.9898 * i) * 2),
    { shape },
  );
const batchOf = (...lengths: number[]): TorchBatch => {
  const cuSeqlens = [0];
  for (const length of lengths) cuSeqlens.push(cuSeqlens.at(-1)! + length);
  return { ids: fromTypedArray(new Int32Array(cuSeqlens.at(-1)!)), cuSeqlens };
};

function expectClose(got: Tensor, expected: number[], tolerance: number): void {
  const values = floats(got);
  expect(values.length).toBe(expected.length);
  expect(values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0)).toBeLessThan(tolerance);
}

/** A test whose tensors are freed and counted. */
function tidyTest(name: string, body: () => void): void {
  test(name, () => tidy(body));
}

let liveBefore: number;
beforeEach(() => {
  liveBefore = liveTensors();
});
afterEach(() => {
  expect(liveTensors(), "live tensors after the test").toBe(liveBefore);
});

tidyTest("positions start anew in each sequence", () => {
  expect([...ops.positions(batchOf(3, 1, 0, 2), 1).toTypedArray()]).toEqual([1, 2, 3, 1, 1, 2]);
});

tidyTest("the three layouts of query, key and value hold the same heads", () => {
  const [N, H, D] = [3, 2, 4];
  const C = H * D;
  const parts = [random(1, N, C), random(2, N, C), random(3, N, C)].map(floats);
  const qkvOf = (at: (row: number, column: number) => number) =>
    fromTypedArray(
      Float32Array.from({ length: N * 3 * C }, (_, i) => at(Math.floor(i / (3 * C)), i % (3 * C))),
      { shape: [N, 3 * C] },
    );
  const blocks = qkvOf((row, column) => parts[Math.floor(column / C)]![row * C + (column % C)]!);
  const perHead = qkvOf((row, column) => {
    const head = Math.floor(column / (3 * D));
    return parts[Math.floor((column % (3 * D)) / D)]![row * C + head * D + (column % D)]!;
  });
  const [q, k, v] = parts.map((part) => fromTypedArray(part, { shape: [N, C] })) as [Tensor, Tensor, Tensor];
  const projections: QkvProjection<Tensor>[] = [
    { layout: "separate", q, k, v },
    { layout: "blocks", qkv: blocks },
    { layout: "perHead", qkv: perHead },
  ];
  for (const projection of projections) {
    const split = ops.splitQkv(projection, { heads: H });
    for (const [i, part] of [split.q, split.k, split.v].entries()) {
      expect(part.shape).toEqual([N, H, D]);
      expect(floats(part)).toEqual(parts[i]);
    }
  }
});

tidyTest("grouped heads of keys and values are those of one layer or of two, and perHead has none", () => {
  const [N, H, K, D] = [3, 4, 2, 6];
  const [q, k, v] = [random(1, N, H * D), random(2, N, K * D), random(3, N, K * D)];
  const separate = ops.splitQkv({ layout: "separate", q, k, v }, { heads: H, kvHeads: K });
  const blocks = ops.splitQkv({ layout: "blocks", qkv: cat([q, k, v], -1) }, { heads: H, kvHeads: K });
  expect([separate.q.shape, separate.k.shape, separate.v.shape]).toEqual([
    [N, H, D],
    [N, K, D],
    [N, K, D],
  ]);
  for (const part of ["q", "k", "v"] as const) expect(floats(blocks[part])).toEqual(floats(separate[part]));
  const perHead = { layout: "perHead", qkv: cat([q, k, v], -1) } as const;
  expect(() => ops.splitQkv(perHead, { heads: H, kvHeads: K })).toThrow(/as many kvHeads as heads in layout perHead/);
});

tidyTest("each head of queries attends to its group's keys as if they were repeated for it", () => {
  const [N, H, K, D] = [9, 6, 2, 8];
  const [q, k, v] = [random(1, N, H, D), random(2, N, K, D), random(3, N, K, D)];
  const repeated = (x: Tensor) =>
    stack(
      Array.from({ length: H }, (_, h) => x.select(1, Math.floor((h * K) / H))),
      1,
    );
  const batch = batchOf(5, 4);
  const got = ops.attention({ q, k, v }, batch, 0.3);
  expectClose(got, [...floats(ops.attention({ q, k: repeated(k), v: repeated(v) }, batch, 0.3))], 1e-5);
});

describe.each(["adjacent", "half"] as const)("rotary positions, %s pairs", (pairing) => {
  tidyTest("turn each pair of q and k by position times frequency, and leave v alone", () => {
    const [N, H, D, theta] = [4, 2, 6, 10000];
    const positions = [0, 1, 17, 300];
    const [q, k, v] = [random(1, N, H * D), random(2, N, H * D), random(3, N, H * D)];
    const rotary: SplitOptions<Tensor>["rotary"] = {
      ...ops.rotaryAngles(tensor(positions, { dtype: "int32" }), D, theta),
      pairing,
    };
    const rotated = ops.splitQkv({ layout: "separate", q, k, v }, { heads: H, rotary });
    const expected = (x: Float32Array) =>
      [...x].map((_, i) => {
        const [row, start, d] = [Math.floor(i / (H * D)), i - (i % D), i % D];
        const j = pairing === "adjacent" ? d >> 1 : d % (D / 2);
        const isFirst = pairing === "adjacent" ? d % 2 === 0 : d < D / 2;
        const a = x[start + (pairing === "adjacent" ? 2 * j : j)]!;
        const b = x[start + (pairing === "adjacent" ? 2 * j + 1 : j + D / 2)]!;
        const angle = positions[row]! * theta ** ((-2 * j) / D);
        return isFirst ? a * Math.cos(angle) - b * Math.sin(angle) : b * Math.cos(angle) + a * Math.sin(angle);
      });
    expectClose(rotated.q, expected(floats(q)), 5e-5);
    expectClose(rotated.k, expected(floats(k)), 5e-5);
    expect(floats(rotated.v)).toEqual(floats(v));
  });
});

tidyTest("attention stays within each sequence, at an odd head width too", () => {
  const [H, D, scale] = [2, 5, 0.4];
  const lengths = [7, 1, 3];
  const N = lengths.reduce((sum, length) => sum + length, 0);
  const [q, k, v] = [random(1, N, H, D), random(2, N, H, D), random(3, N, H, D)];
  const [Q, K, V] = [floats(q), floats(k), floats(v)];
  const expected = new Array<number>(N * H * D).fill(0);
  let start = 0;
  for (const length of lengths) {
    const rows = Array.from({ length }, (_, i) => start + i);
    for (const row of rows) {
      for (let h = 0; h < H; h++) {
        const at = (r: number, d: number) => (r * H + h) * D + d;
        const scores = rows.map((r) => {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += Q[at(row, d)]! * K[at(r, d)]!;
          return Math.exp(scale * dot);
        });
        const total = scores.reduce((sum, score) => sum + score, 0);
        for (const [i, r] of rows.entries()) {
          for (let d = 0; d < D; d++) expected[at(row, d)]! += (scores[i]! / total) * V[at(r, d)]!;
        }
      }
    }
    start += length;
  }
  const attended = ops.attention({ q, k, v }, batchOf(...lengths), scale);
  expect(attended.shape).toEqual([N, H * D]);
  expectClose(attended, expected, 1e-5);
});

tidyTest("pooling takes each sequence's first row or the mean of its rows", () => {
  const x = tensor([
    [1, 2],
    [3, 6],
    [5, 1],
    [7, 9],
  ]);
  const batch = batchOf(1, 3);
  expect(ops.pool(x, batch, "cls").toArray()).toEqual([1, 2, 3, 6]);
  expectClose(ops.pool(x, batch, "mean"), [1, 2, 5, 16 / 3], 1e-6);
});

tidyTest("the gated unit applies silu to the half it names", () => {
  const silu = (z: number) => z / (1 + Math.exp(-z));
  const x = tensor([[1, -2, 3, 0.5]]);
  expectClose(ops.gatedUnit(x, "first"), [silu(1) * 3, silu(-2) * 0.5], 1e-6);
  expectClose(ops.gatedUnit(x, "last"), [silu(3) * 1, silu(0.5) * -2], 1e-6);
});

tidyTest("a zero vector stays zero when normalised", () => {
  expectClose(
    ops.l2Normalize(
      tensor([
        [3, 4],
        [0, 0],
      ]),
    ),
    [0.6, 0.8, 0, 0],
    1e-6,
  );
});

tidyTest("linear cross entropy is the sum over rows of minus the label's log probability, in float32", () => {
  const [x, weight, bias] = [random(1, 3, 4), random(2, 5, 4), random(3, 5)];
  const labels = [4, 0, 2];
  const [X, W, b] = [floats(x), floats(weight), floats(bias)];
  const expected = labels.reduce((sum, label, row) => {
    const logits = Array.from(b, (value, c) => {
      return value + [0, 1, 2, 3].reduce((dot, i) => dot + X[row * 4 + i]! * W[c * 4 + i]!, 0);
    });
    return sum + Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0)) - logits[label]!;
  }, 0);
  const target = tensor(labels, { dtype: "int64" });
  expectClose(ops.linearCrossEntropy(x, weight, bias, target), [expected], 1e-5);
  expect(ops.linearCrossEntropy(x, weight.to("bfloat16"), bias, target).dtype).toBe("float32");
});

tidyTest("bfloat16 is taken up at a bfloat16 weight and left at the next norm", () => {
  const x = random(1, 3, 4);
  const y = ops.linear(x, random(2, 4, 4).to("bfloat16"), random(3, 4));
  expect(y.dtype).toBe("bfloat16");
  const [sum, normed] = ops.addNorm(x, y, { kind: "rms", weight: random(4, 4), eps: 1e-5 });
  expect([sum.dtype, normed.dtype]).toEqual(["float32", "float32"]);
});

tidyTest("dropout is the identity without a generator and repeats from the same seed with one", () => {
  const x = tensor(new Array<number>(1000).fill(1));
  expect(ops.dropout(x, 0.3)).toBe(x);
  const draw = (seed: number) => floats(new TorchOps({ generator: new Generator(seed) }).dropout(x, 0.3));
  const kept = draw(5).filter((value) => value !== 0);
  expect(kept.length).toBeGreaterThan(630);
  expect(kept.length).toBeLessThan(770);
  expect(kept.every((value) => Math.abs(value - 1 / 0.7) < 1e-6)).toBe(true);
  expect(draw(5)).toEqual(draw(5));
  expect(draw(6)).not.toEqual(draw(5));
});

describe.each(["base", "m0", "ngpt", "ngpt-own"])("recomputed blocks, model %s", (variant) => {
  test("give the gradients of kept ones, with the same dropout, and leave the generator where those leave it", () => {
    const path = fileURLToPath(new URL(`../../../../../test/golden/neobert/${variant}/config.json`, import.meta.url));
    const config = { ...JSON.parse(readFileSync(path, "utf8")), dropout: 0.2, embedding_init_range: 1 };
    const batch = {
      ids: Int32Array.from({ length: 20 }, (_, i) => 3 + ((i * 37) % 120)),
      cuSeqlens: Int32Array.of(0, 12, 20),
      maskedRows: Int32Array.of(2, 5, 13, 14),
      labels: Int32Array.of(9, 100, 4, 77),
    };
    const model = TorchModel.create(config, { seed: 2 });
    const run = (checkpoint: boolean) =>
      tidy(() => {
        const generator = new Generator(11);
        const ops = new TorchOps({ generator, checkpoint });
        const { sum } = model.loss(batch, { ops });
        ops.backward(sum);
        const gradients = new Map<string, Float32Array>();
        for (const [name, weight] of model.weights) {
          if (weight.grad) gradients.set(name, floats(weight.grad));
          weight.grad = undefined;
        }
        return { loss: sum.item(), gradients, state: generator.getState() };
      });
    const kept = run(false);
    const recomputed = run(true);
    model.dispose();
    expect(recomputed.loss).toBe(kept.loss);
    expect(recomputed.state).toEqual(kept.state);
    expect([...recomputed.gradients.keys()]).toEqual([...kept.gradients.keys()]);
    for (const [name, expected] of kept.gradients) {
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const difference = recomputed.gradients.get(name)!.map((value, i) => Math.abs(value - expected[i]!));
      expect(Math.max(...difference), name).toBeLessThanOrEqual(1e-6 * largest);
    }
  });
});
