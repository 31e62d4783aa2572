// runs/compare.yaml: that the comparison at mini scale is one of equal budgets, and that all it names is there.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { mtebTasks } from "../packages/neobert/src/evaluate/mteb/mteb-tasks.js";
import { architectureOf } from "../packages/neobert/src/model/index.js";
import { parseContrastiveConfig } from "../packages/neobert/src/train/contrastive/contrastive-config.js";
import { parseRunConfig } from "../packages/neobert/src/train/pretrain/pretrain-config.js";

interface MiniModel {
  tokenizer: string;
  pretrain: { model: Record<string, unknown> };
}

const read = (path: string) => parse(readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), "utf8"));
const { mini, full } = read("runs/compare.yaml");
const models = Object.entries(mini.models as Record<string, MiniModel>);
const file = "runs/compare.yaml";

function configOf({ pretrain }: MiniModel) {
  const model = { ...mini.pretrain.model, ...pretrain.model };
  return parseRunConfig(stringify({ ...mini.pretrain, ...pretrain, model, data: "shards", out: "out" }), { file });
}

test("the five models see the same tokens by the same optimizer and schedule", () => {
  const [first, ...others] = models.map(([, model]) => configOf(model));
  expect(models.map(([name]) => name)).toEqual(Object.keys(full.models));
  for (const { steps, tokensPerStep, maxLength, optimizer, schedule } of others) {
    expect({ steps, tokensPerStep, maxLength, optimizer, schedule }).toEqual({
      steps: first!.steps,
      tokensPerStep: first!.tokensPerStep,
      maxLength: first!.maxLength,
      optimizer: first!.optimizer,
      schedule: first!.schedule,
    });
  }
});

test("their encoders have as many parameters, embeddings not counted, within 8 %", () => {
  const counts = models.map(([, model]) => {
    const fields = configOf(model).model;
    const config = { model_type: "neobert", vocab_size: 4096, pad_token_id: 1, ...fields };
    return architectureOf(config)
      .parameters("none")
      .filter(({ role }) => role !== "embedding")
      .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  });
  expect(Math.max(...counts) / Math.min(...counts)).toBeLessThan(1.08);
});

test("fine-tuning and tasks are ones that there are", () => {
  expect(() => parseContrastiveConfig(stringify({ ...mini.finetune, model: "m", out: "o" }), { file })).not.toThrow();
  expect(() => parseContrastiveConfig(stringify({ ...full.finetune, model: "m", out: "o" }), { file })).not.toThrow();
  const known = [...Object.keys(read(mini.evaluate.data)), ...mtebTasks.map(({ name }) => name)];
  for (const task of mini.evaluate.tasks as string[]) expect(known).toContain(task);
});
