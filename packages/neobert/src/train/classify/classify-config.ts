// The options of fine-tuning a classifier on an own file. Steps and evaluations follow from the number of texts, and the
// schedule is that of the paper's GLUE runs (appendix C).

import { z } from "zod";
import { quoteStyles } from "../../data/read/records.js";
import { fineTuningSchedule, runLength } from "../../evaluate/glue/grid.js";
import { common, count, folder, optimizerSchema } from "../run-file/common-options.js";
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
  epochs: count.default(3).describe("Times that each text is seen at most"),
  batchSize: count.default(32).describe("Texts of an optimizer step"),
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
  patience: count.default(15).describe("Evaluations without gain after which the run ends"),
  optimizer: optimizerSchema({ lr: 2e-5, weightDecay: 0.01 }),
  evaluate: z
    .strictObject({
      everySteps: count
        .optional()
        .meta({ description: "Steps between evaluations", fallback: "twice an epoch, at most 500" }),
    })
    .prefault({})
    .describe("Held-out evaluation"),
  activationCheckpointing: common.activationCheckpointing,
  clipNorm: common.clipNorm,
  dtype: common.dtype,
  threads: common.threads,
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
    return complaints;
  },
  resolve: (run) => run,
};

/** The settings of a YAML text; see `parseRunFile`. */
export const parseClassifyConfig = (yamlText: string, options: ParseOptions): ClassifyConfig =>
  parseRunFile(classifyFile, yamlText, options);

/** The run over so many texts: what follows from their number filled in, and the problem that was found. */
export function resolveClassify(config: ClassifyConfig, texts: number, problem: Problem): FineTuningConfig {
  const { steps, stepsPerEpoch } = runLength(texts, config.batchSize, config.epochs);
  // Ten times an epoch, as in the paper, would end runs over small files before they have learnt.
  const evaluateEverySteps = Math.max(1, Math.min(500, Math.ceil(stepsPerEpoch / 2)));
  return {
    ...config,
    steps,
    schedule: fineTuningSchedule(steps),
    problem,
    evaluate: { everySteps: config.evaluate.everySteps ?? evaluateEverySteps },
  } as FineTuningConfig;
}
