// Pretraining as a task of the loop: batches of masked pieces from prepared shards, the masked-language-model loss, the
// scores on held-out text, and the model that a run starts from.

import type { Device } from "@neobert/torch";
import {
  type BatchCursor,
  type BatchOptions,
  batchCursorSchema,
  createBatches,
  describePieces,
  evaluationBatches,
  type MicroBatch,
  openShards,
  prefetchBatches,
} from "../../data/index.js";
import { modelFolder } from "../../files/run-folder.js";
import { pinnedFolder } from "../../hub/pinned.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { ENOUGH_TOKENS } from "../loop/compute-type.js";
import { type LoopOptions, type RunResult, runLoop } from "../loop/loop.js";
import { Trainer } from "../loop/step.js";
import type { TrainTask } from "../loop/train-task.js";
import { modelCard } from "../output/model-card.js";
import { type MaskedScores, maskedScores, maskedSums } from "./masked-scores.js";
import type { RunConfig } from "./pretrain-config.js";
import { checkMaxLength, freshModelConfig, tokenizerFolder } from "./run-model.js";

export type PretrainResult = RunResult<MaskedScores>;

/** Pretrains in this thread; see `runLoop`. */
export function runPretraining(config: RunConfig, options: LoopOptions = {}): Promise<PretrainResult> {
  return runLoop(pretraining(config), options);
}

export function pretraining(config: RunConfig): TrainTask<MicroBatch, MaskedScores> {
  const folders = config.data.train.map(({ path }) => path);
  return {
    name: "pretrain",
    config,
    loadTokenizer(checkpoint) {
      const tokenizer = loadTokenizer(tokenizerFolder(config, checkpoint));
      checkTokenizer(config, tokenizer);
      return tokenizer;
    },
    startModel: (tokenizer, device) => startModel(config, tokenizer, device),
    makeTrainer: (parts) =>
      new Trainer<MicroBatch>({ ...parts, objective: (batch, run) => parts.model.loss(batch, run).sum }),
    trial: async () => {
      const microBatch = firstBatch(config);
      return { microBatch, targets: microBatch.labels.length };
    },
    cursor: batchCursorSchema,
    steps: (cursor, _, { rank, size }) =>
      prefetchBatches(batchOptions(config), cursor as BatchCursor | undefined, { share: { rank, size } }),
    async evaluation({ model, compute, world }) {
      const { data, evaluate, maxLength, microBatchTokens, masking, seed } = config;
      if (data.validation === undefined) return undefined;
      const { longDocuments } = data;
      const { tokens } = evaluate;
      const options = { tokens, longDocuments, maxLength, microBatchTokens, masking, seed };
      const batches = evaluationBatches(data.validation, options);
      const own = batches.filter((_, index) => index % world.size === world.rank);
      return async () => maskedScores(await world.sum(maskedSums(model, own, { weights: compute.weights })));
    },
    describeScores: ({ loss, top5 }) => `loss ${loss.toFixed(4)}, top-5 ${(100 * top5).toFixed(1)} %`,
    describeBatch: (microBatch) => describePieces(microBatch, folders),
    card: (run) => modelCard({ ...run, config }),
  };
}

function batchOptions(config: RunConfig): BatchOptions {
  const { data, maxLength, packing, tokensPerStep, microBatchTokens, seed, masking } = config;
  const { train: sources, longDocuments, cacheBytes } = data;
  return { sources, longDocuments, cacheBytes, maxLength, packing, tokensPerStep, microBatchTokens, seed, masking };
}

function firstBatch(config: RunConfig): MicroBatch {
  const tokens = Math.min(config.microBatchTokens, ENOUGH_TOKENS);
  const bounds = { maxLength: Math.min(config.maxLength, tokens), tokensPerStep: tokens, microBatchTokens: tokens };
  const batches = createBatches({ ...batchOptions(config), ...bounds });
  try {
    return batches.nextStep().microBatches[0]!;
  } finally {
    batches.close();
  }
}

function checkTokenizer(config: RunConfig, tokenizer: Tokenizer): void {
  const folders = config.data.train.map(({ path }) => path);
  for (const folder of config.data.validation ? [...folders, config.data.validation] : folders) {
    const shards = openShards(folder);
    const { vocabSize, hash } = shards.manifest.tokenizer;
    shards.close();
    if (hash === tokenizer.hash) continue;
    throw new Error(
      `${folder}: expected data prepared with the run's tokenizer (${tokenizer.vocabSize} tokens), got another's (${vocabSize} tokens)\n` +
        "Prepare the data with this tokenizer, or name theirs with tokenizer=FOLDER.",
    );
  }
}

function startModel(config: RunConfig, tokenizer: Tokenizer, device: Device): TorchModel {
  const { from } = config.model;
  const { seed } = config;
  if (from === undefined) {
    const model = TorchModel.create(freshModelConfig(config, tokenizer), { device, seed });
    checkMaxLength(config.maxLength, model.architecture.maxPositions());
    return model;
  }
  const model = TorchModel.load(modelFolder(pinnedFolder(from)), { device, seed, head: "maskedLM", freshHead: true });
  const { vocab_size: V } = model.config;
  if (V < tokenizer.vocabSize) {
    throw new Error(`${from}: expected a model of at least ${tokenizer.vocabSize} tokens, its tokenizer's, got ${V}`);
  }
  checkMaxLength(config.maxLength, model.architecture.maxPositions());
  // Where positions are computed, the config records the longest training sequence.
  const { architecture } = model;
  if (architecture.maxPositions() === Number.POSITIVE_INFINITY) {
    Object.assign(model.config, { [architecture.lengthField]: config.maxLength });
  }
  return model;
}
