// Answers to the test sets in the benchmark's own files, by the best model that was kept of each task; diagnostic sets are
// answered by the model of the task that they belong to.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setNumThreads } from "@neobert/torch";
import type { Benchmark, BenchmarkTask, Example } from "../../evaluate/glue/glue-task.js";
import { loadExamples } from "../../evaluate/glue/load-examples.js";
import { writeFileAtomic } from "../../files/atomic.js";
import { chosenDevice } from "../../model/torch/chosen-device.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import type { LoopOptions } from "../loop/loop.js";
import type { BenchmarkConfig } from "./benchmark-config.js";
import { answersOf, labelledOf, loadOptionsOf, problemOf } from "./benchmark-examples.js";
import { keptModel } from "./benchmark-runs.js";
import { Examples } from "./examples.js";
import { predict } from "./predict.js";

/** Writes OUT/submission/*; true when all is written. Says which files the benchmark wants and this one lacks. */
export async function writeSubmission(
  benchmark: Benchmark,
  config: BenchmarkConfig,
  { onNote = () => {}, signal }: LoopOptions,
): Promise<true> {
  const loading = loadOptionsOf(config, signal);
  const folder = join(config.out, "submission");
  mkdirSync(folder, { recursive: true });
  const missing: string[] = [];
  for (const task of benchmark.tasks) {
    const model = keptModel(config.out, task.answeredBy ?? task.id);
    const parts = existsSync(model) ? await loadExamples(benchmark, task, "test", loading) : undefined;
    if (!parts) {
      missing.push(...task.submission.files);
      continue;
    }
    const answers = answersOf(task, parts, await outputsOf(task, model, parts.flat(), config));
    for (const [i, { examples, predictions }] of answers.entries()) {
      writeFileAtomic(join(folder, task.submission.files[i]!), task.submission.format(examples, predictions));
    }
    if (task.answeredBy && parts.flat().every(({ label }) => label !== undefined)) {
      const scores = Object.entries(task.score(answers)).map(([name, value]) => `${name} ${(100 * value).toFixed(1)}`);
      onNote(`${task.id}, answered by ${task.answeredBy}'s model: ${scores.join(", ")}`);
    }
  }
  onNote(`${folder}: answers to the test sets`);
  if (missing.length > 0) {
    onNote(
      `${benchmark.title} wants these files too: ${missing.join(", ")}; their tasks were not run or have no test data here`,
    );
  }
  return true;
}

async function outputsOf(
  task: BenchmarkTask,
  folder: string,
  examples: Example[],
  { maxLength, microBatchTokens, threads, device }: BenchmarkConfig,
): Promise<Float32Array[]> {
  setNumThreads(threads);
  const model = TorchModel.load(folder, { device: chosenDevice(device) });
  try {
    const maxTokens = Math.min(maxLength, model.architecture.maxPositions());
    const problem = problemOf(task);
    const tokenized = await Examples.tokenize(problem, labelledOf(examples), loadTokenizer(folder), {
      where: `finetune ${task.id}`,
      maxTokens,
    });
    return predict(problem, model, tokenized, { tokens: microBatchTokens }).logits;
  } finally {
    model.dispose();
  }
}
