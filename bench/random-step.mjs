// The whole training step of a NeoBERT of random weights on random token ids, in packed batches, with what the training loop
// uses; by one process or as one rank of several.

import { AdamW } from "@neobert/torch";
import { architectureOf } from "#neobert/model/index";
import { ComputeWeights } from "#neobert/model/torch/torch-compute-weights";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { TorchOps } from "#neobert/model/torch/torch-ops";
import { Trainer } from "#neobert/train/loop/step";
import { DistributedUpdater } from "#neobert/train/world/distributed-updater";
import { LocalUpdater } from "#neobert/train/world/updater";
import { alone } from "#neobert/train/world/world";

/** Packed batches of random ids with 20 % of the rows masked, one after another from one draw. */
export function packer(vocabulary = 30522) {
  let state = 1;
  const random = (below) => Math.floor(((state = (state * 48271) % 2147483647) / 2147483647) * below);
  return (lengths) => {
    const cuSeqlens = Int32Array.of(0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0)));
    const ids = Int32Array.from({ length: cuSeqlens.at(-1) }, () => random(vocabulary));
    const rows = [...ids.keys()].map((row) => [random(2 ** 30), row]).sort((a, b) => a[0] - b[0]);
    const maskedRows = Int32Array.from(rows.slice(0, Math.floor(ids.length / 5)), ([, row]) => row).sort();
    return { ids, cuSeqlens, maskedRows, labels: maskedRows.map((row) => ids[row]) };
  };
}

const configOf = ({ layers, hidden = 768, vocabulary = 30522 }) => ({
  ...{ model_type: "neobert", num_hidden_layers: layers, norm_eps: 1e-5, vocab_size: vocabulary },
  ...{ hidden_size: hidden, num_attention_heads: hidden / 64, intermediate_size: 4 * hidden },
});

/** Names and sizes of the model's parameters, and which are computed with in bfloat16. */
export function shapes({ dtype, ...size }) {
  const specs = architectureOf(configOf(size)).parameters("maskedLM");
  return specs.map(({ name, shape, role }) => {
    const count = shape.reduce((product, length) => product * length, 1);
    return { name, count, isNarrow: dtype === "bf16" && role === "matrix" };
  });
}

/** The model and what it computes with. */
export function randomModel({ dtype, device = "cpu", ...size }) {
  const model = TorchModel.create(configOf(size), { device });
  return { model, compute: new ComputeWeights(model, dtype) };
}

/** What takes steps of the model, in the given world; `step` takes micro-batches. */
export function randomTrainer({ model, compute }, { checkpointing = false, world = alone, sharding = "none" } = {}) {
  const makeOptimizer = (params) => new AdamW(params, { betas: [0.9, 0.95], weightDecay: 0.1 });
  const { group } = world;
  const updater = group
    ? new DistributedUpdater({ model, compute, world, group, sharding, makeOptimizer })
    : new LocalUpdater({ model, compute, optimizer: makeOptimizer([...model.weights.values()]) });
  const ops = new TorchOps({ checkpoint: checkpointing, byBlock: group !== undefined });
  const objective = (batch, run) => model.loss(batch, run).sum;
  const trainer = new Trainer({ model, objective, updater, compute, ops, clipNorm: 1, world });
  const sum = (microBatches, count) => microBatches.reduce((total, batch) => total + count(batch), 0);
  const step = (...microBatches) => {
    const targets = sum(microBatches, ({ labels }) => labels.length);
    const tokens = sum(microBatches, ({ ids }) => ids.length);
    return trainer.step({ microBatches, targets, tokens }, { step: 0, lr: 1e-4 });
  };
  return { updater, step };
}
