// The loop of a run, whatever it trains, in the thread that owns the model: batches made ahead, one optimizer step after
// another, metrics, held-out evaluation, checkpoints. All that decides the next step is in the checkpoint, so a resumed run
// takes the steps that an unbroken one would have taken, bit for bit.

import { join } from "node:path";
import { memoryStats } from "@neobert/torch";
import { lockFolder } from "../../files/folder-lock.js";
import type { ProgressState } from "../../terminal/run-progress.js";
import { EventFile } from "../output/events.js";
import { MetricsFile } from "../output/metrics-file.js";
import type { MetricsWindow, RunRecord, RunState } from "../output/run-record.js";
import { alone, type World } from "../world/world.js";
import { CheckpointWriter, checkpointFolder, publishModel } from "./checkpoint.js";
import type { Run, RunOf } from "./run.js";
import { learningRate } from "./schedule.js";
import { endRun, startRun } from "./start.js";
import { NonFiniteError, type StepResult } from "./step.js";
import type { TaskScores, TaskStep, TrainTask } from "./train-task.js";

export interface LoopOptions {
  /** Go on from the run's latest checkpoint, if it has one. */
  resume?: boolean;
  /** The processes that take the steps together; this one alone unless given. Rank 0 alone writes. */
  world?: World;
  /** Called after every step. */
  onStep?: (progress: Omit<ProgressState, "secondsLeft">) => void;
  /** Lines for a person: what was resumed, evaluations, checkpoints. */
  onNote?: (text: string) => void;
  /** Read between micro-batches; true writes a checkpoint and ends the run early. */
  shouldStop?: () => boolean;
  /** Aborting it ends what comes before the first step, the fetching and reading of data: the run rejects with its reason. */
  signal?: AbortSignal | undefined;
}

export interface RunResult<Scores extends object = TaskScores> {
  /** The rank of this process: 0 unless others took the steps with it. */
  rank: number;
  /** Optimizer steps taken in all. */
  step: number;
  /** False when the run was stopped early. */
  finished: boolean;
  /** Folder of the newest checkpoint; undefined when it was stopped before the first step. */
  checkpoint: string | undefined;
  /** Hugging Face folder of the finished model. */
  model: string | undefined;
  /** Held-out scores after the last step; undefined without validation data or when stopped. */
  validation: Scores | undefined;
  tokensSeen: number;
  /** Seconds spent in steps, evaluation and checkpoints not counted. */
  trainingSeconds: number;
  record: RunRecord;
}

/** What the steps of a run write to. */
interface RunOutputs {
  metrics: MetricsFile;
  events: EventFile;
}

/**
 * Trains to the end of `config.steps`, or until it is told to stop. Throws when folder, data or settings do not fit
 * together, where another process writes into the folder, and on a loss that is not finite, naming step, texts and the
 * last good checkpoint.
 */
export async function runLoop<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  options: LoopOptions = {},
): Promise<RunResult<Scores>> {
  const { resume = false, world = alone, onStep = () => {}, shouldStop = () => false } = options;
  const { config } = task;
  const isWriter = world.rank === 0;
  const onNote = (isWriter && options.onNote) || (() => {});
  const release = isWriter ? lockFolder(config.out, onNote) : () => {};
  let run: RunOf<B> | undefined;
  let outputs: RunOutputs | undefined;
  const writer = new CheckpointWriter();
  try {
    run = await startRun(task, { resume, world, onNote, shouldStop });
    const resumeStep = run.state?.step;
    if (isWriter) outputs = openOutputs(config.out, resumeStep);
    const evaluate = await task.evaluation(run);
    let validation: Scores | undefined;
    let stopped = false;
    const isAtEnd = resumeStep !== undefined && resumeStep >= config.steps;
    for await (const batch of isAtEnd ? [] : task.steps(run.state?.cursor, run.tokenizer, world)) {
      const taken = await takeStep(task, run, batch, writer);
      if (!taken) {
        stopped = true;
        break;
      }
      writer.check();
      const { step } = run.state!;
      const isLast = step === config.steps;
      if (isLast || step % config.log.everySteps === 0) writeMetrics(run, outputs, taken);
      if (isWriter) onStep(progressOf(run.state!, batch, taken));
      if (evaluate && (isLast || step % config.evaluate.everySteps === 0)) {
        validation = await evaluate();
        if (outputs) writeScores(step, validation, outputs);
        onNote(`step ${step}: held-out ${task.describeScores(validation)}`);
      }
      if (isLast || step % config.checkpoint.everySteps === 0) await save(task, run, writer, onNote);
      if (isLast) break;
    }
    // Stopped, or ended early by the task.
    if (run.state && run.state.step > run.savedStep) await save(task, run, writer, onNote);
    await writer.settled();
    return result(run, !stopped, validation);
  } finally {
    await writer.settled().catch(() => {}); // thrown above, or second to what is thrown now
    outputs?.metrics.close();
    outputs?.events.close();
    if (run) endRun(run);
    release();
  }
}

function openOutputs(out: string, resumeStep: number | undefined): RunOutputs {
  const metrics = new MetricsFile(join(out, "metrics.jsonl"), { resumeStep });
  try {
    return { metrics, events: new EventFile(join(out, "events"), { resumeStep }) };
  } catch (error) {
    metrics.close();
    throw error;
  }
}

interface TakenStep extends StepResult {
  lr: number;
}

/** One optimizer step, after which `run.state` stands behind it; undefined when it was told to stop on the way. */
async function takeStep<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  run: RunOf<B>,
  batch: TaskStep<B>,
  writer: CheckpointWriter,
): Promise<TakenStep | undefined> {
  const { config, state, trainer, record } = run;
  const done = state?.step ?? 0;
  const { lr: peakLr } = config.optimizer;
  const lr = learningRate({ ...config.schedule, peakLr }, done);
  let result: StepResult | undefined;
  try {
    result = await trainer.step(batch, { step: done, lr });
  } catch (error) {
    await writer.settled();
    throw error instanceof NonFiniteError ? describeFailure(task, run, batch, error) : error;
  }
  if (!result) return undefined;

  const window = state?.window ?? emptyWindow();
  const seconds = { data: batch.waitMs / 1000, ...result.seconds };
  const { targets, tokens } = result;
  run.state = {
    format: "neobert-run",
    version: 1,
    step: done + 1,
    cursor: batch.cursor,
    window: {
      lossSum: window.lossSum + result.loss * targets,
      targets: window.targets + targets,
      tokens: window.tokens + tokens,
      seconds: addSeconds(window.seconds, seconds),
    },
    tokensSeen: (state?.tokensSeen ?? 0) + tokens,
    trainingSeconds: (state?.trainingSeconds ?? 0) + total(seconds),
    record,
    config,
  };
  return { ...result, lr };
}

function describeFailure<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  { state, checkpoint }: Run,
  batch: TaskStep<B>,
  error: NonFiniteError,
): Error {
  const step = (state?.step ?? 0) + 1;
  const microBatches = error.microBatch === undefined ? batch.microBatches : [batch.microBatches[error.microBatch]!];
  const pieces = microBatches.flatMap((microBatch) => task.describeBatch(microBatch));
  const shown = pieces.length > 20 ? [...pieces.slice(0, 20), `and ${pieces.length - 20} more`] : pieces;
  return new Error(
    `${task.name}: step ${step}: ${error.message} from\n  ${shown.join("\n  ")}\n` +
      `The last good checkpoint is ${checkpoint ?? "none"}. Resume from it with a lower optimizer.lr or clipNorm, or without this text.`,
    { cause: error },
  );
}

type Seconds = MetricsWindow["seconds"];
const emptyWindow = (): MetricsWindow => ({
  lossSum: 0,
  targets: 0,
  tokens: 0,
  seconds: { data: 0, forward: 0, backward: 0, optimizer: 0 },
});
const total = ({ data, forward, backward, optimizer }: Seconds) => data + forward + backward + optimizer;
const addSeconds = (a: Seconds, b: Seconds): Seconds => ({
  data: a.data + b.data,
  forward: a.forward + b.forward,
  backward: a.backward + b.backward,
  optimizer: a.optimizer + b.optimizer,
});

const prefixed = (group: string, values: object): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value]));

/** A line for the steps since the last one: mean loss over their targets, rates, where their time went. */
function writeMetrics(run: Run, outputs: RunOutputs | undefined, { lr, gradNorm }: TakenStep): void {
  const state = run.state!;
  const { lossSum, targets, tokens, seconds } = state.window;
  const values = { loss: lossSum / targets, lr, gradNorm, tokensPerSecond: tokens / total(seconds) };
  const { device } = run.model;
  const memory = device === "cpu" ? {} : { deviceMemory: memoryStats(device) };
  outputs?.metrics.write({ step: state.step, ...values, tokens, tokensSeen: state.tokensSeen, seconds, ...memory });
  outputs?.events.scalars(state.step, prefixed("train", values));
  state.window = emptyWindow();
}

function writeScores(step: number, scores: object, { metrics, events }: RunOutputs): void {
  metrics.write({ step, validation: scores });
  events.scalars(step, prefixed("validation", scores));
}

function progressOf(state: RunState, batch: TaskStep<unknown>, { loss, lr, tokens, seconds }: TakenStep) {
  const all = { data: batch.waitMs / 1000, ...seconds };
  const tokensPerSecond = tokens / total(all);
  return { step: state.step, steps: state.config.steps, loss, learningRate: lr, tokensPerSecond, seconds: all };
}

async function save<B, Scores extends object>(
  task: TrainTask<B, Scores>,
  run: RunOf<B>,
  writer: CheckpointWriter,
  onNote: (text: string) => void,
) {
  const { config, model, updater, world, tokenizer, state } = run;
  const { step } = state!;
  const optimizer = await updater.state();
  const checkpoint = checkpointFolder(config.out, step);
  run.savedStep = step;
  run.checkpoint = checkpoint;
  if (world.rank > 0) return;
  const what = {
    step,
    model,
    optimizer,
    tokenizer,
    state: state!,
    keep: config.checkpoint.keep,
    card: task.card(run),
    extras: (folder: string) => task.saveExtras?.(folder, run),
  };
  await writer.begin(config.out, what, () => onNote(`step ${step}: saved ${checkpoint}`));
}

function result<Scores extends object>(run: Run, finished: boolean, validation: Scores | undefined): RunResult<Scores> {
  const { config, checkpoint, state, record, world } = run;
  const isWriter = world.rank === 0;
  return {
    rank: world.rank,
    step: state?.step ?? 0,
    finished,
    checkpoint,
    model: isWriter && finished && checkpoint !== undefined ? publishModel(config.out, checkpoint) : undefined,
    validation,
    tokensSeen: state?.tokensSeen ?? 0,
    trainingSeconds: state?.trainingSeconds ?? 0,
    record,
  };
}
