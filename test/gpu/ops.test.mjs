// Single ops on the GPU against the CPU's: attention of every kind, the loss in chunks, means of sequences, Adam, norms, random
// numbers, memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AdamW, cudaDeviceCount, emptyCache, fromTypedArray, Generator, linearCrossEntropy, memoryStats, packedAttention, segmentMean, synchronize, tidy, totalNorm, zeros } from "#torch/index"; // biome-ignore format: a list
import { assertClose, device, isGpu, values } from "./close.mjs";

const random = (seed, shape) =>
  fromTypedArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed * 1000 + 12.9898 * i)),
    { shape },
  );

/** Results and gradients of an op on both devices. */
function assertSame(inputs, compute, dtype, tolerance) {
  tidy(() => {
    const [there, here] = [device, "cpu"].map((place) => {
      const leaves = inputs.map((input) => input.to(dtype).to(place).detach().clone().requiresGrad_());
      const result = compute(place, ...leaves);
      result.to("float32").mul(random(99, result.shape).to(place)).sum().backward();
      return [result, ...leaves.map((leaf) => leaf.grad)].map(values);
    });
    for (const [i, numbers] of there.entries())
      assertClose(numbers, here[i], tolerance, i === 0 ? "values" : `gradient ${i}`);
  });
}

const cuSeqlens = [0, 3, 4, 4, 130, 131, 400];
for (const [dtype, tolerance] of [
  ["float32", 1e-4],
  ["bfloat16", 3e-2],
]) {
  for (const window of [undefined, 2, 64]) {
    for (const [H, K, D] of [
      [4, 4, 64],
      [6, 2, 32],
      [2, 2, 20],
    ]) {
      test(`attention in ${dtype}, window ${window}, ${H} heads of queries, ${K} of keys, width ${D}`, () => {
        const inputs = [H, K, K].map((heads, i) => random(i, [400, heads, D]));
        const options = { scale: 0.2, ...(window !== undefined && { window }) };
        assertSame(inputs, (_place, q, k, v) => packedAttention(q, k, v, cuSeqlens, options), dtype, tolerance);
      });
    }
  }

  test(`the loss over a vocabulary in ${dtype}, with labels that do not count`, () => {
    const labels = Int32Array.from({ length: 200 }, (_, i) => (i % 5 === 0 ? -100 : (i * 7) % 1000));
    const loss = (place, x, w, b) =>
      linearCrossEntropy(x, w, b.to("float32"), fromTypedArray(labels, { device: place }).to("int64"));
    assertSame(
      [random(1, [200, 32]), random(2, [1000, 32]), random(3, [1000])],
      loss,
      dtype,
      dtype === "float32" ? 1e-4 : 3e-2,
    );
  });
}

test("means of sequences, and the norm of many tensors", () => {
  const means = (_place, x) => segmentMean(x, [0, 3, 4, 130, 131, 400]);
  assertSame([random(1, [400, 48])], means, "float32", 1e-5);
  tidy(() => {
    const tensors = [random(1, [50, 3]), random(2, [4000]).to("bfloat16"), random(3, [2])];
    const [there, here] = [device, "cpu"].map((place) => totalNorm(tensors.map((tensor) => tensor.to(place))));
    assert.ok(Math.abs(there / here - 1) < 1e-5);
  });
});

test("Adam with bfloat16 copies and scaled gradients", () => {
  tidy(() => {
    const [there, here] = [device, "cpu"].map((place) => {
      const params = [random(1, [300, 7]), random(2, [11])].map((x) => x.to(place).detach().clone().requiresGrad_());
      const copies = new Map([[params[0], params[0].detach().to("bfloat16").requiresGrad_()]]);
      const optimizer = new AdamW(params, { lr: 1e-2 });
      for (let step = 0; step < 3; step++) {
        copies.get(params[0]).grad = random(step, [300, 7]).to(place).to("bfloat16");
        params[1].grad = random(step, [11]).to(place);
        optimizer.step({ gradScale: 0.3, copies });
      }
      const all = [...params, copies.get(params[0])].map(values);
      optimizer.dispose();
      return all;
    });
    for (const [i, numbers] of there.entries()) assertClose(numbers, here[i], i === 2 ? 1e-2 : 1e-5, `tensor ${i}`);
  });
});

test("a generator's numbers repeat from its state", () => {
  const generator = new Generator(7, device);
  const draw = () => tidy(() => values(zeros([100], { device }).bernoulli_(0.5, generator)));
  const state = generator.getState();
  const first = draw();
  assert.notDeepEqual(draw(), first);
  generator.setState(state);
  assert.deepEqual(draw(), first);
});

test("memory is counted and given back, and too much of it is refused with the settings that help", {
  skip: !isGpu,
}, () => {
  const before = memoryStats(device);
  const big = zeros([2 ** 28], { device });
  synchronize(device);
  assert.ok(memoryStats(device).allocatedBytes - before.allocatedBytes >= 2 ** 30);
  big.dispose();
  emptyCache(device);
  assert.equal(memoryStats(device).allocatedBytes, before.allocatedBytes);
  assert.throws(
    () => zeros([2 ** 38 - 1], { device }),
    /CUDA out of memory.*This process has .*\nCompute fewer tokens at a time/s,
  );
});

test("a GPU that is not there is refused with those that are", { skip: !isGpu }, () => {
  const count = cudaDeviceCount();
  assert.throws(
    () => zeros([1], { device: `cuda:${count}` }),
    new RegExp(`cuda:0 to cuda:${count - 1}, got cuda:${count}`),
  );
});
