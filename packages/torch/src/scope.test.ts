// Lifetimes: what tidy frees and what it lets out, what keep holds, what the garbage collector takes.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { expectNoLeaks } from "../test/leaks.js";
import { full, keep, liveTensors, ones, type Tensor, tidy, zeros } from "./index.js";

expectNoLeaks();

test("tidy frees everything but the tensor it returns", () => {
  const before = liveTensors();
  const kept = tidy(() =>
    ones([2])
      .add(ones([2]))
      .mul(3),
  );
  expect(liveTensors()).toBe(before + 1);
  expect(kept.toArray()).toEqual([6, 6]);
  kept.dispose();
});

test("tidy lets out the tensors in arrays, maps and plain objects, however nested, and frees those in other objects", () => {
  class Holder {
    inner = ones([1]);
  }
  const before = liveTensors();
  const { list, map, holder } = tidy(() => {
    ones([100]);
    return { list: [ones([1]), [ones([2])]] as const, map: new Map([["a", { x: ones([3]) }]]), holder: new Holder() };
  });
  const kept = [list[0], list[1][0]!, map.get("a")!.x];
  expect(kept.map((tensor) => tensor.numel)).toEqual([1, 2, 3]);
  expect(liveTensors()).toBe(before + 3);
  expect(holder.inner.isDisposed).toBe(true);
  for (const tensor of kept) tensor.dispose();
});

test("a tensor let out of an inner tidy belongs to the outer one, and one from outside is left alone", () => {
  const before = liveTensors();
  const outside = ones([1]);
  let inner: Tensor | undefined;
  const result = tidy(() => {
    inner = tidy(() => outside.add(1));
    expect(liveTensors()).toBe(before + 2);
    return tidy(() => outside);
  });
  expect(result).toBe(outside);
  expect([inner!.isDisposed, outside.isDisposed]).toEqual([true, false]);
  outside.dispose();
});

test("tidy frees everything when its function throws, and the next tensor is not caught in it", () => {
  const before = liveTensors();
  const run = () =>
    tidy(() =>
      tidy(() => {
        ones([2]).add(1);
        throw new Error("stop");
      }),
    );
  expect(run).toThrow("stop");
  expect(liveTensors()).toBe(before);
  const after = ones([1]);
  tidy(() => ones([1]) && undefined);
  expect(after.isDisposed).toBe(false);
  after.dispose();
});

test("tidy refuses a function that returns a promise, and frees what it made", () => {
  const run = () => tidy(async () => ones([2]));
  expect(run).toThrow(TypeError);
  expect(run).toThrow("tidy: expected a synchronous function, got one that returns a promise\nAwait outside of tidy.");
});

test("a tensor disposed of by hand inside tidy may be returned or forgotten", () => {
  const returned = tidy(() => {
    ones([1]).dispose();
    const tensor = ones([1]);
    tensor.dispose();
    return tensor;
  });
  expect(returned.isDisposed).toBe(true);
});

test("keep holds a tensor beyond every tidy around the call, whichever of them it was made in", () => {
  const before = liveTensors();
  const kept = tidy(() => {
    const made = ones([3]);
    tidy(() => keep(made));
    return [keep(zeros([1])), tidy(() => keep(keep(ones([2])))), made];
  });
  expect(liveTensors()).toBe(before + 3);
  expect(kept.map((tensor) => tensor.toArray())).toEqual([[0], [1, 1], [1, 1, 1]]);
  for (const tensor of kept) tensor.dispose();
});

test("a hundred thousand tensors live at once, each with its value, and all go", () => {
  const before = liveTensors();
  tidy(() => {
    const all = Array.from({ length: 100_000 }, (_, i) => full([], i));
    expect(liveTensors()).toBe(before + 100_000);
    expect(all.every((tensor, i) => tensor.item() === i)).toBe(true);
  });
  expect(liveTensors()).toBe(before);
});

test("a million tensors in tidies leave the process as large as a hundred thousand did", () => {
  const x = ones([256]);
  const run = (tensors: number) => {
    for (let made = 0; made < tensors; made += 100)
      tidy(() => {
        for (let i = 0; i < 100; i++) x.add(1);
      });
  };
  run(100_000);
  const before = process.memoryUsage().rss;
  run(1_000_000);
  const grown = process.memoryUsage().rss - before;
  expect(grown).toBeLessThan(64 * 2 ** 20); // the tensors themselves were 1 GB
  x.dispose();
});

test("a tensor outside every tidy is freed with its object", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const before = liveTensors();
  const held = ones([1]);
  (() => {
    for (let i = 0; i < 1000; i++) ones([10]);
    tidy(() => keep(ones([10])));
  })();
  expect(liveTensors()).toBe(before + 1002);
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    collectGarbage();
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(liveTensors()).toBe(before + 1);
  held.dispose();
});
