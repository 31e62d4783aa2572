// Checkpoints of a run: `checkpoints/step-00001000/` is a Hugging Face folder (config.json, model.safetensors, tokenizer)
// with `training/` beside it (optimizer.safetensors, state.json). Written under a temporary name, synced and renamed; the
// file `latest` names the newest whole one and is replaced last, so a kill at any moment leaves a whole checkpoint.

import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { type Adam, fromTypedArray, noGrad, type Tensor, tidy } from "@neobert/torch";
import type { z } from "zod";
import { replaceFolder, writeFileAtomic } from "../../files/atomic.js";
import { checked } from "../../files/checked.js";
import { readJsonFile } from "../../files/input-file.js";
import { checkpointsOf, finishedModelOf, latestFile, listCheckpoints } from "../../files/run-folder.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import { saveTokenizer, type Tokenizer } from "../../tokenizer/index.js";

const trainingFolder = "training";
const optimizerFile = `${trainingFolder}/optimizer.safetensors`;
const stateFile = `${trainingFolder}/state.json`;
const parts = ["expAvg", "expAvgSq", "step"] as const;

export interface CheckpointOptions<State> {
  /** Optimizer steps taken. */
  step: number;
  model: TorchModel;
  optimizer: Adam;
  /** Everything else that the run needs to go on: plain JSON. */
  state: State;
  tokenizer: Tokenizer;
  /** The model card, README.md. */
  card: string;
  /** Writes further files of the model into the folder. */
  extras?: (folder: string) => void;
  /** How many of the newest checkpoints stay. */
  keep: number;
}

/** Writes a checkpoint into the run's folder, makes it the latest, deletes those beyond `keep`; returns its folder. */
export function saveCheckpoint<State>(run: string, options: CheckpointOptions<State>): string {
  const { step, model, optimizer, tokenizer, card, extras, state, keep } = options;
  const folder = join(checkpointsOf(run), `step-${String(step).padStart(8, "0")}`);
  const temporary = `${folder}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(join(temporary, trainingFolder), { recursive: true });
  model.save(temporary);
  saveTokenizer(tokenizer, temporary);
  writeFileAtomic(join(temporary, "README.md"), card);
  extras?.(temporary);
  const tensors = model.specs.flatMap(({ name }) =>
    parts.map((part) => {
      const tensor = optimizer.state(model.weight(name))[part];
      return { name: `${part}.${name}`, dtype: "F32" as const, shape: [...tensor.shape], data: () => float32(tensor) };
    }),
  );
  writeSafetensors(join(temporary, optimizerFile), tensors, {});
  writeFileAtomic(join(temporary, stateFile), `${JSON.stringify(state, null, 1)}\n`);
  replaceFolder(temporary, folder);
  writeFileAtomic(latestFile(run), `${basename(folder)}\n`);
  for (const old of listCheckpoints(run).slice(0, -keep)) rmSync(old, { recursive: true });
  return folder;
}

const float32 = (tensor: Tensor) => tensor.toTypedArray() as Float32Array<ArrayBuffer>;

/** What was saved as a state of this form. Throws naming the folder when it is no checkpoint, or its file of another form. */
export function readState<Schema extends z.ZodType>(checkpoint: string, schema: Schema): z.output<Schema> {
  const path = join(checkpoint, stateFile);
  if (!existsSync(path)) throw new Error(`${checkpoint}: expected a checkpoint with ${stateFile}, got none`);
  const wayOut = "Name an older checkpoint in the file `latest` of the run, or begin anew.";
  return checked(readJsonFile(path), schema, { where: path, wayOut });
}

/** Puts back the optimizer's state of every parameter, in place. */
export function loadOptimizer(checkpoint: string, model: TorchModel, optimizer: Adam): void {
  const file = openSafetensors(join(checkpoint, optimizerFile));
  try {
    for (const { name } of model.specs) {
      const state = optimizer.state(model.weight(name));
      for (const part of parts) {
        const values = file.read(`${part}.${name}`).data as Float32Array<ArrayBuffer>;
        tidy(() => noGrad(() => state[part].copy_(fromTypedArray(values, { shape: state[part].shape }))));
      }
    }
  } finally {
    file.close();
  }
}

/** Leaves the finished model as `model/` in the run's folder: links to the last checkpoint's files, without the optimizer. */
export function publishModel(run: string, checkpoint: string): string {
  const folder = finishedModelOf(run);
  const temporary = `${folder}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  linkFiles(checkpoint, temporary);
  replaceFolder(temporary, folder);
  return folder;
}

function linkFiles(from: string, to: string): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (entry.name === trainingFolder) continue;
      mkdirSync(target);
      linkFiles(source, target);
      continue;
    }
    try {
      linkSync(source, target);
    } catch {
      copyFileSync(source, target); // a disk without hard links
    }
  }
}
