// The beginning of a run, fresh or resumed: its folder, model, tokenizer, optimizer and compute type. What can be wrong
// with the settings, the folder or the data is found here, before the first step.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Adam, AdamW, type Device, Generator, SOAP, setNumThreads, soapStepFlops, type Tensor } from "@neobert/torch";
import { randomStreams, uniform } from "../../data/random.js";
import { writeFileAtomic } from "../../files/atomic.js";
import { shortened } from "../../files/checked.js";
import { InputError } from "../../files/input-error.js";
import { checkpointsOf, latestCheckpoint } from "../../files/run-folder.js";
import type { DeviceChoice } from "../../model/device-choice.js";
import { chosenDevice } from "../../model/torch/chosen-device.js";
import { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { TorchOps } from "../../model/torch/torch-ops.js";
import { type RunState, recordChanged, recordOf, settingsChanged } from "../output/run-record.js";
import type { CommonRunConfig } from "../run-file/common-options.js";
import { formatRunConfig } from "../run-file/run-file.js";
import { type Parameter, wholeParameters } from "../world/buckets.js";
import { DistributedUpdater } from "../world/distributed-updater.js";
import { LocalUpdater, type Updater } from "../world/updater.js";
import { alone, type World } from "../world/world.js";
import { loadOptimizer, readState } from "./checkpoint.js";
import { fasterType } from "./compute-type.js";
import type { Run, RunOf } from "./run.js";
import type { TrainTask } from "./train-task.js";

export interface StartOptions {
  resume: boolean;
  /** The processes that take the run's steps together; one unless given. */
  world?: World;
  onNote: (text: string) => void;
  shouldStop: () => boolean;
}

/** Throws when the run's folder, its data, its model or, on resume, its settings do not fit together. */
export async function startRun<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  { resume, world = alone, onNote, shouldStop }: StartOptions,
): Promise<RunOf<B>> {
  const { config } = task;
  const device = deviceOf(config.device as DeviceChoice, world);
  if (config.device === "auto") onNote(`device auto: ${device}`);
  const isWriter = world.rank === 0;
  if (isWriter) clearHalfDone(config.out);
  await world.sum([]); // no rank looks before that
  const checkpoint = checkpointOf(config.out, resume);
  const state = checkpoint === undefined ? undefined : readState(checkpoint, task.cursor);
  if (state) checkSettings(state, config);
  const threads = state?.record.ranks === world.size ? state.record.threads : config.threads;
  setNumThreads(threads);

  const tokenizer = task.loadTokenizer(checkpoint);
  const model = checkpoint === undefined ? task.startModel(tokenizer, device) : TorchModel.load(checkpoint, { device });
  const owned: { dispose(): void }[] = [model]; // what is freed where the start fails
  try {
    const generator = new Generator(config.seed, device);
    const byBlock = world.size > 1;
    const ops = new TorchOps({ checkpoint: config.activationCheckpointing, generator, byBlock });
    // Dropout is of a step and of a micro-batch, whichever rank computes it.
    const reseed = (step: number, index: number) => {
      const microBatch = world.rank + index * world.size;
      generator.manualSeed(Math.floor(uniform(config.seed, randomStreams.dropout, step, microBatch) * 2 ** 53));
    };
    const { clipNorm } = config;
    const trainerWith = (compute: ComputeWeights, updater: Updater) =>
      task.makeTrainer({ model, updater, compute, ops, reseed, clipNorm, shouldStop, world });
    let dtype = state?.record.dtype ?? (config.dtype === "auto" ? undefined : config.dtype);
    if (dtype === undefined) {
      const { microBatch } = await task.trial(tokenizer);
      const timed = (compute: ComputeWeights) =>
        trainerWith(compute, new LocalUpdater({ model, compute, optimizer: new Adam([]) }));
      const measured = await fasterType(microBatch, model, timed);
      dtype = await ofRank0(world, ["fp32", "bf16"] as const, measured.dtype);
      onNote(`dtype auto: ${dtype}, as a forward and backward pass took ${measured.text}`);
    }
    const compute = new ComputeWeights(model, dtype);
    owned.push(compute);
    const updater = updaterOf(config, model, compute, world);
    owned.push(updater);
    const record = recordOf(dtype, threads, world.size, device);
    if (state) {
      for (const difference of recordChanged(state.record, record)) {
        onNote(`not the run's own machine, so it may not continue bit for bit: ${difference}`);
      }
      loadOptimizer(checkpoint!, updater);
      onNote(`resumed after step ${state.step} from ${checkpoint}`);
    } else if (isWriter) {
      mkdirSync(config.out, { recursive: true });
      writeFileAtomic(join(config.out, "run.yaml"), formatRunConfig(config));
    }
    const trainer = trainerWith(compute, updater);
    return {
      config,
      model,
      tokenizer,
      ops,
      compute,
      updater,
      world,
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

/** NOTE: over GPUs gradients would travel by NCCL, which the addon does not bind: several processes compute on processors. */
function deviceOf(choice: DeviceChoice, { size, localRank }: World): Device {
  if (size > 1 && choice !== "cpu" && choice !== "auto") {
    throw new InputError(
      `device: expected cpu where ${size} processes take the steps together, got ${choice}\n` +
        "Train on one GPU by one process, or on the processors of all machines.",
    );
  }
  try {
    return size > 1 ? "cpu" : chosenDevice(choice, localRank);
  } catch (error) {
    throw new InputError((error as Error).message, { cause: error });
  }
}

/** Which of the `choices` rank 0 has taken. */
async function ofRank0<T>({ rank, sum }: World, choices: readonly T[], own: T): Promise<T> {
  const [chosen] = await sum([rank === 0 ? choices.indexOf(own) : 0]);
  return choices[chosen!]!;
}

function updaterOf(config: CommonRunConfig, model: TorchModel, compute: ComputeWeights, world: World): Updater {
  const { name, ...options } = config.optimizer;
  const Kind = { adamw: AdamW, adam: Adam, soap: SOAP }[name];
  const makeOptimizer = (params: Tensor[]) => new Kind(params, options);
  const { group } = world;
  if (!group) return new LocalUpdater({ model, compute, optimizer: makeOptimizer([...model.weights.values()]) });
  const flops = ({ name }: Parameter) => soapStepFlops(model.weight(name).shape, options);
  const divide = name === "soap" ? wholeParameters(flops) : undefined;
  return new DistributedUpdater({ model, compute, world, group, sharding: config.sharding, makeOptimizer, divide });
}

/** Frees the run's tensors. */
export function endRun({ model, updater, compute }: Run): void {
  updater.dispose();
  compute.dispose();
  model.dispose();
}

/** The checkpoint to resume from, if any. */
function checkpointOf(out: string, resume: boolean): string | undefined {
  const checkpoint = latestCheckpoint(out);
  if (checkpoint !== undefined && !resume) {
    throw new InputError(
      `${out}: expected a folder without a run, got one with ${checkpoint}\n` +
        "Go on with it by `resume`, choose another folder for out, or delete it.",
    );
  }
  return checkpoint;
}

/** Clears away what a kill has left half done. */
function clearHalfDone(out: string): void {
  const checkpoints = checkpointsOf(out);
  for (const name of existsSync(checkpoints) ? readdirSync(checkpoints) : []) {
    if (name.endsWith(".tmp")) rmSync(join(checkpoints, name), { recursive: true });
  }
}

function checkSettings(state: RunState, config: CommonRunConfig): void {
  const changed = settingsChanged(state.config, config);
  if (changed.length === 0) return;
  throw new InputError(
    `${config.out}: expected the settings that the run began with, got\n  ${shortened(changed.join("\n  "))}\n` +
      "Resume with its own settings (run.yaml in its folder), or start another run with model.from.",
  );
}
