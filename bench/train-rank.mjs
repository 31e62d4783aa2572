// One of our processes in `npm run bench -- distributed`: takes steps of a NeoBERT of random weights, by itself or as a rank of
// the world that the environment tells. Bytes and waiting are seen from outside, by a group that passes all on.

import { memoryStats, setNumThreads } from "@neobert/torch";
import { joinWorld } from "#neobert/train/world/join-world";
import { answerTasks, msOf, peakMB } from "./measure.mjs";
import { packer, randomModel, randomTrainer } from "./random-step.mjs";

const { batch, length, microBatches, sharding, threads, ...size } = JSON.parse(process.argv[2]);
setNumThreads(threads);

const joined = await joinWorld();
const waited = { ms: 0 };

/** A group whose works count the time in which they are waited for. */
function watched(group) {
  const watch = (work) => ({
    wait: async () => {
      waited.ms += await msOf(() => work.wait());
    },
  });
  return new Proxy(group, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      const isCollective = ["allReduce", "allGather", "reduceScatter", "allToAll"].includes(name);
      return (...args) => (isCollective ? watch(value.apply(target, args)) : value.apply(target, args));
    },
  });
}
const world = joined.group ? { ...joined, group: watched(joined.group) } : joined;

const parts = randomModel(size);
const weightBytes = memoryStats().allocatedBytes;
const { updater, step } = randomTrainer(parts, { world, sharding });
const pack = packer(size.vocabulary);
const share = Array.from({ length: microBatches }, () => pack(Array(batch).fill(length)));

// Of optimizer and gradients together, as the optimizer's step begins.
let heldBytes = 0;
const update = updater.update.bind(updater);
updater.update = (options) => {
  heldBytes = memoryStats().allocatedBytes - weightBytes;
  return update(options);
};

/** A step's collectives without its computing. */
async function collectivesAlone() {
  await joined.group.barrier().wait();
  const sumMs = await msOf(() => updater.sum([]));
  waited.ms = 0;
  await updater.update({ lr: 0, gradScale: 1 });
  return sumMs + waited.ms;
}

await answerTasks(async ({ steps, alone }) => {
  if (alone) return { ms: await collectivesAlone() };
  const answer = { ms: [], waitedMs: [], passesMs: [] };
  for (let i = 0; i < steps; i++) {
    waited.ms = 0;
    let result;
    answer.ms.push(await msOf(async () => (result = await step(...share))));
    answer.waitedMs.push(waited.ms);
    answer.passesMs.push(1000 * (result.seconds.forward + result.seconds.backward));
  }
  return { ...answer, heldBytes, peakMB: peakMB(), peakBytes: memoryStats().peakBytes, weightBytes };
});
updater.dispose();
await joined.close();
