// Fine-tuning a classifier on an own labelled file, in the thread that calls it: what the worker runs.

import { modelFolder } from "../../files/run-folder.js";
import { pinnedFolder } from "../../hub/pinned.js";
import { readArchitecture } from "../../model/config-file.js";
import type { LoopOptions } from "../loop/loop.js";
import { type ClassScores, classScoresOf, readClassScores, writeClassScores } from "./class-scores.js";
import { type ClassifyConfig, resolveClassify } from "./classify-config.js";
import { type FineTuningResult, fineTune } from "./classify-task.js";
import type { Problem } from "./problem.js";
import { scoresOf } from "./problem-scores.js";
import { readLabelled } from "./read-labelled.js";

export interface ClassifyResult extends FineTuningResult {
  problem: Problem;
  /** How well each label was told from the others by the best model; undefined of numbers and answers. */
  classScores: ClassScores | undefined;
}

export async function runClassify(config: ClassifyConfig, options: LoopOptions = {}): Promise<ClassifyResult> {
  const { onNote = () => {}, signal } = options;
  const { problem, train, validation } = await readLabelled(config.data, config.seed, signal);
  const run = resolveClassify(config, train.inputs.length, problem, widthOf(config));
  const kinds = {
    single: "one label a text",
    multi: "any labels a text",
    regression: "a number",
    tokens: "a label a word",
    spans: "an answer in a context",
  };
  onNote(
    `${train.inputs.length} texts to learn from, ${validation?.inputs.length ?? 0} held out; ${kinds[problem.type]}: ` +
      `${problem.labels.slice(0, 20).join(", ")}${problem.labels.length > 20 ? " ..." : ""}; ${run.steps} steps of ${run.batchSize} texts, ${run.epochs} epochs`,
  );
  const result = await fineTune(
    {
      name: "finetune classify",
      config: run,
      problem,
      train,
      validation,
      lossDecides: true,
      keepDetails({ logits }, examples, step) {
        const scores = classScoresOf(problem, logits, examples, step);
        if (scores) writeClassScores(config.out, scores);
      },
      score: ({ logits }, examples) => scoresOf(problem, logits, examples),
      describeScores: ({ main: _, ...scores }) =>
        Object.entries(scores)
          .map(([name, value]) => `${name} ${value.toFixed(4)}`)
          .join(", "),
      describeText: (text) => train.places![text]!,
    },
    options,
  );
  return { ...result, problem, classScores: result.finished ? readClassScores(config.out) : undefined };
}

/** The hidden size of the model that is fine-tuned. */
function widthOf({ model }: ClassifyConfig): number {
  return readArchitecture(modelFolder(pinnedFolder(model.from))).config.hidden_size;
}
