// Oracles: test/golden/training/schedules.json, the paper's closed form and transformers' schedulers.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { learningRate, type Schedule } from "./schedule.js";

interface Case {
  name: string;
  peak_lr: number;
  decay: "cosine" | "linear";
  warmup_steps: number;
  constant_steps: number;
  decay_steps: number;
  final_ratio: number;
  steps: number[];
  formula?: number[];
  transformers?: number[];
}

const golden = new URL("../../../../../test/golden/training/schedules.json", import.meta.url);
const cases: Case[] = JSON.parse(readFileSync(golden, "utf8")).cases;

function expectRates(schedule: Schedule, steps: number[], expected: number[]): void {
  expect(steps.length).toBe(expected.length);
  for (const [i, step] of steps.entries()) {
    const rate = learningRate(schedule, step);
    const tolerance = 1e-9 * Math.max(expected[i]!, schedule.peakLr * 1e-6);
    expect(Math.abs(rate - expected[i]!), `step ${step}: ${rate} against ${expected[i]}`).toBeLessThanOrEqual(
      tolerance,
    );
  }
}

describe("the paper's formula", () => {
  for (const golden of cases.filter((entry) => entry.formula)) {
    test(`"${golden.name}" has the closed form's rate at every listed step`, () => {
      const schedule: Schedule = {
        name: golden.decay,
        peakLr: golden.peak_lr,
        warmupSteps: golden.warmup_steps,
        initialRatio: 0,
        stableSteps: Math.max(0, golden.constant_steps - golden.warmup_steps),
        decaySteps: golden.decay_steps,
        finalRatio: golden.final_ratio,
      };
      expectRates(schedule, golden.steps, golden.formula!);
    });
  }

  test("the last decaying step and the first constant one differ by less than one part in 10,000", () => {
    const schedule: Schedule = {
      name: "cosine",
      peakLr: 1e-4,
      warmupSteps: 2000,
      initialRatio: 0,
      decaySteps: 50_000,
      finalRatio: 0.1,
    };
    expect(learningRate(schedule, 49_999) / learningRate(schedule, 50_000) - 1).toBeLessThan(1e-4);
    expect(learningRate(schedule, 50_000)).toBe(1e-4 * 0.1);
  });
});

describe("transformers", () => {
  const warmup = { peakLr: 3e-4, warmupSteps: 50, initialRatio: 0 };
  const wsd = { peakLr: 3e-4, warmupSteps: 50, initialRatio: 0.1, stableSteps: 200, decaySteps: 350, finalRatio: 0.1 };
  const schedules: Record<string, Schedule> = {
    "transformers constant with warm-up": { name: "constant", ...warmup },
    "transformers linear with warm-up": { name: "linear", ...warmup, decaySteps: 500, finalRatio: 0 },
    "transformers cosine with warm-up": { name: "cosine", ...warmup, decaySteps: 500, finalRatio: 0 },
    "transformers WSD, linear decay": { name: "linear", ...wsd },
    "transformers WSD, cosine decay": { name: "cosine", ...wsd },
    "transformers WSD, 1-sqrt decay": { name: "wsd", ...wsd },
  };
  for (const golden of cases.filter((entry) => entry.transformers)) {
    test(`"${golden.name}" has the same rates up to the end of the decay`, () => {
      const schedule = schedules[golden.name]!;
      // Their cosine rises again beyond its last step; ours stays at the final rate.
      const kept = golden.steps.filter((step) => step <= (golden.name.includes("cosine with") ? 500 : Infinity));
      expectRates(schedule, kept, golden.transformers!.slice(0, kept.length));
    });
  }

  test("every transformers case of the golden file is compared", () => {
    expect(Object.keys(schedules).sort()).toEqual(
      cases
        .filter((entry) => entry.transformers)
        .map((entry) => entry.name)
        .sort(),
    );
  });
});

test("a decaying schedule without an end is refused with the way out", () => {
  expect(() => learningRate({ name: "linear", peakLr: 1, warmupSteps: 0, initialRatio: 0 }, 5)).toThrow(
    /expected decaySteps.*\nGive the step/,
  );
});
