// Fine-tuning of a classifier as a task of the loop: batches of labelled texts, the loss of its kind of problem, held-out
// scores, early stopping and the best model, which is the run's finished one.

import { join } from "node:path";
import type { Device } from "@neobert/torch";
import { writeFileAtomic } from "../../files/atomic.js";
import { modelFolder } from "../../files/run-folder.js";
import { pinnedFolder } from "../../hub/pinned.js";
import { readArchitecture } from "../../model/config-file.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { ENOUGH_TOKENS } from "../loop/compute-type.js";
import { type LoopOptions, type RunResult, runLoop } from "../loop/loop.js";
import type { Run } from "../loop/run.js";
import { Trainer } from "../loop/step.js";
import type { TaskScores, TrainTask } from "../loop/train-task.js";
import { BestSoFar, type Evaluated, keepBest, publishBest } from "./best.js";
import { classifierCard } from "./classifier-card.js";
import { type EpochCursor, epochCursorSchema, epochSteps } from "./epochs.js";
import { Examples } from "./examples.js";
import type { FineTuning } from "./fine-tuning.js";
import { predict } from "./predict.js";
import { headOf, type LabelledBatch, labelFieldsOf } from "./problem.js";
import { logitsOf, lossOf } from "./problem-loss.js";

export interface FineTuningResult extends RunResult {
  /** The evaluation whose model is the finished one; undefined without validation data. */
  best: Evaluated | undefined;
}

/** Fine-tunes in this thread, to the end of its epochs or until evaluations bring no more gain. */
export async function fineTune(work: FineTuning, options: LoopOptions = {}): Promise<FineTuningResult> {
  const best = new BestSoFar(work.config.patience, { lossDecides: work.lossDecides ?? false });
  const result = await runLoop(classification(work, best, options), options);
  if (result.finished && result.rank === 0) publishBest(work.config.out);
  return { ...result, best: best.best };
}

function classification(
  work: FineTuning,
  best: BestSoFar,
  { onNote = () => {} }: LoopOptions,
): TrainTask<LabelledBatch> {
  const { name, config, problem, train, validation } = work;
  const from = modelFolder(pinnedFolder(config.model.from));
  const architecture = readArchitecture(from);
  const maxTokens = Math.min(config.maxLength, architecture.maxPositions());
  const tokenizing = { where: name, maxTokens, stride: config.stride, vocabSize: architecture.config.vocab_size };
  let tokenized: Promise<Examples> | undefined;
  const trainingExamples = (tokenizer: Tokenizer) => {
    tokenized ??= Examples.tokenize(problem, train, tokenizer, tokenizing);
    return tokenized;
  };
  const { seed, batchSize, microBatchTokens } = config;
  const epochs = { problem, seed, batchSize, microBatchTokens };
  return {
    name,
    config,
    loadTokenizer: (checkpoint) => loadTokenizer(checkpoint ?? from),
    startModel: (_tokenizer, device) => startModel(work, from, device),
    makeTrainer: (parts) =>
      new Trainer<LabelledBatch>({
        ...parts,
        objective: (batch, run) =>
          lossOf(problem, logitsOf(problem, parts.model, batch, run), batch, parts.model.device),
      }),
    async trial(tokenizer) {
      const examples = await trainingExamples(tokenizer);
      const options = { ...epochs, microBatchTokens: Math.min(microBatchTokens, ENOUGH_TOKENS) };
      const { microBatches, targets } = epochSteps(examples, options).next().value;
      return { microBatch: microBatches[0]!, targets };
    },
    cursor: epochCursorSchema,
    async *steps(cursor, tokenizer, share) {
      const examples = await trainingExamples(tokenizer);
      for (const step of epochSteps(examples, epochs, cursor as EpochCursor | undefined, share)) {
        if (best.hasGivenUp) {
          onNote(earlyEnd(work, best));
          return;
        }
        yield step;
      }
    },
    async evaluation(run) {
      if (!validation) return undefined;
      best.restore(join(config.out, "metrics.jsonl"));
      const examples = await Examples.tokenize(problem, validation, run.tokenizer, tokenizing);
      return () => evaluate(work, run, examples, best);
    },
    describeScores: work.describeScores,
    describeBatch: ({ order }) => order.map((text) => work.describeText(text)),
    card: (run) => classifierCard(run, work),
  };
}

/** Every rank scores all of it; the scores are those of rank 0, which keeps the best model. */
async function evaluate(work: FineTuning, run: Run, examples: Examples, best: BestSoFar): Promise<TaskScores> {
  const { config, problem } = work;
  const outputs = predict(problem, run.model, examples, {
    weights: run.compute.weights,
    tokens: config.microBatchTokens,
  });
  const own = Object.entries({ ...work.score(outputs, examples), loss: outputs.loss });
  const { rank } = run.world;
  const values = await run.world.sum(own.map(([, value]) => (rank === 0 ? value : 0)));
  const scores: TaskScores = Object.fromEntries(own.map(([name], i) => [name, values[i]!]));
  if (!best.add({ step: run.state!.step, scores })) return scores;
  await run.updater.wholeWeights();
  if (rank === 0) {
    work.keepDetails?.(outputs, examples, run.state!.step);
    keepBest(config.out, (folder) => {
      run.model.save(folder);
      saveTokenizer(run.tokenizer, folder, { segments: run.model.architecture.segments() > 1 });
      writeFileAtomic(join(folder, "README.md"), classifierCard(run, work));
    });
  }
  return scores;
}

function earlyEnd({ config, describeScores }: FineTuning, { best, withoutGain }: BestSoFar): string {
  const { step, scores } = best!;
  const last = step + withoutGain * config.evaluate.everySteps;
  return (
    `ended early, after step ${last} of ${config.steps}: ${withoutGain} evaluations in a row (patience) brought no gain ` +
    `over step ${step}, whose model is kept: ${describeScores(scores)}`
  );
}

function startModel({ config, problem }: FineTuning, from: string, device: Device): TorchModel {
  const { seed } = config;
  return TorchModel.load(from, {
    device,
    seed,
    head: headOf(problem),
    freshHead: true,
    config: labelFieldsOf(problem),
  });
}
