// One side of bench/finetune.mjs: our trainer on batches made in a worker, as in a run.
import { AdamW, Generator, setNumThreads } from "@neobert/torch";
import { prefetchSteps } from "#neobert/data/index";
import { ComputeWeights } from "#neobert/model/torch/torch-compute-weights";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { TorchOps } from "#neobert/model/torch/torch-ops";
import { ContrastiveTrainer } from "#neobert/train/contrastive/contrastive-trainer";
import { setDropout } from "#neobert/train/pretrain/run-model";
import { LocalUpdater } from "#neobert/train/world/updater";
import { answerTasks, peakMB } from "./measure.mjs";

const { model: folder, file, dtype, pairs, threads, maxTokens, dropout } = JSON.parse(process.argv[2]);
setNumThreads(threads);
const model = TorchModel.load(folder, { head: "none" });
if (dropout !== undefined) setDropout(model.config, dropout);
const options = {
  sets: [{ name: "pairs", path: file, instruction: "", documentInstruction: "" }],
  tokenizer: folder,
  maxLength: maxTokens,
  textsPerStep: 2 * pairs,
  microBatchTokens: 16384,
  alpha: 0.5,
  negatives: "own",
  seed: 0,
};
const entry = new URL(import.meta.resolve("#neobert/train/contrastive/pair-worker"));
const steps = prefetchSteps(entry, { options });
const compute = new ComputeWeights(model, dtype);
const optimizer = new AdamW([...model.weights.values()], { weightDecay: 0.01 });
const generator = new Generator(0);
const updater = new LocalUpdater({ model, compute, optimizer });
const reseed = (step, index) => generator.manualSeed(step * 1000 + index);
const parts = { model, updater, compute, reseed, ops: new TorchOps({ generator }), clipNorm: 1 };
const trainer = new ContrastiveTrainer(parts, { temperature: 0.07, pooling: "mean" });

await answerTasks(async (task) => {
  const start = performance.now();
  let [tokens, loss] = [0, 0];
  for (let i = 0; i < task.steps; i++) {
    const { value } = await steps.next();
    ({ loss } = await trainer.step(value, { step: i, lr: 2e-5 }));
    tokens += value.tokens;
  }
  const seconds = (performance.now() - start) / 1000;
  return { tokens, seconds, loss, peakMB: peakMB() };
});
await steps.return();
