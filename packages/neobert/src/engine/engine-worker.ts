// Worker entry: owns the engine and runs one task after another. Arrays come and go without being copied.

import { parentPort, workerData } from "node:worker_threads";
import { VectorHead } from "../vectors/vector-head.js";
import type { Engine } from "./engine.js";
import { runTask } from "./engine-tasks.js";
import type { EngineWorkerInput, WorkerReply, WorkerRequest } from "./engine-thread.js";
import { loadEngine } from "./load-engine.js";

const { folder, options, modules } = workerData as EngineWorkerInput;
const port = parentPort!;
const say = (reply: WorkerReply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer);

async function answer(engine: Engine, head: VectorHead, { id, batch, task }: WorkerRequest): Promise<void> {
  try {
    const result = await runTask(engine, head, batch, task);
    // A view of a larger buffer would take that along.
    const arrays = [result.data, ...(result.ids ? [result.ids] : [])];
    const whole = arrays.every(({ buffer, byteLength }) => buffer.byteLength === byteLength);
    say({ kind: "result", id, result }, whole ? arrays.map(({ buffer }) => buffer as ArrayBuffer) : []);
  } catch (error) {
    say({ kind: "failed", id, error: error as Error });
  }
}

try {
  const engine = await loadEngine(folder, options);
  const head = new VectorHead(modules);
  let last = Promise.resolve();
  port.on("message", (request: WorkerRequest | "dispose") => {
    last = last.then(async () => {
      if (request !== "dispose") return answer(engine, head, request);
      await engine.dispose();
      say({ kind: "disposed" });
    });
  });
  say({ kind: "ready", config: engine.config, head: engine.head });
} catch (error) {
  say({ kind: "unloadable", error: error as Error });
}
