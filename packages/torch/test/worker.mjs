// What the worker tests run in a worker, on the compiled package. Answers each task with one message.

import { parentPort, workerData } from "node:worker_threads";
import * as torch from "../dist/index.js";

/** Fits a small two-layer network and returns its losses and weights. */
export function train(seed, steps) {
  const { AdamW, Generator, liveTensors, mseLoss, randn, tidy } = torch;
  const before = liveTensors();
  const generator = new Generator(seed);
  const [first, second] = [
    [16, 8],
    [1, 16],
  ].map((shape) => randn(shape, { generator, requiresGrad: true }));
  const [x, y] = tidy(() =>
    [
      [64, 8],
      [64, 1],
    ].map((shape) => randn(shape, { generator })),
  );
  const optimizer = new AdamW([first, second], { lr: 0.02 });
  const losses = [];
  for (let step = 0; step < steps; step++)
    tidy(() => {
      const loss = mseLoss(torch.linear(torch.linear(x, first).tanh(), second), y);
      loss.backward();
      losses.push(loss.item());
      optimizer.step();
      optimizer.zeroGrad();
    });
  const weights = [first, second].map((weight) => Array.from(weight.toTypedArray()));
  for (const tensor of [first, second, x, y]) tensor.dispose();
  optimizer.dispose();
  return { losses, weights, leaked: liveTensors() - before };
}

const tasks = {
  train({ seed, steps, threads }) {
    torch.setNumThreads(threads);
    const result = train(seed, steps);
    return { ...result, threads: torch.getNumThreads() };
  },

  /** Stays inside noGrad until the main thread has looked at its own grad mode. */
  gradMode({ flag }) {
    const records = () => torch.tidy(() => torch.ones([1], { requiresGrad: true }).mul(2).requiresGrad);
    const seen = [records()];
    torch.noGrad(() => {
      parentPort.postMessage("inside");
      Atomics.wait(new Int32Array(flag), 0, 0);
      seen.push(records());
    });
    return [...seen, records()];
  },

  foreignHandle({ handle }) {
    const own = torch.ones([2]);
    try {
      return new torch.Tensor(handle).toArray();
    } catch (error) {
      return error.message;
    } finally {
      own.dispose();
    }
  },

  /** Calls of every kind, borrowed arrays and errors among them, until the worker is terminated. */
  forever() {
    const held = [torch.ones([8e6]), torch.fromTypedArray(new Float32Array(8e6).fill(1))]; // 64 MB
    parentPort.postMessage("started");
    for (;;) {
      torch.tidy(() => {
        const borrowed = torch.fromTypedArray(new Float32Array(100), { shape: [10, 10], requiresGrad: true });
        torch.cat(borrowed.matmul(borrowed).split(3)).sum().backward();
        try {
          borrowed.matmul(torch.ones([3]));
        } catch {}
      });
      torch.fromTypedArray(new Float32Array(1000)).add(held[0].narrow(0, 0, 1000));
    }
  },
};

if (workerData) parentPort.postMessage(tasks[workerData.task](workerData));
