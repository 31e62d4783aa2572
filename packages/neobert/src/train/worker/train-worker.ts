// Worker entry: owns model and optimizer and runs the loop; says what happens, one message a step.

import { parentPort, workerData } from "node:worker_threads";
import { glue } from "../../evaluate/glue/glue.js";
import { superglue } from "../../evaluate/glue/superglue.js";
import { portableError } from "../../files/portable-error.js";
import { nameWithStatus } from "../../terminal/exit-status.js";
import { runBenchmark } from "../classify/benchmark.js";
import { runClassify } from "../classify/classify.js";
import { contrastive } from "../contrastive/contrastive-task.js";
import { type LoopOptions, runLoop } from "../loop/loop.js";
import { pretraining } from "../pretrain/pretrain-task.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import { joinWorld } from "../world/join-world.js";
import { alone } from "../world/world.js";
import type { TrainWorkerInput, WorkerMessage } from "./train-runs.js";

/** What each kind of run does with its config. */
const kinds: Record<TrainWorkerInput["kind"], (config: never, options: LoopOptions) => Promise<object>> = {
  pretrain: (config, options) => runLoop(pretraining(config), options),
  classify: (config, options) => runClassify(config, options),
  glue: (config, options) => runBenchmark(glue, config, options),
  superglue: (config, options) => runBenchmark(superglue, config, options),
  contrastive: (config, options) => runLoop(contrastive(config, options), options),
};

const { kind, config, resume, stop } = workerData as TrainWorkerInput;
const flag = new Int32Array(stop);
const controller = new AbortController();
parentPort!.once("message", () => controller.abort());
parentPort!.unref();
const say = (message: WorkerMessage) => parentPort!.postMessage(message);

try {
  // A benchmark is many runs, which ranks divide between them.
  const isOneRun = kind !== "glue" && kind !== "superglue";
  const timeoutMs = (config as CommonRunConfig).timeoutMinutes * 60_000;
  const world = isOneRun ? await joinWorld({ timeoutMs, log: (text) => say({ kind: "note", text }) }) : alone;
  const result = await kinds[kind](config as never, {
    resume,
    world,
    onStep: (progress) => say({ kind: "step", progress }),
    onNote: (text) => say({ kind: "note", text }),
    shouldStop: () => Atomics.load(flag, 0) !== 0,
    signal: controller.signal,
  });
  await world.sum([]); // no rank ends before rank 0 has written all
  await world.close();
  say({ kind: "result", result });
} catch (error) {
  if (controller.signal.aborted && error === controller.signal.reason) say({ kind: "stopped" });
  else say({ kind: "error", error: portableError(error), name: nameWithStatus(error) });
}
