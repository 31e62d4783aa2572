// Oracles: the rule by which the training text was made, and a stand-in model whose choices are known.

import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Tokenizer } from "../tokenizer/index.js";
import { smallRun, writePreparedFolder } from "../train/fixture-train.js";
import { runPretraining } from "../train/pretrain/pretrain-task.js";
import { FillMask } from "./fill-mask.js";

let root: string;
let fillMask: FillMask;
beforeAll(async () => {
  root = await writePreparedFolder();
  const run = smallRun(
    root,
    "run",
    "steps=250",
    "model.dropout=0",
    "evaluate.everySteps=250",
    "checkpoint.everySteps=250",
  );
  await runPretraining(run);
  fillMask = await FillMask.load(run.out);
}, 120_000);
afterAll(async () => {
  await fillMask.dispose();
  rmSync(root, { recursive: true });
});

test("a model trained on text with a rule fills a mask by the rule", async () => {
  // Each word is followed by one of the next three of: ... united people shall govern its own free states ...
  const [choices] = await fillMask.fill("united people [MASK] govern its own free", { topK: 3 });
  expect(choices![0]!.token).toBe("shall");
  expect(choices![0]!.sequence).toBe("united people shall govern its own free");
});

test("each mask has its own choices, best first, with probabilities", async () => {
  const fillings = await fillMask.fill("the [MASK] of a [MASK] people", { topK: 80 });
  expect(fillings).toHaveLength(2);
  for (const choices of fillings) {
    const scores = choices.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 4);
    expect(new Set(choices.map(({ id }) => id)).size).toBe(choices.length);
  }
});

test("a text without a mask is refused with the way out", async () => {
  await expect(fillMask.fill("no mask here")).rejects.toThrow(
    /expected a text with \[MASK\], got "no mask here"\nPut \[MASK\]/,
  );
});

test("the tokenizer that came with the model is used", () => {
  expect(fillMask.tokenizer).toBeInstanceOf(Tokenizer);
  expect(fillMask.tokenizer.specialIds.mask).toBe(4);
});
