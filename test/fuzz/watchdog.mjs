// The thread beside the parser: it ends the process, naming the input, where one input takes too long or too much memory.
// Time is the processor's, so that a busy machine is no fault of the parser; the wall's alone where nothing is computed.

import { writeFileSync, writeSync } from "node:fs";
import { workerData } from "node:worker_threads";

const { shared, input, limits } = workerData;
const [count, length] = [new Int32Array(shared, 0, 1), new Int32Array(shared, 4, 1)];
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

let seen = -1;
let start = { cpu: 0, wall: 0 };
setInterval(() => {
  const now = Atomics.load(count, 0);
  if (now !== seen) {
    seen = now;
    start = { cpu: cpuMs(), wall: performance.now() };
    return;
  }
  if (now < 0) return; // between two inputs
  const [cpu, wall] = [cpuMs() - start.cpu, performance.now() - start.wall];
  const rss = process.memoryUsage.rss();
  const wrong =
    rss > limits.rssBytes
      ? `expected at most ${limits.rssBytes >> 20} MiB, got ${rss >> 20}`
      : cpu > limits.cpuMs || wall > limits.wallMs
        ? `expected an answer in ${limits.cpuMs} ms, got none in ${Math.round(cpu)} (${Math.round(wall)} on the clock)`
        : undefined;
  if (wrong === undefined) return;
  writeFileSync(input, new Uint8Array(shared, 8, Atomics.load(length, 0)));
  writeSync(2, `${workerData.name}: ${wrong}\nThe input is ${input}\n`);
  process.kill(process.pid, "SIGKILL");
}, 20);
