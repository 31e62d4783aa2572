// Our side of `npm run bench -- train`: the whole training step (or encoding) of NeoBERT on random token ids, in packed
// batches, with what the training loop uses. Prints one JSON line with the same fields as train-torch.py.

import { readFileSync } from "node:fs";
import { AdamW, noGrad, setNumThreads, tidy } from "@neobert/torch";
import { ComputeWeights } from "#neobert/model/torch/torch-compute-weights";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { TorchOps } from "#neobert/model/torch/torch-ops";
import { Trainer } from "#neobert/train/loop/step";
import { LocalUpdater } from "#neobert/train/world/updater";
import { optionsOf, peakMB, sorted, total } from "./measure.mjs";

const { layers, batch, length, lengths, dtype, task, steps, warmup, threads, checkpointing } = optionsOf({
  layers: 28,
  batch: 8,
  length: 512,
  lengths: undefined,
  dtype: "bf16",
  task: "train",
  steps: 6,
  warmup: 2,
  threads: 2,
  checkpointing: false,
});
setNumThreads(threads);
const vocabulary = 30522;

let state = 1;
const random = (below) => Math.floor(((state = (state * 48271) % 2147483647) / 2147483647) * below);

/** A packed batch of random ids with 20 % of the rows masked. */
function packed(lengths) {
  const cuSeqlens = Int32Array.of(0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0)));
  const ids = Int32Array.from({ length: cuSeqlens.at(-1) }, () => random(vocabulary));
  const rows = [...ids.keys()].map((row) => [random(2 ** 30), row]).sort((a, b) => a[0] - b[0]);
  const maskedRows = Int32Array.from(rows.slice(0, Math.floor(ids.length / 5)), ([, row]) => row).sort();
  return { ids, cuSeqlens, maskedRows, labels: maskedRows.map((row) => ids[row]) };
}

let groups = [Array(batch).fill(length)];
if (lengths) {
  const all = JSON.parse(readFileSync(lengths, "utf8")).map((tokens) => Math.min(tokens, 1024));
  groups = Array.from({ length: steps + warmup }, (_, i) => all.slice(i * batch, (i + 1) * batch));
}
const batches = groups.map(packed);

const model = TorchModel.create({
  model_type: "neobert",
  num_hidden_layers: layers,
  norm_eps: 1e-5,
  vocab_size: vocabulary,
});
const compute = new ComputeWeights(model, dtype);
let step;
if (task === "encode") {
  step = (batch) =>
    tidy(() => noGrad(() => model.hidden(batch, { weights: compute.weights }).narrow(0, 0, 1).sum().item()));
} else {
  const optimizer = new AdamW([...model.weights.values()], { betas: [0.9, 0.95], weightDecay: 0.1 });
  const ops = new TorchOps({ checkpoint: checkpointing });
  const objective = (batch, run) => model.loss(batch, run).sum;
  const updater = new LocalUpdater({ model, compute, optimizer });
  const trainer = new Trainer({ model, objective, updater, compute, ops, clipNorm: 1 });
  const shareOf = (batch) => ({ microBatches: [batch], targets: batch.labels.length, tokens: batch.ids.length });
  step = (batch) => trainer.step(shareOf(batch), { step: 0, lr: 1e-4 });
}

const times = [];
const tokens = [];
for (let i = 0; i < warmup + steps; i++) {
  const batch = batches[i % batches.length];
  const start = performance.now();
  await step(batch);
  const seconds = (performance.now() - start) / 1000;
  if (i < warmup) continue;
  times.push(seconds);
  tokens.push(batch.ids.length);
}
const rates = sorted(times.map((seconds, i) => tokens[i] / seconds));
const median = lengths ? total(tokens) / total(times) : (rates[(rates.length - 1) >> 1] + rates[rates.length >> 1]) / 2;
console.log(
  JSON.stringify({
    tokens_per_s_median: median,
    tokens_per_s_best: rates.at(-1),
    peak_rss_mb: Math.round(peakMB()),
  }),
);
