// Several JavaScript threads with libtorch at once, on the compiled package (dist): own handles, grad mode, thread count.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { expectNoLeaks } from "../test/leaks.js";
import { getNumThreads, ones, setNumThreads, tidy } from "./index.js";

expectNoLeaks();

const start = (workerData: object) => new Worker(new URL("../test/worker.mjs", import.meta.url), { workerData });
const answer = async (worker: Worker) => (await once(worker, "message"))[0];

test("two workers train at once, each as the same problem alone, with a thread count of its own and no tensor left", async () => {
  const before = getNumThreads();
  setNumThreads(2);
  const problems = [
    { task: "train", seed: 1, steps: 150, threads: 1 },
    { task: "train", seed: 2, steps: 150, threads: 3 },
  ];
  const together = await Promise.all(problems.map((problem) => answer(start(problem))));
  for (const [i, problem] of problems.entries()) {
    expect(await answer(start(problem))).toEqual(together[i]);
    expect(together[i].threads).toBe(problem.threads);
    expect(together[i].leaked).toBe(0);
    expect(together[i].losses.at(-1)).toBeLessThan(0.5 * together[i].losses[0]);
  }
  expect(getNumThreads()).toBe(2);
  setNumThreads(before);
});

test("noGrad in a worker leaves the main thread recording, and the worker's own mode returns", async () => {
  const flag = new SharedArrayBuffer(4);
  const worker = start({ task: "gradMode", flag });
  expect(await answer(worker)).toBe("inside");
  expect(tidy(() => ones([1], { requiresGrad: true }).mul(2).requiresGrad)).toBe(true);
  Atomics.store(new Int32Array(flag), 0, 1);
  Atomics.notify(new Int32Array(flag), 0);
  expect(await answer(worker)).toEqual([true, false, true]);
});

test("a handle of one thread is refused in another", async () => {
  const x = ones([2]);
  const message = await answer(start({ task: "foreignHandle", handle: x.handle }));
  expect(message).toMatch(/: expected a live tensor, got one that was disposed or belongs to another thread$/);
  x.dispose();
});

test("twelve workers of 64 MB terminated in the middle of their work leave the process whole and less than 300 MB larger", async () => {
  const script = fileURLToPath(new URL("../test/terminate.mjs", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script]);
  expect(stdout).toMatch(/^sum 3\n/);
  expect(Number(stdout.match(/grown by (-?\d+) bytes/)![1])).toBeLessThan(300 * 2 ** 20);
});
