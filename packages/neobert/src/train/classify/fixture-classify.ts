// For tests: small labelled texts whose label a small model can learn, and runs on them.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { wordsText } from "../../encoder/fixture-encoder.js";
import type { LabelledInputs } from "./examples.js";
import type { FineTuning, FineTuningConfig } from "./fine-tuning.js";
import { scoresOf } from "./problem-scores.js";

/** Texts of different lengths that say "war" or "peace" (label 1) somewhere. */
export function warOrPeace(count: number, firstSeed = 0): { text: string; label: number }[] {
  return Array.from({ length: count }, (_, i) => {
    const seed = firstSeed + i;
    const words = wordsText(3 + (seed % 9), seed)
      .split(" ")
      .filter((word) => word !== "war" && word !== "peace");
    const label = (seed * 7919) % 13 < 6 ? 1 : 0;
    words.splice(seed % (words.length + 1), 0, label === 1 ? "peace" : "war");
    return { text: words.join(" "), label };
  });
}

export function labelledOf(rows: { text: string; label: number }[]): LabelledInputs {
  return { inputs: rows.map(({ text }) => text), labels: rows.map(({ label }) => label) };
}

/** A run of two labels over 60 texts, 8 a step, evaluated every 5 steps on 30 others. */
export function smallFineTuning(model: string, out: string, own: Partial<FineTuningConfig> = {}): FineTuning {
  const config: FineTuningConfig = {
    out,
    seed: 0,
    steps: 40,
    epochs: 5,
    batchSize: 8,
    maxLength: 64,
    microBatchTokens: 4096,
    patience: 100,
    activationCheckpointing: false,
    clipNorm: 1,
    sharding: "none",
    timeoutMinutes: 5,
    dtype: "fp32",
    threads: 1,
    device: "cpu",
    model: { from: model },
    evaluate: { everySteps: 5 },
    log: { everySteps: 5 },
    checkpoint: { everySteps: 10, keep: 2 },
    optimizer: { name: "adamw", lr: 5e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.01 },
    schedule: { name: "constant", warmupSteps: 0, initialRatio: 0 },
    ...own,
  };
  const problem = { type: "single" as const, labels: ["war", "peace"] };
  return {
    name: "test",
    config,
    problem,
    train: labelledOf(warOrPeace(60)),
    validation: labelledOf(warOrPeace(30, 1000)),
    score: ({ logits }, examples) => scoresOf(problem, logits, examples),
    describeScores: ({ accuracy }) => `accuracy ${accuracy}`,
    describeText: (text) => `text ${text}`,
  };
}

/** GLUE tasks as handed out, with texts about war and peace: CoLA, RTE and MNLI. */
export function writeGlue(root: string, { mnli = false } = {}): string {
  const data = join(root, mnli ? "glue-with-mnli" : "glue");
  const write = (path: string, lines: string[]) => {
    mkdirSync(join(data, path, ".."), { recursive: true });
    writeFileSync(join(data, path), `${lines.join("\n")}\n`);
  };
  const cola = (rows: ReturnType<typeof warOrPeace>) => rows.map(({ text, label }) => `x\t${label}\t\t${text}`);
  write("CoLA/train.tsv", cola(warOrPeace(64)));
  write("CoLA/dev.tsv", cola(warOrPeace(30, 1000)));
  write("CoLA/test.tsv", ["index\tsentence", ...warOrPeace(5, 2000).map(({ text }, i) => `${i}\t${text}`)]);
  const pairs = (rows: ReturnType<typeof warOrPeace>, labels: string[], head: string) => [
    head,
    ...rows.map(({ text, label }, i) => `${i}\t${text}\tthe people\t${labels[label]}`),
  ];
  const rte = ["entailment", "not_entailment"];
  const head = "index\tsentence1\tsentence2\tlabel";
  write("RTE/train.tsv", pairs(warOrPeace(40), rte, head));
  write("RTE/dev.tsv", pairs(warOrPeace(20, 500), rte, head));
  if (!mnli) return data;
  const nli = ["entailment", "contradiction"];
  const nliHead = "index\tsentence1\tsentence2\tgold_label";
  write("MNLI/train.tsv", pairs(warOrPeace(64, 3000), nli, nliHead));
  for (const part of ["dev_matched", "dev_mismatched"])
    write(`MNLI/${part}.tsv`, pairs(warOrPeace(20, 4000), nli, nliHead));
  return data;
}
