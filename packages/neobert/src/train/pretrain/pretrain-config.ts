// Every option of a pretraining run, declared once: types, defaults, descriptions. Validation, the resolved config saved
// with a run and the reference table are all read from here. Defaults are the paper's (NeoBERT, sections 3.2 and 3.3),
// but for the ones that only concern logging, checkpoints and the machine; `fallback` is what the table shows where a
// default depends on other options. Inside `model` (model-schema.ts) the names are those of the published config.json.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isObject } from "../../files/checked.js";
import {
  checkOptimizer,
  checkSchedule,
  common,
  count,
  folder,
  optimizerSchema,
  resolveOptimizer,
  resolveSchedule,
  scheduleSchema,
  share,
} from "../run-file/common-options.js";
import { type Complaint, complaining } from "../run-file/complaints.js";
import { fieldsOf, foreignFields, modelSchema } from "../run-file/model-schema.js";
import { loadRunFile, type ParseOptions, parseRunFile, type RunFile } from "../run-file/run-file.js";

/** `data: FOLDER` stands for its subfolders `train` and `validation` where `data prepare` has made them. */
function expandData(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const [train, validation] = [join(value, "train"), join(value, "validation")];
  if (!existsSync(train)) return { train: value };
  return existsSync(validation) ? { train, validation } : { train };
}

const dataSchema = z.strictObject({
  train: z
    .preprocess(
      (value) => (typeof value === "string" ? [{ path: value, weight: 1 }] : value),
      z
        .array(
          z.strictObject({
            path: folder.describe(
              "Folder made by `neobert data prepare`, or the address of one: hf://datasets/OWNER/NAME@REVISION/train",
            ),
            weight: z
              .number()
              .positive()
              .default(1)
              .describe("Share of the pieces drawn from it, relative to the others"),
          }),
        )
        .min(1),
    )
    .describe("Prepared training text: a folder, or a list of `{ path, weight }` to mix"),
  validation: folder.optional().describe("Prepared held-out text for `evaluate`"),
  longDocuments: z
    .enum(["cut", "truncate"])
    .default("cut")
    .describe("Documents over `maxLength`: cut into consecutive pieces, or only their start kept"),
  cacheBytes: count.optional().meta({
    description: "Bytes of disk that text read from an address may take in each process",
    fallback: "4 GiB",
  }),
});

const maskingSchema = z.strictObject({
  rate: z.number().gt(0).max(1).default(0.2).describe("Share of the tokens to predict"),
  maskShare: share.default(1).describe("Of these, replaced by [MASK]"),
  randomShare: share.default(0).describe("Of these, replaced by a random token"),
  keepShare: share.default(0).describe("Of these, left as they are"),
});

const FULL_STEP = 2_097_152;
const FULL_SIZE = { layers: 28, width: 768 };
const LEAST_STEP = 4096;
const FULL_WARMUP = 2000;

/**
 * Steps of two million tokens and a warm-up over two thousand of them are of the published size: a small model learns in
 * smaller ones, and a short run warms up in a tenth of its steps.
 */
function completeSizes(raw: unknown): unknown {
  if (!isObject(raw)) return raw;
  const { model = {}, schedule = {}, tokensPerStep, steps, maxLength } = raw;
  const added: Record<string, unknown> = {};
  if (tokensPerStep === undefined && isObject(model) && model.from === undefined) {
    const { num_hidden_layers: layers = FULL_SIZE.layers, hidden_size: width = FULL_SIZE.width } = model;
    const share = (numberOf(layers) * numberOf(width) ** 2) / (FULL_SIZE.layers * FULL_SIZE.width ** 2);
    const least = Math.max(LEAST_STEP, numberOf(maxLength ?? 1024));
    if (share < 1) added.tokensPerStep = Math.max(least, 2 ** Math.round(Math.log2(FULL_STEP * share)));
  }
  if (isObject(schedule) && schedule.warmupSteps === undefined && schedule.name !== "constant") {
    const tenth = Math.ceil(numberOf(schedule.decaySteps ?? steps) / 10);
    if (tenth < FULL_WARMUP) added.schedule = { ...schedule, warmupSteps: tenth };
  }
  return { ...raw, ...added };
}

/** What is no number is the schema's to refuse. */
const numberOf = (value: unknown) => (typeof value === "number" ? value : Number.NaN);

/** The options as written in YAML; keys of the outer object are in the order in which they are documented. */
export const pretrainSchema = z.strictObject({
  out: common.out,
  seed: common.seed.describe("Seed of initialisation, data order and masking"),
  model: modelSchema.describe("Model to start from or to build; `{}` is the published 28 x 768"),
  tokenizer: folder.optional().describe("Tokenizer folder; when absent the model's or the prepared data's"),
  data: z.preprocess(expandData, dataSchema).describe("A folder with `train` and `validation`, or the keys below"),
  maxLength: z.int().min(3).default(1024).describe("Tokens of the longest piece, [CLS] and [SEP] counted"),
  packing: z
    .enum(["isolated", "crossAttention"])
    .default("isolated")
    .describe(
      "Pieces of a batch attend to themselves alone, or across borders in rows of `maxLength` (the paper's M6)",
    ),
  steps: common.steps,
  tokensPerStep: count.default(FULL_STEP).meta({
    description: "Tokens of an optimizer step, all micro-batches together",
    fallback: "2,097,152 of the published 28 x 768, less of smaller models by their size",
  }),
  microBatchTokens: count.default(16_384).describe("Tokens of a forward pass; at most `tokensPerStep`"),
  activationCheckpointing: common.activationCheckpointing,
  masking: maskingSchema.prefault({}).describe("Masked-language-model targets"),
  optimizer: optimizerSchema({ lr: 6e-4, weightDecay: 0.1 }),
  schedule: scheduleSchema({ name: "cosine", warmupSteps: 2000 }),
  clipNorm: common.clipNorm,
  dtype: common.dtype,
  threads: common.threads,
  sharding: common.sharding,
  timeoutMinutes: common.timeoutMinutes,
  device: common.device,
  evaluate: z
    .strictObject({
      everySteps: count.default(1000).describe("Steps between evaluations on `data.validation`"),
      tokens: count.default(262_144).describe("Held-out tokens of an evaluation"),
    })
    .prefault({})
    .describe("Held-out evaluation"),
  checkpoint: common.checkpoint,
  log: common.log,
});

/** A validated run with every default filled in; what `parseRunConfig` returns. */
export type RunConfig = z.output<typeof pretrainSchema>;

/** What single options cannot know: complaints about combinations, as `expected WHAT, got WHAT` with their key. */
function checkCombinations(run: RunConfig): Complaint[] {
  const { complaints, expect } = complaining();
  const { masking } = run;
  const { model_type: modelType = "neobert" } = run.model;
  for (const field of foreignFields(run.model)) {
    const known = fieldsOf(modelType).join(", ");
    expect(
      false,
      `model.${field}`,
      `expected a field of ${modelType}, got one of another architecture\nIts fields: ${known}`,
    );
  }
  const fresh = run.model.from === undefined;
  expect(fresh || !run.model.model_type, "model.model_type", "expected only without from, got both");
  const shares = masking.maskShare + masking.randomShare + masking.keepShare;
  expect(Math.abs(shares - 1) < 1e-9, "masking", `expected maskShare + randomShare + keepShare = 1, got ${shares}`);
  expect(
    run.tokensPerStep >= run.maxLength,
    "tokensPerStep",
    `expected at least maxLength (${run.maxLength}), got ${run.tokensPerStep}`,
  );
  expect(
    run.microBatchTokens >= run.maxLength,
    "microBatchTokens",
    `expected at least maxLength (${run.maxLength}), got ${run.microBatchTokens}`,
  );
  return [...complaints, ...checkOptimizer(run), ...checkSchedule(run)];
}

/** Fills the defaults that depend on other options; doing it twice changes nothing. */
function resolveDefaults(run: RunConfig): RunConfig {
  const microBatchTokens = Math.min(run.microBatchTokens, run.tokensPerStep);
  const optimizer = resolveOptimizer(run.optimizer);
  return { ...run, microBatchTokens, optimizer, schedule: resolveSchedule(run) };
}

/** A pretraining run's file. */
const pretrainFile: RunFile<RunConfig> = {
  schema: pretrainSchema,
  complete: completeSizes,
  check: checkCombinations,
  resolve: resolveDefaults,
};

/** The pretraining run of a YAML text; see `parseRunFile`. */
export const parseRunConfig = (yamlText: string, options: ParseOptions): RunConfig =>
  parseRunFile(pretrainFile, yamlText, options);

/** The pretraining run of a file; see `loadRunFile`. */
export const loadRunConfig = (path: string, overrides: readonly string[] = []): RunConfig =>
  loadRunFile(pretrainFile, path, overrides);
