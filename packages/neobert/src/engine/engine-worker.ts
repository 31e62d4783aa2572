// Worker entry: owns the engine and runs one task after another. Arrays come and go without being copied.

import { parentPort, workerData } from "node:worker_threads";
import { portableError } from "../files/portable-error.js";
import { VectorHead } from "../vectors/vector-head.js";
import type { Engine } from "./engine.js";
import { runTask } from "./engine-tasks.js";
import type { EngineWorkerInput, WorkerReply, WorkerRequest } from "./engine-thread.js";
import { guarded } from "./exit-guard.js";
import { loadEngine } from "./load-engine.js";

const { folder, options, modules, guard } = workerData as EngineWorkerInput;
const port = parentPort!;
const say = (reply: WorkerReply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer);

async function answer(engine: Engine, head: VectorHead, { id, batch, task }: WorkerRequest): Promise<void> {
  try {
    const start = performance.now();
    const result = await guarded(guard, () => runTask(engine, head, batch, task));
    const ms = performance.now() - start;
    // A view of a larger buffer would take that along.
    const arrays = [result.data, ...(result.ids ? [result.ids] : [])];
    const whole = arrays.every(({ buffer, byteLength }) => buffer.byteLength === byteLength);
    say({ kind: "result", id, result, ms }, whole ? arrays.map(({ buffer }) => buffer as ArrayBuffer) : []);
  } catch (error) {
    say({ kind: "failed", id, error: portableError(error) });
  }
}

try {
  const engine = await guarded(guard, () => loadEngine(folder, options));
  const head = new VectorHead(modules);
  let last = Promise.resolve();
  port.on("message", (request: WorkerRequest | "dispose") => {
    last = last.then(async () => {
      if (request !== "dispose") return answer(engine, head, request);
      await guarded(guard, () => engine.dispose());
      say({ kind: "disposed" });
    });
  });
  const { config, mostTokens, dtype, note } = engine;
  say({ kind: "ready", config, head: engine.head, mostTokens, dtype, note });
} catch (error) {
  const portable = portableError(error);
  say({ kind: "unloadable", error: portable, name: portable.name });
}
