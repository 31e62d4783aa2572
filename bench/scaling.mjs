// The model of a step's cost (packages/neobert/src/train/world/cost.ts) beside what was measured: 2, 4 and 8 ranks in network
// namespaces of this machine, at 100 Mbit/s, 1 and 10 Gbit/s each. Latency, and a processor's work for a byte, are fitted to all
// rows at once; computing is measured with as many processes at the same time that do not talk. Needs root, `ip` and `tc`.
//   npm run bench -- scaling [--rounds=3] [--ranks=2,4,8] [--mbits=100,1000,10000] [--shardings=none,gradients]
// Prints a table in Markdown, then what the model says of many GPUs, of which none was measured.

import { stepCost } from "#neobert/train/world/cost";
import { cores, machine, median, optionsOf } from "./measure.mjs";
import { makeNetwork } from "./network.mjs";
import { shapes } from "./random-step.mjs";
import { startTeam } from "./team.mjs";

const options = optionsOf({ rounds: 3, ranks: "2,4,8", mbits: "100,1000,10000", shardings: "none,gradients" });
const listOf = (text) => text.split(",").map(Number);
const microBatches = 2;
const shape = {
  ...{ layers: 4, hidden: 192, vocabulary: 4096, dtype: "fp32" },
  ...{ batch: 4, length: 128, microBatches, threads: 1 },
};

/** Forward and backward of a micro-batch, and the optimizer, where `ranks` processes compute at once. */
async function computing(ranks) {
  const team = await startTeam(ranks, process.execPath, "train-rank.mjs", shape, { apart: true });
  await team.ask({ steps: 2 });
  const { ms, passesMs } = await team.ask({ steps: 2 * options.rounds });
  await team.end();
  const passes = median(passesMs) / 1000;
  return { passSeconds: passes / microBatches, optimizerSeconds: median(ms) / 1000 - passes };
}

const parameters = shapes(shape);
const rows = [];
for (const ranks of listOf(options.ranks)) {
  const pace = await computing(ranks);
  for (const sharding of options.shardings.split(",")) {
    const network = makeNetwork(ranks);
    try {
      const team = await startTeam(ranks, process.execPath, "train-rank.mjs", { ...shape, sharding }, network);
      await team.ask({ steps: 2 });
      for (const mbit of listOf(options.mbits)) {
        const bytesPerSecond = (mbit * 1e6) / 8;
        network.setRate(bytesPerSecond);
        await team.ask({ steps: 1 });
        const { ms } = await team.ask({ steps: options.rounds });
        const work = { parameters, sharding, microBatches: microBatches * ranks, ...pace };
        rows.push({ ranks, mbit, bytesPerSecond, work, seconds: median(ms) / 1000 });
      }
      await team.end();
    } finally {
      network.remove();
    }
  }
}

/** Ranks share this machine's cores, so that one's work for the network keeps others from computing too. */
const predict = ({ ranks, bytesPerSecond, work }, { latencySeconds, perByte }) =>
  stepCost(work, ranks, {
    ...{ bytesPerSecond, latencySeconds },
    busySecondsPerByte: perByte * Math.max(1, ranks / cores),
  });

const steps = (from, to, count) => Array.from({ length: count + 1 }, (_, i) => from * (to / from) ** (i / count));
let best = { error: Number.POSITIVE_INFINITY };
for (const latencySeconds of steps(1e-6, 1e-2, 80)) {
  for (const perByte of steps(1e-11, 1e-7, 80)) {
    const fit = { latencySeconds, perByte };
    const error = rows.reduce((sum, row) => sum + Math.log(predict(row, fit).seconds / row.seconds) ** 2, 0);
    if (error < best.error) best = { ...fit, error };
  }
}

const ms = (seconds) => `${(1000 * seconds).toFixed(0)}`;
const percent = (share) => `${(100 * share).toFixed(0)} %`;
console.log(
  `${machine(cores)}; ${shape.layers} layers x ${shape.hidden}, vocabulary ${shape.vocabulary}, float32, ` +
    `${microBatches} micro-batches of ${shape.batch} x ${shape.length} a rank`,
);
console.log(
  `fitted: ${(1e6 * best.latencySeconds).toFixed(0)} us a message, ${(1e9 * best.perByte).toFixed(2)} ns of a processor a byte; ` +
    `root mean square of the deviations ${percent(Math.sqrt(best.error / rows.length))}\n`,
);
console.log(
  "| ranks | Mbit/s | sharding | MB sent a step | computing, ms | measured, ms | model, ms | of it waiting |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const row of rows) {
  const { bytes, computeSeconds, seconds, waitSeconds } = predict(row, best);
  const measured = [ms(computeSeconds), ms(row.seconds), ms(seconds), percent(waitSeconds / seconds)];
  console.log(`| ${[row.ranks, row.mbit, row.work.sharding, (bytes / 1e6).toFixed(1), ...measured].join(" | ")} |`);
}

// NeoBERT's 28 layers, the paper's 2.1 million tokens a step in micro-batches of 16 x 1,024, bfloat16. A GPU's rate and its network
// are assumptions.
const large = shapes({ layers: 28, hidden: 768, vocabulary: 30522, dtype: "bf16" });
const tokens = 2 ** 21;
const microBatchTokens = 16 * 1024;
const assumed = { tokensPerSecond: 300_000, latencySeconds: 1e-5, busySecondsPerByte: 0 };
console.log(
  `\nassumed of a GPU, not measured: ${assumed.tokensPerSecond} tokens/s by itself, 10 us a message, nothing computed for the network\n`,
);
console.log("| GPUs | GB/s each | sharding | tokens a step | GB sent a step | ms a step | efficiency |");
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const ranks of [8, 64, 1024]) {
  // Where there are more GPUs than micro-batches in 2.1 million tokens the step is larger.
  const microBatches = Math.max(tokens / microBatchTokens, ranks);
  for (const gigabytes of [1.25, 25]) {
    for (const sharding of ["none", "optimizer"]) {
      const passSeconds = microBatchTokens / assumed.tokensPerSecond;
      const work = { parameters: large, sharding, microBatches, passSeconds, optimizerSeconds: 0 };
      const cost = stepCost(work, ranks, { ...assumed, bytesPerSecond: gigabytes * 1e9 });
      const cells = [ranks, gigabytes, sharding, `${((microBatches * microBatchTokens) / 1e6).toFixed(1)}M`];
      console.log(
        `| ${[...cells, (cost.bytes / 1e9).toFixed(2), ms(cost.seconds), percent(cost.efficiency)].join(" | ")} |`,
      );
    }
  }
}
