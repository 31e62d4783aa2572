// The beginning of a run, fresh or resumed: its folder, model, tokenizer, optimizer and compute type. What can be wrong
// with the settings, the folder or the data is found here, before the first step.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Adam, AdamW, Generator, setNumThreads } from "@neobert/torch";
import { type Batch, openShards } from "../data/index.js";
import { writeFileAtomic } from "../files/atomic.js";
import { checkpointsOf, latestCheckpoint, modelFolder } from "../files/run-folder.js";
import { ComputeWeights } from "../model/torch-compute-weights.js";
import { TorchModel } from "../model/torch-model.js";
import { TorchOps } from "../model/torch-ops.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";
import { loadOptimizer, readState } from "./checkpoint.js";
import { fasterType } from "./compute-type.js";
import { formatRunConfig, type RunConfig } from "./config.js";
import { freshModelConfig, tokenizerFolder } from "./run-model.js";
import { type RunRecord, type RunState, recordChanged, recordOf, settingsChanged } from "./run-record.js";
import { Trainer } from "./step.js";

/** Everything a run owns while it is going. */
export interface Run {
  config: RunConfig;
  model: TorchModel;
  tokenizer: Tokenizer;
  optimizer: Adam;
  ops: TorchOps;
  /** Where dropout draws from. */
  generator: Generator;
  compute: ComputeWeights;
  trainer: Trainer<Batch>;
  record: RunRecord;
  /** Where it stands after the last step; undefined before the first. */
  state: RunState | undefined;
  /** The newest checkpoint's folder, and the step it was made after. */
  checkpoint: string | undefined;
  savedStep: number;
}

export interface StartOptions {
  resume: boolean;
  onNote: (text: string) => void;
  shouldStop: () => boolean;
}

/** Throws when the run's folder, its data, its model or, on resume, its settings do not fit together. */
export function startRun(config: RunConfig, { resume, onNote, shouldStop }: StartOptions): Run {
  const checkpoint = prepareFolder(config.out, resume);
  const state = checkpoint === undefined ? undefined : readState<RunState>(checkpoint);
  if (state) checkSettings(state, config);
  const threads = state?.record.threads ?? config.threads;
  setNumThreads(threads);

  const tokenizer = loadTokenizer(tokenizerFolder(config, checkpoint));
  checkTokenizer(config, tokenizer);
  const model = prepareModel(config, tokenizer, checkpoint);
  const { name, betas, eps, weightDecay } = config.optimizer;
  const Optimizer = name === "adamw" ? AdamW : Adam;
  const optimizer = new Optimizer([...model.weights.values()], { betas, eps, weightDecay });
  const generator = new Generator(config.seed, config.device);
  const ops = new TorchOps({ checkpoint: config.activationCheckpointing, generator });

  const objective = (batch: Batch, run: Parameters<TorchModel["loss"]>[1]) => model.loss(batch, run).sum;
  const trainerWith = (compute: ComputeWeights) =>
    new Trainer<Batch>({ model, objective, optimizer, compute, ops, clipNorm: config.clipNorm, shouldStop });
  let dtype = state?.record.dtype ?? (config.dtype === "auto" ? undefined : config.dtype);
  if (dtype === undefined) {
    const measured = fasterType(config, model, trainerWith);
    dtype = measured.dtype;
    onNote(`dtype auto: ${dtype}, as a forward and backward pass took ${measured.text}`);
  }
  const compute = new ComputeWeights(model, dtype);
  const record = recordOf(config, dtype, threads);
  if (state) {
    for (const difference of recordChanged(state.record, record)) {
      onNote(`not the run's own machine, so it may not continue bit for bit: ${difference}`);
    }
    loadOptimizer(checkpoint!, model, optimizer);
    if (state.generator !== null) generator.setState(Uint8Array.from(Buffer.from(state.generator, "base64")));
    onNote(`resumed after step ${state.step} from ${checkpoint}`);
  } else {
    mkdirSync(config.out, { recursive: true });
    writeFileAtomic(join(config.out, "run.yaml"), formatRunConfig(config));
  }
  const trainer = trainerWith(compute);
  return {
    ...{ config, model, tokenizer, optimizer, ops, generator, compute, trainer, record, state, checkpoint },
    savedStep: state?.step ?? 0,
  };
}

/** Frees the run's tensors. */
export function endRun({ model, optimizer, compute }: Run): void {
  compute.dispose();
  optimizer.dispose();
  model.dispose();
}

/** The checkpoint to resume from, if any; clears away what a kill has left half done. */
function prepareFolder(out: string, resume: boolean): string | undefined {
  const checkpoint = latestCheckpoint(out);
  if (checkpoint !== undefined && !resume) {
    throw new Error(
      `${out}: expected a folder without a run, got one with ${checkpoint}\n` +
        "Go on with it by --resume, choose another out=FOLDER, or delete it.",
    );
  }
  const checkpoints = checkpointsOf(out);
  for (const name of existsSync(checkpoints) ? readdirSync(checkpoints) : []) {
    if (name.endsWith(".tmp")) rmSync(join(checkpoints, name), { recursive: true });
  }
  return checkpoint;
}

function checkSettings(state: RunState, config: RunConfig): void {
  const changed = settingsChanged(state.config, config);
  if (changed.length === 0) return;
  throw new Error(
    `${config.out}: expected the settings that the run began with, got\n  ${changed.join("\n  ")}\n` +
      "Resume with its own settings (run.yaml in its folder), or start another run with model.from.",
  );
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

function prepareModel(config: RunConfig, tokenizer: Tokenizer, checkpoint: string | undefined): TorchModel {
  const { from } = config.model;
  const { device, seed } = config;
  if (checkpoint !== undefined) return TorchModel.load(checkpoint, { device });
  if (from === undefined) {
    const model = TorchModel.create(freshModelConfig(config, tokenizer), { device, seed });
    checkLength(config, model);
    return model;
  }
  const model = TorchModel.load(modelFolder(from), { device, seed, head: "maskedLM", freshHead: true });
  const { vocab_size: V } = model.config;
  if (V < tokenizer.vocabSize) {
    throw new Error(`${from}: expected a model of at least ${tokenizer.vocabSize} tokens, its tokenizer's, got ${V}`);
  }
  checkLength(config, model);
  // Where positions are computed, the config records the longest training sequence.
  if (model.architecture.maxPositions(model.config) === Number.POSITIVE_INFINITY) {
    const key = "max_length" in model.config ? "max_length" : "max_position_embeddings";
    Object.assign(model.config, { [key]: config.maxLength });
  }
  return model;
}

function checkLength({ maxLength }: RunConfig, model: TorchModel): void {
  const limit = model.architecture.maxPositions(model.config);
  if (maxLength <= limit) return;
  throw new Error(
    `maxLength: expected at most ${limit}, the positions that the model knows, got ${maxLength}\n` +
      "Set a lower maxLength, or start a fresh model with more positions.",
  );
}
