// The options that every training run has, whatever it trains: optimizer, schedule, checkpoints, machine. The schemas of
// pretraining and fine-tuning are put together from these; where their defaults differ they are arguments here.

import { availableParallelism } from "node:os";
import { type PreconditionOptions, preconditionDefaults } from "@neobert/torch/soap-cost";
import { z } from "zod";
import { availableCores } from "../../files/cores.js";
import { devicePattern, deviceWords } from "../../model/device-choice.js";
import { worldOf } from "../world/launchers.js";
import { type Complaint, complaining } from "./complaints.js";

export const folder = z.string().min(1);
export const count = z.int().positive();
export const share = z.number().min(0).max(1);

/** What of the optimizer is spread over the ranks: nothing, its state (ZeRO-1), or that and the gradients (ZeRO-2). */
const shardings = ["none", "optimizer", "gradients"] as const;
export type Sharding = (typeof shardings)[number];

export const optimizerFields = (defaults: { lr: number; weightDecay: number }) => ({
  name: z
    .enum(["adamw", "adam", "soap"])
    .default("adamw")
    .describe("Adam with decoupled weight decay (`adamw`) or L2 (`adam`), or in Shampoo's eigenbasis (`soap`)"),
  lr: z.number().positive().default(defaults.lr).describe("Peak learning rate"),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.95])
    .describe("Decay of the two moments"),
  eps: z.number().positive().default(1e-8).describe("Added to the root of the second moment"),
  weightDecay: z.number().min(0).default(defaults.weightDecay).describe("Weight decay"),
  preconditionFrequency: count
    .optional()
    .meta({ description: "Steps between new eigenbases of `soap`", fallback: "10" }),
  maxPrecondDim: count
    .optional()
    .meta({ description: "Longest side of a matrix that `soap` has an eigenbasis for", fallback: "10,000" }),
});

export const optimizerSchema = (defaults: { lr: number; weightDecay: number }) =>
  z.strictObject(optimizerFields(defaults)).prefault({}).describe("Optimizer");

const scheduleNames = ["cosine", "linear", "wsd", "constant"] as const;

export const scheduleSchema = (defaults: { name: (typeof scheduleNames)[number]; warmupSteps: number }) =>
  z
    .strictObject({
      name: z.enum(scheduleNames).default(defaults.name).describe("Decay after the warm-up; `wsd` falls as 1 - sqrt"),
      warmupSteps: z
        .int()
        .min(0)
        .default(defaults.warmupSteps)
        .describe("Step at which the linear warm-up reaches the peak"),
      initialRatio: share.default(0).describe("Share of the peak at which the warm-up starts"),
      stableSteps: z
        .int()
        .min(0)
        .optional()
        .meta({ description: "Steps at the peak before the decay; `wsd` needs it", fallback: "0" }),
      decaySteps: count.optional().meta({ description: "Step at which the decay ends", fallback: "`steps`" }),
      finalRatio: share.optional().meta({ description: "Share of the peak after the decay", fallback: "0.1" }),
    })
    .prefault({})
    .describe("Learning-rate schedule, in steps from the start of the run");

/** Cores of a process alone, or of one rank: launchers that bind their processes leave each its own, others leave all to all. */
function ownThreads(env: NodeJS.ProcessEnv): number {
  const place = worldOf(env);
  if (place?.source === "neobert launch" && env.OMP_NUM_THREADS) return Number(env.OMP_NUM_THREADS);
  const isShared = ["neobert launch", "torchrun", "environment"].includes(place?.source ?? "");
  return isShared ? Math.max(1, Math.floor(availableCores() / (place?.localSize ?? 1))) : availableParallelism();
}

/** The options that are the same everywhere, each under its name. */
export const common = {
  out: folder.describe("Run folder: checkpoints, metrics, resolved config"),
  seed: z.int().min(0).default(0),
  steps: count.describe("Optimizer steps of the whole run"),
  activationCheckpointing: z
    .boolean()
    .default(false)
    .describe("Recompute activations in the backward pass: much less memory, a further forward pass of time"),
  clipNorm: z.number().positive().default(1).describe("Largest global gradient norm"),
  dtype: z.enum(["auto", "fp32", "bf16"]).default("auto").describe("Compute type; `auto` measures both at start"),
  threads: count
    .default(() => ownThreads(process.env))
    .meta({ description: "Threads of the tensor operations in each process", fallback: "all cores, divided" }),
  sharding: z
    .enum(shardings)
    .default("none")
    .describe("Of several processes, each keeps its part of the optimizer's state, or of that and the `gradients`"),
  timeoutMinutes: z
    .number()
    .positive()
    .default(5)
    .describe("Of several processes, one that does not answer the others for so long is lost"),
  device: z
    .string()
    .regex(devicePattern, `expected ${deviceWords}`)
    .default("cpu")
    .describe("Where the model computes: `cpu`, `cuda`, `cuda:1`, or `auto`, a GPU where one can be used"),
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
};

type Parts = { [name in keyof typeof common]: z.output<(typeof common)[name]> };

/** What the loop reads of any run's config. */
export interface CommonRunConfig extends Parts {
  optimizer: z.output<ReturnType<typeof optimizerSchema>>;
  schedule: z.output<ReturnType<typeof scheduleSchema>>;
  evaluate: { everySteps: number };
}

/** What single options cannot know about an optimizer. */
export function checkOptimizer({ optimizer }: { optimizer: { name: string } & PreconditionOptions }): Complaint[] {
  const { complaints, expect } = complaining();
  for (const key of ["preconditionFrequency", "maxPrecondDim"] as const) {
    const isFitting = optimizer.name === "soap" || optimizer[key] === undefined;
    expect(isFitting, `optimizer.${key}`, `expected only with name: soap, got it with name: ${optimizer.name}`);
  }
  return complaints;
}

/** The optimizer with the defaults that only some have; doing it twice changes nothing. */
export function resolveOptimizer<O extends { name: string }>(optimizer: O): O {
  return optimizer.name === "soap" ? { ...preconditionDefaults, ...optimizer } : optimizer;
}

/** What single options cannot know about a schedule. */
export function checkSchedule({ schedule }: Pick<CommonRunConfig, "schedule">): Complaint[] {
  const { complaints, expect } = complaining();
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

/** The schedule with the defaults that depend on other options filled in; doing it twice changes nothing. */
export function resolveSchedule({
  schedule,
  steps,
}: Pick<CommonRunConfig, "schedule" | "steps">): CommonRunConfig["schedule"] {
  if (schedule.name === "constant") return schedule;
  const { stableSteps = 0, finalRatio = 0.1 } = schedule;
  const decaySteps = schedule.decaySteps ?? Math.max(steps, schedule.warmupSteps + stableSteps);
  return { ...schedule, stableSteps, decaySteps, finalRatio };
}
