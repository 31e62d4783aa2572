// A pretraining run of two processes of ours, which PyTorch's DistributedDataParallel repeats with two of its own: three
// micro-batches a step, so that one rank has two of them and the other one, with unequal numbers of targets.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatRunConfig } from "#neobert/train/run-file/run-file";
import { succeed } from "./environments.mjs";
import { recordRun } from "./recorded-run.mjs";

const [, folder] = process.argv.slice(2);
const config = await recordRun(folder, {
  ...{ steps: 50, tokensPerStep: 1536, threads: 1, sharding: "gradients" },
  optimizer: { name: "adamw", lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 },
  schedule: { name: "cosine", warmupSteps: 10, decaySteps: 50, finalRatio: 0.1 },
});
const program = fileURLToPath(new URL("../../packages/neobert/bin/neobert.js", import.meta.url));
const file = join(folder, "run.yaml");
writeFileSync(file, formatRunConfig(config));
await succeed(process.execPath, [program, "launch", "--processes", "2", "--", "pretrain", file]);
