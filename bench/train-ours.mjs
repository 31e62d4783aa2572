// Our side of `npm run bench -- train`: the whole training step (or encoding) of NeoBERT on random token ids, in packed
// batches, with what the training loop uses. Prints one JSON line with the same fields as train-torch.py; with --turns it is a
// side (side.mjs) whose every task is those steps again.

import { readFileSync } from "node:fs";
import { memoryStats, noGrad, setNumThreads, synchronize, tidy } from "@neobert/torch";
import { answerTasks, optionsOf, peakMB, sorted, total } from "./measure.mjs";
import { packer, randomModel, randomTrainer } from "./random-step.mjs";

const { layers, batch, length, lengths, dtype, task, steps, warmup, threads, device, checkpointing, turns } = optionsOf(
  {
    layers: 28,
    batch: 8,
    length: 512,
    lengths: undefined,
    dtype: "bf16",
    task: "train",
    steps: 6,
    warmup: 2,
    threads: 2,
    device: "cpu",
    checkpointing: false,
    turns: false,
  },
);
setNumThreads(threads);
let groups = [Array(batch).fill(length)];
if (lengths) {
  const all = JSON.parse(readFileSync(lengths, "utf8")).map((tokens) => Math.min(tokens, 1024));
  groups = Array.from({ length: steps + warmup }, (_, i) => all.slice(i * batch, (i + 1) * batch));
}
const batches = groups.map(packer());

const parts = randomModel({ layers, dtype, device });
const step =
  task === "encode"
    ? (batch) =>
        tidy(() =>
          noGrad(() => parts.model.hidden(batch, { weights: parts.compute.weights }).narrow(0, 0, 1).sum().item()),
        )
    : randomTrainer(parts, { checkpointing }).step;

/** Seconds and tokens of the steps from `first` on. */
async function run(first, end) {
  const [times, tokens] = [[], []];
  for (let i = first; i < end; i++) {
    const batch = batches[i % batches.length];
    const start = performance.now();
    await step(batch);
    synchronize(device);
    times.push((performance.now() - start) / 1000);
    tokens.push(batch.ids.length);
  }
  return { times, tokens };
}

async function measured() {
  const { times, tokens } = await run(warmup, warmup + steps);
  const rates = sorted(times.map((seconds, i) => tokens[i] / seconds));
  const middle = (rates[(rates.length - 1) >> 1] + rates[rates.length >> 1]) / 2;
  return {
    tokens_per_s_median: lengths ? total(tokens) / total(times) : middle,
    tokens_per_s_best: rates.at(-1),
    peak_rss_mb: Math.round(peakMB()),
    ...(device !== "cpu" && { peak_device_mb: Math.round(memoryStats(device).peakBytes / 2 ** 20) }),
  };
}

await run(0, warmup);
if (turns) await answerTasks(measured);
else console.log(JSON.stringify(await measured()));
