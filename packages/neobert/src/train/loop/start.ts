// The beginning of a run, fresh or resumed: its folder, model, tokenizer, optimizer and compute type. What can be wrong
// with the settings, the folder or the data is found here, before the first step.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Adam, AdamW, Generator, type Optimizer, SOAP, setNumThreads } from "@neobert/torch";
import { writeFileAtomic } from "../../files/atomic.js";
import { shortened } from "../../files/checked.js";
import { checkpointsOf, latestCheckpoint } from "../../files/run-folder.js";
import { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { TorchOps } from "../../model/torch/torch-ops.js";
import { type RunState, recordChanged, recordOf, settingsChanged } from "../output/run-record.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import { formatRunConfig } from "../run-file/run-file.js";
import { loadOptimizer, readState } from "./checkpoint.js";
import { fasterType } from "./compute-type.js";
import type { Run, RunOf } from "./run.js";
import type { TrainTask } from "./train-task.js";

export interface StartOptions {
  resume: boolean;
  onNote: (text: string) => void;
  shouldStop: () => boolean;
}

/** Throws when the run's folder, its data, its model or, on resume, its settings do not fit together. */
export async function startRun<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  { resume, onNote, shouldStop }: StartOptions,
): Promise<RunOf<B>> {
  const { config } = task;
  const checkpoint = prepareFolder(config.out, resume);
  const state = checkpoint === undefined ? undefined : readState(checkpoint, task.cursor);
  if (state) checkSettings(state, config);
  const threads = state?.record.threads ?? config.threads;
  setNumThreads(threads);

  const tokenizer = task.loadTokenizer(checkpoint);
  const { device } = config;
  const model = checkpoint === undefined ? task.startModel(tokenizer) : TorchModel.load(checkpoint, { device });
  const owned: { dispose(): void }[] = [model]; // what is freed where the start fails
  try {
    const optimizer = makeOptimizer(config.optimizer, model);
    owned.push(optimizer);
    const generator = new Generator(config.seed, device);
    const ops = new TorchOps({ checkpoint: config.activationCheckpointing, generator });

    const trainerWith = (compute: ComputeWeights) =>
      task.makeTrainer({ model, optimizer, compute, ops, generator, clipNorm: config.clipNorm, shouldStop });
    let dtype = state?.record.dtype ?? (config.dtype === "auto" ? undefined : config.dtype);
    if (dtype === undefined) {
      const measured = fasterType(await task.trial(tokenizer), model, trainerWith);
      dtype = measured.dtype;
      onNote(`dtype auto: ${dtype}, as a forward and backward pass took ${measured.text}`);
    }
    const compute = new ComputeWeights(model, dtype);
    owned.push(compute);
    const record = recordOf(config, dtype, threads);
    if (state) {
      for (const difference of recordChanged(state.record, record)) {
        onNote(`not the run's own machine, so it may not continue bit for bit: ${difference}`);
      }
      loadOptimizer(checkpoint!, model, optimizer);
      if (state.generator !== null) restoreGenerator(generator, state.generator, checkpoint!);
      onNote(`resumed after step ${state.step} from ${checkpoint}`);
    } else {
      mkdirSync(config.out, { recursive: true });
      writeFileAtomic(join(config.out, "run.yaml"), formatRunConfig(config));
    }
    const trainer = trainerWith(compute);
    return {
      config,
      model,
      tokenizer,
      optimizer,
      ops,
      generator,
      compute,
      trainer,
      record,
      state,
      checkpoint,
      savedStep: state?.step ?? 0,
    };
  } catch (error) {
    for (const part of owned.reverse()) part.dispose();
    throw error;
  }
}

function makeOptimizer({ name, ...options }: CommonRunConfig["optimizer"], { weights }: TorchModel): Optimizer {
  const Kind = { adamw: AdamW, adam: Adam, soap: SOAP }[name];
  return new Kind([...weights.values()], options);
}

function restoreGenerator(generator: Generator, base64: string, checkpoint: string): void {
  const saved = Uint8Array.from(Buffer.from(base64, "base64"));
  const { length } = generator.getState();
  if (saved.length !== length) {
    throw new Error(
      `${checkpoint}: expected a generator's state of ${length} bytes, got ${saved.length}\n` +
        "Name an older checkpoint in the file `latest` of the run, or begin anew.",
    );
  }
  generator.setState(saved);
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
        "Go on with it by `resume`, choose another folder for out, or delete it.",
    );
  }
  const checkpoints = checkpointsOf(out);
  for (const name of existsSync(checkpoints) ? readdirSync(checkpoints) : []) {
    if (name.endsWith(".tmp")) rmSync(join(checkpoints, name), { recursive: true });
  }
  return checkpoint;
}

function checkSettings(state: RunState, config: CommonRunConfig): void {
  const changed = settingsChanged(state.config, config);
  if (changed.length === 0) return;
  throw new Error(
    `${config.out}: expected the settings that the run began with, got\n  ${shortened(changed.join("\n  "))}\n` +
      "Resume with its own settings (run.yaml in its folder), or start another run with model.from.",
  );
}
