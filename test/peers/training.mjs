// A pretraining run of ours, start to end, which PyTorch repeats: 300 steps, fp32, two micro-batches a step, with the paper's
// optimizer and the form of its schedule.
import { pretrain } from "neobert/train";
import { recordRun } from "./recorded-run.mjs";

const [, folder] = process.argv.slice(2);
const config = await recordRun(folder, {
  ...{ steps: 300, tokensPerStep: 1024 },
  optimizer: { name: "adamw", lr: 2e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 },
  schedule: { name: "cosine", warmupSteps: 30, decaySteps: 270, finalRatio: 0.1 },
});
await pretrain(config);
