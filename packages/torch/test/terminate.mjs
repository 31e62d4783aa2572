// Ends workers at various moments of their work, and checks that this process still computes. Run as a process of its own,
// since a failure here is a crash.

import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ones } from "../dist/index.js";

const before = process.memoryUsage().rss;
for (let i = 0; i < 12; i++) {
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: { task: "forever" } });
  await once(worker, "message");
  await setTimeout(7 * i);
  await worker.terminate();
}
console.log(`sum ${ones([3]).sum().item()}`);
console.log(`grown by ${process.memoryUsage().rss - before} bytes`);
