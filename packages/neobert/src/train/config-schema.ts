// Every option of a pretraining run, declared once: types, defaults, descriptions. Validation, the resolved config saved
// with a run and the reference table are all read from here. Defaults are the paper's (NeoBERT, sections 3.2 and 3.3),
// but for the ones that only concern logging, checkpoints and the machine; `fallback` is what the table shows where a
// default depends on other options. Inside `model` (model-schema.ts) the names are those of the published config.json.

import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { fieldsOf, foreignFields, modelSchema } from "./model-schema.js";

const folder = z.string().min(1);
const count = z.int().positive();
const share = z.number().min(0).max(1);

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
            path: folder.describe("Folder made by `neobert data prepare`"),
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
});

const maskingSchema = z.strictObject({
  rate: z.number().gt(0).max(1).default(0.2).describe("Share of the tokens to predict"),
  maskShare: share.default(1).describe("Of these, replaced by [MASK]"),
  randomShare: share.default(0).describe("Of these, replaced by a random token"),
  keepShare: share.default(0).describe("Of these, left as they are"),
});

const optimizerSchema = z.strictObject({
  name: z.enum(["adamw", "adam"]).default("adamw").describe("Decoupled weight decay (`adamw`) or L2 (`adam`)"),
  lr: z.number().positive().default(6e-4).describe("Peak learning rate"),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.95])
    .describe("Decay of the two moments"),
  eps: z.number().positive().default(1e-8).describe("Added to the root of the second moment"),
  weightDecay: z.number().min(0).default(0.1).describe("Weight decay"),
});

const scheduleSchema = z.strictObject({
  name: z
    .enum(["cosine", "linear", "wsd", "constant"])
    .default("cosine")
    .describe("Decay after the warm-up; `wsd` falls as 1 - sqrt"),
  warmupSteps: z.int().min(0).default(2000).describe("Step at which the linear warm-up reaches the peak"),
  initialRatio: share.default(0).describe("Share of the peak at which the warm-up starts"),
  stableSteps: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "Steps at the peak before the decay; `wsd` needs it", fallback: "0" }),
  decaySteps: count.optional().meta({ description: "Step at which the decay ends", fallback: "`steps`" }),
  finalRatio: share.optional().meta({ description: "Share of the peak after the decay", fallback: "0.1" }),
});

/** The options as written in YAML; keys of the outer object are in the order in which they are documented. */
export const runSchema = z.strictObject({
  out: folder.describe("Run folder: checkpoints, metrics, resolved config"),
  seed: z.int().min(0).default(0).describe("Seed of initialisation, data order and masking"),
  model: modelSchema.describe("Model to start from or to build; `{}` is the published 28 x 768"),
  tokenizer: folder.optional().describe("Tokenizer folder; when absent the model's or the prepared data's"),
  data: z.preprocess(expandData, dataSchema).describe("A folder with `train` and `validation`, or the keys below"),
  maxLength: z.int().min(3).default(1024).describe("Tokens of the longest piece, [CLS] and [SEP] counted"),
  steps: count.describe("Optimizer steps of the whole run"),
  tokensPerStep: count.default(2_097_152).describe("Tokens of an optimizer step, all micro-batches together"),
  microBatchTokens: count.default(16_384).describe("Tokens of a forward pass; at most `tokensPerStep`"),
  activationCheckpointing: z
    .boolean()
    .default(false)
    .describe("Recompute activations in the backward pass: much less memory, a further forward pass of time"),
  masking: maskingSchema.prefault({}).describe("Masked-language-model targets"),
  optimizer: optimizerSchema.prefault({}).describe("Optimizer"),
  schedule: scheduleSchema.prefault({}).describe("Learning-rate schedule, in steps from the start of the run"),
  clipNorm: z.number().positive().default(1).describe("Largest global gradient norm"),
  dtype: z.enum(["auto", "fp32", "bf16"]).default("auto").describe("Compute type; `auto` measures both at start"),
  threads: count
    .default(() => availableParallelism())
    .meta({ description: "Threads of the tensor operations", fallback: "all cores" }),
  device: z.enum(["cpu", "cuda"]).default("cpu").describe("Where the model lives"),
  evaluate: z
    .strictObject({
      everySteps: count.default(1000).describe("Steps between evaluations on `data.validation`"),
      tokens: count.default(262_144).describe("Held-out tokens of an evaluation"),
    })
    .prefault({})
    .describe("Held-out evaluation"),
  checkpoint: z
    .strictObject({
      everySteps: count.default(1000).describe("Steps between checkpoints"),
      keep: count.default(2).describe("Checkpoints kept"),
    })
    .prefault({})
    .describe("Checkpoints"),
  log: z
    .strictObject({ everySteps: count.default(10).describe("Steps between lines of metrics") })
    .prefault({})
    .describe("Metrics"),
});

/** A validated run with every default filled in; what `parseRunConfig` returns. */
export type RunConfig = z.output<typeof runSchema>;

export interface Complaint {
  path: string[];
  message: string;
}

/** What single options cannot know: complaints about combinations, as `expected WHAT, got WHAT` with their key. */
export function checkCombinations(run: RunConfig): Complaint[] {
  const complaints: Complaint[] = [];
  const expect = (holds: boolean, path: string, message: string) => {
    if (!holds) complaints.push({ path: path.split("."), message });
  };
  const { masking, schedule } = run;
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
  expect(fresh || run.model.model_type === undefined, "model.model_type", "expected only without from, got both");
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
  if (schedule.name === "constant") {
    for (const key of ["stableSteps", "decaySteps", "finalRatio"] as const) {
      expect(schedule[key] === undefined, `schedule.${key}`, `expected only with a decay, got it with name: constant`);
    }
    return complaints;
  }
  expect(
    schedule.name !== "wsd" || schedule.stableSteps !== undefined,
    "schedule",
    "expected stableSteps with name: wsd, got none",
  );
  const decayStart = schedule.warmupSteps + (schedule.stableSteps ?? 0);
  expect(
    schedule.decaySteps === undefined || schedule.decaySteps >= decayStart,
    "schedule.decaySteps",
    `expected at least warmupSteps + stableSteps (${decayStart}), got ${schedule.decaySteps}`,
  );
  return complaints;
}

/** Fills the defaults that depend on other options; doing it twice changes nothing. */
export function resolveDefaults(run: RunConfig): RunConfig {
  const { schedule } = run;
  const microBatchTokens = Math.min(run.microBatchTokens, run.tokensPerStep);
  if (schedule.name === "constant") return { ...run, microBatchTokens };
  const { stableSteps = 0, finalRatio = 0.1 } = schedule;
  const decaySteps = schedule.decaySteps ?? Math.max(run.steps, schedule.warmupSteps + stableSteps);
  return { ...run, microBatchTokens, schedule: { ...schedule, stableSteps, decaySteps, finalRatio } };
}
