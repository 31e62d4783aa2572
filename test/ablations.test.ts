// The chain of the ablations' run files, against the paper's figure 1: what each changes of the run that it extends, and
// which run that is.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { loadRunConfig } from "../packages/neobert/src/train/pretrain/pretrain-config.js";
import { difference } from "../runs/results.mjs";
import { chainOf, scaledOptions } from "../runs/scale.mjs";

const folder = fileURLToPath(new URL("../runs/ablations", import.meta.url));
const fileOf = (id: string) => join(folder, `${id}.yaml`);
const load = (id: string) => loadRunConfig(fileOf(id));
const baseOf = (id: string) => (parse(readFileSync(fileOf(id), "utf8")) as { extends?: string }).extends;

/** Dotted options that differ, each with its value in the second. */
function changes(before: object, after: object, path = ""): Record<string, unknown> {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return Object.assign(
    {},
    ...keys.map((key) => {
      const [was, is] = [before, after].map((one) => (one as Record<string, unknown>)[key]);
      const here = path ? `${path}.${key}` : key;
      const nested = [was, is].every((one) => typeof one === "object" && one !== null && !Array.isArray(one));
      if (nested) return changes(was as object, is as object, here);
      return JSON.stringify(was) === JSON.stringify(is) ? {} : { [here]: is };
    }),
  );
}

const refinedweb = (name: string) => {
  return {
    "data.train": [{ path: `out/data/${name}/train`, weight: 1 }],
    "data.validation": `out/data/${name}/validation`,
  };
};

const chain: [id: string, base: string, changed: Record<string, unknown>][] = [
  ["m1", "m0", { "model.rope": true, "model.rms_norm": true, "model.hidden_act": "swiglu" }],
  ["m2", "m1", refinedweb("refinedweb")],
  ["m3", "m2", refinedweb("refinedweb-bpe")],
  [
    "m4",
    "m2",
    {
      "optimizer.name": "adamw",
      "optimizer.betas": [0.9, 0.95],
      "optimizer.weightDecay": 0.1,
      "schedule.name": "cosine",
      "schedule.warmupSteps": 2000,
      "schedule.decaySteps": 900_000,
      "schedule.finalRatio": 0.1,
    },
  ],
  ["m5", "m4", { "masking.rate": 0.2, "masking.maskShare": 1, "masking.randomShare": 0, "masking.keepShare": 0 }],
  ["m6", "m5", { packing: "crossAttention" }],
  ["m7", "m5", { "model.hidden_size": 1056, "model.num_hidden_layers": 16, "model.intermediate_size": 4224 }],
  ["m8", "m7", { "model.hidden_size": 768, "model.num_hidden_layers": 28, "model.intermediate_size": 3072 }],
  ["m9", "m8", { maxLength: 4096, tokensPerStep: 2 ** 21, "optimizer.lr": 6e-4 }],
  ["m10", "m9", {}],
];

/** Tried beside the series. */
const variants: typeof chain = [
  [
    "soap",
    "m5",
    {
      "optimizer.name": "soap",
      "optimizer.betas": [0.95, 0.95],
      "optimizer.weightDecay": 0.01,
      "optimizer.preconditionFrequency": 10,
      "optimizer.maxPrecondDim": 10_000,
    },
  ],
  ["ngpt-neobert", "m5", { "model.ngpt": "ngpt-neobert" }],
  [
    "ngpt",
    "m5",
    { "model.ngpt": "ngpt", "optimizer.lr": 15e-4, "optimizer.weightDecay": 0, "schedule.warmupSteps": 0 },
  ],
];

test.each([...chain, ...variants])(
  "%s extends %s and changes what the paper's figure says, nothing else",
  (id, base, changed) => {
    expect(baseOf(id)).toBe(`${base}.yaml`);
    const { out, ...found } = changes(load(base), load(id));
    expect(found).toEqual(changed);
    expect(out).toBe(`out/ablations/full/${id}`);
  },
);

test("m0 is BERT-base before its changes: Adam with linear decay to zero, 15 % in 80/10/10, 131k tokens of 512 a step", () => {
  const { model, optimizer, schedule, masking, packing, maxLength, tokensPerStep, steps } = load("m0");
  expect(baseOf("m0")).toBeUndefined();
  expect(model).toMatchObject({ num_hidden_layers: 12, hidden_size: 768, rope: false, rms_norm: false });
  expect([optimizer.name, schedule.name, schedule.finalRatio]).toEqual(["adam", "linear", 0]);
  expect(masking).toEqual({ rate: 0.15, maskShare: 0.8, randomShare: 0.1, keepShare: 0.1 });
  expect([packing, maxLength, tokensPerStep, steps]).toEqual(["isolated", 512, 131_072, 1_000_000]);
});

test("at mini scale each run still changes what it changes at full size, nothing else, and is much smaller", () => {
  const scale = parse(readFileSync(fileOf("mini"), "utf8"));
  const folders = (tokenizer: string) =>
    Object.fromEntries(Object.keys(scale.texts).map((text) => [text, { train: `${tokenizer}/${text}` }]));
  const shards = { wordpiece: folders("wordpiece"), bpe: folders("bpe") };
  const small = (id: string) => loadRunConfig(fileOf(id), scaledOptions(scale, chainOf(folder, id), shards));
  for (const [id, base, changed] of chain) {
    const { out: _, ...found } = changes(small(base), small(id));
    expect(Object.keys(found).length > 0, id).toBe(id !== "m10");
    for (const key of Object.keys(found)) expect(Object.keys(changed), id).toContain(key);
    expect(small(id).steps).toBe(small("m0").steps);
  }
  expect(small("m3").data.train).toEqual([{ path: "bpe/web", weight: 1 }]);
  expect(small("m9").steps * small("m9").tokensPerStep).toBeLessThan(1e7);
});

test("as small as runs/variants.mjs runs them, SOAP and nGPT change of M5 what they change at full size, nothing else", () => {
  const scale = parse(readFileSync(fileOf("variants"), "utf8"));
  const small = (id: string) =>
    loadRunConfig(fileOf(id), scaledOptions(scale, chainOf(folder, id), { wordpiece: { books: { train: "books" } } }));
  for (const [id, base, changed] of variants) {
    const { out: _, ...found } = changes(small(base), small(id));
    expect(Object.keys(found).sort()).toEqual(Object.keys(changed).sort());
  }
});

test("a difference counts as more than noise from two standard errors on, and never with a single seed", () => {
  const run = (mean: number, std: number, seeds: number) => ({ mean, std, seeds: Array(seeds).fill({}) });
  // Standard error of the difference: sqrt(0.03^2 / 3 + 0.03^2 / 3) = 0.0245.
  expect(difference(run(0.5, 0.03, 3), run(0.54, 0.03, 3))).toMatchObject({ isBeyondNoise: false });
  expect(difference(run(0.5, 0.03, 3), run(0.44, 0.03, 3)).isBeyondNoise).toBe(true);
  expect(difference(run(0.5, 0.03, 3), run(0.44, 0.03, 3)).points).toBeCloseTo(-6, 9);
  expect(difference(run(0.5, 0, 1), run(0.9, 0, 1)).isBeyondNoise).toBe(false);
});
