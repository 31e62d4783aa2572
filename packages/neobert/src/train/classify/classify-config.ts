// The options of fine-tuning a classifier on an own file. Steps and evaluations follow from the number of texts, and the
// schedule is that of the paper's GLUE runs (appendix C).

import { z } from "zod";
import { quoteStyles } from "../../data/read/records.js";
import { fineTuningSchedule, runLength } from "../../evaluate/glue/grid.js";
import {
  checkOptimizer,
  common,
  count,
  folder,
  optimizerFields,
  resolveOptimizer,
} from "../run-file/common-options.js";
import { complaining } from "../run-file/complaints.js";
import { type ParseOptions, parseRunFile, type RunFile } from "../run-file/run-file.js";
import type { FineTuningConfig } from "./fine-tuning.js";
import { type Problem, problemTypes } from "./problem.js";

const files = z.union([folder, z.array(folder).min(1)]);

export const classifySchema = z.strictObject({
  out: common.out,
  seed: common.seed.describe("Seed of the head's first values, data order and dropout"),
  model: z
    .preprocess(
      (value) => (typeof value === "string" ? { from: value } : value),
      z.strictObject({ from: folder.describe("A folder, a run's folder or a name on the Hub") }),
    )
    .describe("Model to fine-tune"),
  data: z.strictObject({
    train: files.describe("JSON lines, JSON, CSV, TSV or parquet: files, folders, patterns or `hf://datasets/...`"),
    validation: files.optional().meta({ description: "Held-out file", fallback: "a part of `train`" }),
    validationFraction: z.number().min(0).lt(1).default(0.1).describe("That part; 0 holds nothing out"),
    text: z.string().default("text").describe("Column of the text, or of a list of words"),
    label: z
      .union([z.string(), z.array(z.string()).min(1)])
      .default("label")
      .describe("Column of the label or labels; or several columns of 0 and 1, one for each label"),
    pair: z.string().optional().describe("Column of a second text"),
    type: z
      .enum(["auto", ...problemTypes])
      .default("auto")
      .describe(
        "One label a text, any number of them, a number, a label a word, or an answer in a context; `auto` looks at the columns",
      ),
    question: z.string().default("question").describe("Of answers: column of the question"),
    context: z.string().default("context").describe("Of answers: column of the text that has the answer"),
    answers: z
      .string()
      .default("answers")
      .describe("Of answers: column of SQuAD's `{ text, answer_start }`, or of a text"),
    answerStart: z.string().default("answer_start").describe("Of answers that are a text: column of its place"),
    separator: z.string().min(1).default(",").describe("Stands between several labels in one field"),
    header: z.boolean().default(true).describe("Whether CSV and TSV name their columns in the first line"),
    quotes: z
      .enum(quoteStyles)
      .optional()
      .meta({ description: "What double quotes are in CSV and TSV", fallback: "doubled in CSV, none in TSV" }),
  }),
  epochs: count.optional().meta({
    description: "Times that each text is seen at most",
    fallback: "3, of small files more: 300 steps in all, at most 40 times",
  }),
  batchSize: count.optional().meta({
    description: "Texts of an optimizer step",
    fallback: "32, of fewer than 256 texts an eighth of them, at least 4",
  }),
  maxLength: z
    .int()
    .min(3)
    .default(512)
    .describe("Tokens of the longest text; longer ones are cut, contexts read in windows"),
  stride: z
    .int()
    .nonnegative()
    .optional()
    .meta({ description: "Tokens that windows of a long context share", fallback: "128, or half of `maxLength`" }),
  microBatchTokens: count.default(16_384).describe("Tokens of a forward pass"),
  patience: count.optional().meta({
    description: "Evaluations without gain after which the run ends",
    fallback: "15, or half of all that the run has",
  }),
  optimizer: z
    .strictObject({
      ...optimizerFields({ lr: 2e-5, weightDecay: 0.01 }),
      lr: z.number().positive().optional().meta({
        description: "Peak learning rate",
        fallback: "2e-5, more in models narrower than 768: 4e-5 at 384",
      }),
    })
    .prefault({})
    .describe("Optimizer"),
  evaluate: z
    .strictObject({
      everySteps: count.optional().meta({
        description: "Steps between evaluations",
        fallback: "twice an epoch, 30 times in all at most, but every 500 steps",
      }),
    })
    .prefault({})
    .describe("Held-out evaluation"),
  activationCheckpointing: common.activationCheckpointing,
  clipNorm: common.clipNorm,
  dtype: common.dtype,
  threads: common.threads,
  sharding: common.sharding,
  timeoutMinutes: common.timeoutMinutes,
  device: common.device,
  checkpoint: common.checkpoint,
  log: common.log,
});

export type ClassifyConfig = z.output<typeof classifySchema>;

const classifyFile: RunFile<ClassifyConfig> = {
  schema: classifySchema,
  check(run) {
    const { complaints, expect } = complaining();
    const { maxLength, microBatchTokens } = run;
    const message = `expected at least maxLength (${maxLength}), got ${microBatchTokens}`;
    expect(microBatchTokens >= maxLength, "microBatchTokens", message);
    return [...complaints, ...checkOptimizer(run)];
  },
  resolve: (run) => ({ ...run, optimizer: resolveOptimizer(run.optimizer) }),
};

/** The settings of a YAML text; see `parseRunFile`. */
export const parseClassifyConfig = (yamlText: string, options: ParseOptions): ClassifyConfig =>
  parseRunFile(classifyFile, yamlText, options);

// A pretrained model needs some hundred steps to learn any labels, however few texts show them.
const LEAST_STEPS = 300;
const LEAST_EPOCHS = 3;
const MOST_EPOCHS = 40;
const MOST_EVALUATIONS = 30;
const BASE_WIDTH = 768;

/**
 * The run over so many texts, of a model of this hidden size: what follows from them filled in, and the problem that was
 * found.
 */
export function resolveClassify(
  config: ClassifyConfig,
  texts: number,
  problem: Problem,
  hiddenSize: number,
): FineTuningConfig {
  const batchSize = config.batchSize ?? Math.min(32, Math.max(4, Math.floor(texts / 8)));
  const stepsPerEpoch = Math.ceil(texts / batchSize);
  const wanted = Math.min(MOST_EPOCHS, Math.max(LEAST_EPOCHS, Math.ceil(LEAST_STEPS / stepsPerEpoch)));
  const epochs = config.epochs ?? wanted;
  const { steps } = runLength(texts, batchSize, epochs);
  // Ten times an epoch, as in the paper, would end runs over small files before they have learnt.
  const spread = Math.max(Math.ceil(stepsPerEpoch / 2), Math.ceil(steps / MOST_EVALUATIONS));
  const everySteps = config.evaluate.everySteps ?? Math.max(1, Math.min(500, spread));
  return {
    ...config,
    batchSize,
    epochs,
    steps,
    schedule: fineTuningSchedule(steps),
    problem,
    optimizer: {
      ...config.optimizer,
      lr: config.optimizer.lr ?? (2e-5 * BASE_WIDTH) / Math.min(BASE_WIDTH, hiddenSize),
    },
    evaluate: { everySteps },
    patience: config.patience ?? Math.max(15, Math.ceil(steps / everySteps / 2)),
  } as FineTuningConfig;
}
