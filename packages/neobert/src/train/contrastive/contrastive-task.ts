// Contrastive fine-tuning as a task of the loop: batches of pairs from one data set at a time, InfoNCE over the whole step,
// held-out loss and retrieval of the positive, and the sentence-transformers files of what is saved.

import { cat, type Device, noGrad, tidy } from "@neobert/torch";
import { prefetchSteps } from "../../data/index.js";
import { writeSentenceFiles } from "../../export/modules.js";
import { compiledFile } from "../../files/package.js";
import { modelFolder } from "../../files/run-folder.js";
import { pinnedFolder } from "../../hub/pinned.js";
import { readArchitecture } from "../../model/config-file.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { readSentenceFolder } from "../../vectors/sentence-transformers.js";
import { ENOUGH_TOKENS } from "../loop/compute-type.js";
import type { LoopOptions, RunResult } from "../loop/loop.js";
import type { Run } from "../loop/run.js";
import type { TrainTask } from "../loop/train-task.js";
import { setDropout } from "../pretrain/run-model.js";
import type { ContrastiveConfig } from "./contrastive-config.js";
import { batchLoss, ContrastiveTrainer, pooledVectors } from "./contrastive-trainer.js";
import { contrastiveCard } from "./embedder-card.js";
import { partsOfRank } from "./gather.js";
import { contrastLogits } from "./loss.js";
import {
  createPairBatches,
  type PairBatch,
  type PairBatchOptions,
  type PairStep,
  pairCursorSchema,
} from "./pair-batches.js";

export interface ContrastiveScores {
  /** Mean over the held-out queries of the loss that is trained. */
  loss: number;
  /** Share of the queries whose positive scores highest among the candidates of its batch. */
  accuracy: number;
  /** Mean over the queries of 1 / the positive's rank. */
  mrr: number;
}

export type ContrastiveResult = RunResult<ContrastiveScores>;

/** A `maxLength` beyond the positions of the model, as a recipe for any model may have it, is lowered with a note. */
export function contrastive(
  given: ContrastiveConfig,
  { onNote = () => {}, signal }: Pick<LoopOptions, "onNote" | "signal"> = {},
): TrainTask<PairBatch, ContrastiveScores> {
  let tokenizerFolder = "";
  const { encoder, lowercase } = encoderOf(given);
  const architecture = readArchitecture(encoder);
  const { vocab_size: vocabSize } = architecture.config;
  const longest = architecture.maxPositions();
  const config = { ...given, maxLength: Math.min(given.maxLength, longest) };
  if (given.maxLength > longest) {
    onNote(`maxLength: ${longest} in place of ${given.maxLength}, as ${given.model.from} knows no more positions`);
  }
  const batchOptions = (sets = config.data.train): PairBatchOptions => {
    const { maxLength, textsPerStep, microBatchTokens, negatives, seed } = config;
    const { alpha } = config.data;
    return {
      sets: sets as PairBatchOptions["sets"],
      tokenizer: tokenizerFolder,
      vocabSize,
      lowercase,
      maxLength,
      textsPerStep,
      microBatchTokens,
      alpha,
      negatives,
      seed,
    };
  };
  return {
    name: "finetune contrastive",
    config,
    loadTokenizer(checkpoint) {
      tokenizerFolder = checkpoint ?? encoder;
      return loadTokenizer(tokenizerFolder);
    },
    startModel: (_tokenizer, device) => startModel(config, encoder, device),
    makeTrainer: (parts) => new ContrastiveTrainer(parts, config),
    async trial() {
      const [set] = config.data.train;
      const batches = await createPairBatches(batchOptions([{ ...set!, limit: 64 }]), undefined, signal);
      const { microBatches } = await batches.nextStep();
      const [part] = microBatches[0]!.parts;
      return trialBatch(microBatches[0]!, part!);
    },
    cursor: pairCursorSchema,
    async *steps(cursor, _, { rank, size }) {
      const entry = compiledFile("train/contrastive/pair-worker");
      for await (const step of prefetchSteps<PairStep>(entry, { options: batchOptions(), cursor }, { signal })) {
        // Every rank looks at the whole batch and computes its parts; rank 0 counts the queries.
        const parts = step.microBatches.flatMap((batch) => partsOfRank(batch, { rank, size }));
        const tokens = parts.reduce((sum, { ids }) => sum + ids.length, 0);
        yield { ...step, rounds: 1, tokens, targets: rank === 0 ? step.targets : 0 };
      }
    },
    async evaluation(run) {
      if (!config.data.validation) return undefined;
      const batches = await createPairBatches(batchOptions(config.data.validation), undefined, signal);
      const all = await batches.allBatches();
      return () => heldOutScores(config, run, all);
    },
    describeScores: ({ loss, accuracy }) => `loss ${loss.toFixed(4)}, positive first ${(100 * accuracy).toFixed(1)} %`,
    describeBatch: ({ set, rows, places }) => rows.map((row, i) => `${set} row ${row + 1} (${places[i]})`),
    card: (run) => contrastiveCard(config, run),
    saveExtras(folder, { model }) {
      const { pooling, maxLength: maxTokens } = config;
      const hiddenSize = model.config.hidden_size;
      const files = {
        hiddenSize,
        pooling,
        normalize: false,
        includePrompt: false,
        prompts: promptsOf(config),
        maxTokens,
        lowercase,
      };
      writeSentenceFiles(folder, files);
    },
  };
}

/** The Hugging Face folder of the model to start from, which a sentence-transformers folder may hold below, and its case. */
function encoderOf({ model: { from } }: ContrastiveConfig): { encoder: string; lowercase: boolean } {
  const folder = modelFolder(pinnedFolder(from));
  const { modelFolder: encoder, modules, lowercase } = readSentenceFolder(folder);
  if (modules.some(({ kind }) => kind === "dense")) {
    throw new Error(
      `${folder}: expected an encoder without Dense modules, got one with them\nFine-tune the encoder alone.`,
    );
  }
  return { encoder, lowercase };
}

function startModel(config: ContrastiveConfig, encoder: string, device: Device): TorchModel {
  const { seed } = config;
  const model = TorchModel.load(encoder, { device, seed, head: "none" });
  if (config.model.dropout !== undefined) setDropout(model.architecture, config.model.dropout);
  return model;
}

/** Some texts of a step, the first half against the second, to time compute types on. */
function trialBatch(step: PairBatch, part: PairBatch["parts"][number]): { microBatch: PairBatch; targets: number } {
  const { cuSeqlens, skip } = part;
  let texts = skip.length;
  while (texts > 2 && cuSeqlens[texts]! > ENOUGH_TOKENS) texts--;
  const half = texts >> 1;
  const cut = {
    ids: part.ids.slice(0, cuSeqlens[2 * half]!),
    cuSeqlens: cuSeqlens.slice(0, 2 * half + 1),
    skip: skip.slice(0, 2 * half),
  };
  const labels = Int32Array.from({ length: half }, (_, i) => i);
  const excluded = new Uint8Array(half * half);
  return { microBatch: { ...step, parts: [cut], queries: half, documents: half, labels, excluded }, targets: half };
}

function heldOutScores(config: ContrastiveConfig, run: Run, batches: readonly PairBatch[]): ContrastiveScores {
  const { model, compute } = run;
  const { pooling, temperature } = config;
  const sums = { loss: 0, accuracy: 0, mrr: 0 };
  let queries = 0;
  for (const batch of batches) {
    tidy(() =>
      noGrad(() => {
        const vectors = batch.parts.map((part) =>
          tidy(() => pooledVectors(model, part, pooling, { weights: compute.weights })),
        );
        sums.loss += batchLoss(batch, vectors, config).item();
        const [Q, M] = [batch.queries, batch.documents];
        const all = cat(vectors);
        const scores = contrastLogits(all.narrow(0, 0, Q), all.narrow(0, Q, M), batch, temperature).toTypedArray();
        for (const [i, label] of batch.labels.entries()) {
          const row = scores.subarray(i * M, (i + 1) * M) as Float32Array;
          const rank = 1 + row.reduce((above, score) => above + Number(score > row[label]!), 0);
          sums.accuracy += Number(rank === 1);
          sums.mrr += 1 / rank;
        }
        queries += Q;
      }),
    );
  }
  return { loss: sums.loss / queries, accuracy: sums.accuracy / queries, mrr: sums.mrr / queries };
}

/** The prompts saved with the model: `query` and `document`, and each set's own under its name. */
function promptsOf({ prompts, data }: ContrastiveConfig): Record<string, string> {
  const entries = data.train.flatMap(({ name, instruction = "", documentInstruction = "" }) => [
    [name, instruction],
    [`${name}-document`, documentInstruction],
  ]);
  const own = entries.filter(([, text]) => text !== "" && text !== prompts.query && text !== prompts.document);
  const named = [
    ["query", prompts.query],
    ["document", prompts.document],
  ].filter(([, text]) => text !== "");
  return Object.fromEntries([...own, ...named]);
}
