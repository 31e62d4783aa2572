// Worker entry: owns model and optimizer and runs the loop; says what happens, one message a step.

import { parentPort, workerData } from "node:worker_threads";
import { runPretraining } from "./loop.js";
import type { WorkerInput, WorkerMessage } from "./pretrain.js";

const { config, resume, stop } = workerData as WorkerInput;
const flag = new Int32Array(stop);
const say = (message: WorkerMessage) => parentPort!.postMessage(message);

try {
  const result = await runPretraining(config, {
    resume,
    onStep: (progress) => say({ kind: "step", progress }),
    onNote: (text) => say({ kind: "note", text }),
    shouldStop: () => Atomics.load(flag, 0) !== 0,
  });
  say({ kind: "result", result });
} catch (error) {
  say({ kind: "error", error: error as Error });
}
