// Checkpoints of a run: `checkpoints/step-00001000/` is a Hugging Face folder (config.json, model.safetensors, tokenizer)
// with `training/` beside it (optimizer.safetensors, state.json). Written under a temporary name, synced and renamed; the
// file `latest` names the newest whole one and is replaced last, so a kill at any moment leaves a whole checkpoint.

import { copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { replaceFolder, writeFileAtomic } from "../../files/atomic.js";
import { readJsonFile } from "../../files/input-file.js";
import { compiledFile } from "../../files/package.js";
import { checkpointsOf, finishedModelOf, latestFile, listCheckpoints } from "../../files/run-folder.js";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../files/safetensors.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import { saveTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { type RunState, stateSchema } from "../output/run-record.js";
import type { SavedTensor, Updater } from "../world/updater.js";

const trainingFolder = "training";
const optimizerFile = `${trainingFolder}/optimizer.safetensors`;
const stateFile = `${trainingFolder}/state.json`;

export interface CheckpointOptions {
  /** Optimizer steps taken. */
  step: number;
  model: TorchModel;
  /** The optimizer's state. */
  optimizer: readonly SavedTensor[];
  /** Everything else that the run needs to go on: plain JSON. */
  state: RunState;
  tokenizer: Tokenizer;
  /** The model card, README.md. */
  card: string;
  /** Writes further files of the model into the folder. */
  extras?: (folder: string) => void;
  /** How many of the newest checkpoints stay. */
  keep: number;
}

/** The folder of a run's checkpoint after `step` steps. */
export function checkpointFolder(run: string, step: number): string {
  return join(checkpointsOf(run), `step-${String(step).padStart(8, "0")}`);
}

/** What is written by another thread: large files, then what makes them a run's latest checkpoint. */
export interface CheckpointOrder {
  run: string;
  folder: string;
  keep: number;
  files: { path: string; tensors: TensorToWrite[]; metadata: Record<string, string> | undefined }[];
}

/** Bytes that are written at once: to start a thread takes longer. */
const SMALL_BYTES = 16e6;

/** Writes a run's checkpoints, large ones in another thread: the loop waits for a copy in memory only. */
export class CheckpointWriter {
  #writing: Promise<void> | undefined;
  #failure: unknown;

  /**
   * Takes a copy of all that a checkpoint holds and begins to write it into the run's folder; `onSaved` is called when it is
   * the latest and those beyond `keep` are deleted. Waits for the one before. Throws what that one's writing has thrown.
   */
  async begin(run: string, options: CheckpointOptions, onSaved: () => void): Promise<void> {
    await this.settled();
    const order = orderOf(run, options);
    const bytes = order.files.flatMap(({ tensors }) => tensors.map(({ data }) => (data as Float32Array).byteLength));
    if (bytes.reduce((sum, count) => sum + count, 0) < SMALL_BYTES) {
      writeCheckpoint(order);
      onSaved();
      return;
    }
    this.#writing = writeInThread(order).then(onSaved, (error: unknown) => {
      this.#failure = error;
    });
  }

  /** Throws what the writing of a checkpoint has thrown by now. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Ends when nothing is being written any more. Throws as `check` does. */
  async settled(): Promise<void> {
    await this.#writing;
    this.check();
  }
}

/** The small files of a checkpoint written, under its temporary name; the large ones copied. */
function orderOf(run: string, options: CheckpointOptions): CheckpointOrder {
  const { step, model, optimizer, tokenizer, card, extras, state, keep } = options;
  const folder = checkpointFolder(run, step);
  const temporary = `${folder}.tmp`;
  const files: CheckpointOrder["files"] = [];
  const order = (path: string, tensors: Iterable<TensorToWrite>, metadata?: Record<string, string>) => {
    const copied = Array.from(tensors, (tensor) => {
      return { ...tensor, data: typeof tensor.data === "function" ? tensor.data() : tensor.data };
    });
    files.push({ path, tensors: copied, metadata });
  };
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(join(temporary, trainingFolder), { recursive: true });
  model.save(temporary, order);
  saveTokenizer(tokenizer, temporary, { segments: model.architecture.segments() > 1 });
  writeFileAtomic(join(temporary, "README.md"), card);
  extras?.(temporary);
  const tensors = optimizer.map(({ name, shape, data }) => ({ name, dtype: "F32" as const, shape: [...shape], data }));
  order(join(temporary, optimizerFile), tensors, {});
  writeFileAtomic(join(temporary, stateFile), `${JSON.stringify(state, null, 1)}\n`);
  return { run, folder, keep, files };
}

/** Writes the large files of a checkpoint, gives it its name, makes it the run's latest. */
export function writeCheckpoint({ run, folder, keep, files }: CheckpointOrder): void {
  for (const { path, tensors, metadata } of files) writeSafetensors(path, tensors, metadata);
  replaceFolder(`${folder}.tmp`, folder);
  writeFileAtomic(latestFile(run), `${basename(folder)}\n`);
  // After a kill before `latest` was replaced there are checkpoints of later steps too, which this run takes again.
  const all = listCheckpoints(run);
  const kept = all.slice(0, all.indexOf(folder) + 1).slice(-keep);
  for (const path of all) if (!kept.includes(path)) rmSync(path, { recursive: true });
}

function writeInThread(order: CheckpointOrder): Promise<void> {
  const transferList = order.files.flatMap(({ tensors }) =>
    tensors.map(({ data }) => (data as Float32Array).buffer as ArrayBuffer),
  );
  const worker = new Worker(compiledFile("train/loop/checkpoint-worker"), {
    workerData: order,
    transferList,
    execArgv: [],
  });
  return new Promise((resolve, reject) => {
    worker.once("message", (error: Error | null) => (error ? reject(error) : resolve()));
    worker.once("error", reject);
    worker.once("exit", (code) =>
      reject(new Error(`internal: the thread that writes a checkpoint ended with code ${code}`)),
    );
  });
}

/** What was saved as `state`; `cursor` is the task's part of it. Throws naming the file where it is missing or damaged. */
export function readState(checkpoint: string, cursor: z.ZodType = z.unknown()): RunState {
  const path = join(checkpoint, stateFile);
  if (!existsSync(path)) throw new Error(`${checkpoint}: expected a checkpoint with ${stateFile}, got none`);
  let raw: unknown;
  try {
    raw = readJsonFile(path);
  } catch (error) {
    throw damagedState(path, (error as Error).message);
  }
  const { data, error } = stateSchema.extend({ cursor }).safeParse(raw);
  if (data) return data;
  const complaints = error.issues.map(({ path, message }) => `${path.join(".") || "the whole"}: ${message}`);
  throw damagedState(path, complaints.join("; "));
}

function damagedState(path: string, got: string): Error {
  return new Error(
    `${path}: expected the state of a run, got ${got}\n` +
      "Name an earlier checkpoint of the run in its file `latest`, or start another run with model.from=CHECKPOINT.",
  );
}

/** Puts back the optimizer's state of every parameter, in place. */
export function loadOptimizer(checkpoint: string, updater: Updater): void {
  const file = openSafetensors(join(checkpoint, optimizerFile));
  try {
    updater.load((name) => file.read(name).data as Float32Array<ArrayBuffer>);
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
