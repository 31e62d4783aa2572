// Fine-tuning on a benchmark's grid. Oracles: the unbroken series, what must be on the disk, labels that can be learnt.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSmallModel } from "../../encoder/fixture-encoder.js";
import { glue } from "../../evaluate/glue/glue.js";
import type { BenchmarkSummary } from "../../evaluate/glue/glue-summary.js";
import { smallConfig } from "../../model/fixture-model.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { type FinetuneBenchmarkOptions, finetuneGlue } from "../worker/train-runs.js";
import { runBenchmark } from "./benchmark.js";
import { benchmarkConfig } from "./benchmark-config.js";
import { writeGlue } from "./fixture-classify.js";

let root: string;
let model: string;
let data: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-benchmark-"));
  model = await writeSmallModel({ head: "maskedLM", config: smallConfig("neobert") });
  data = writeGlue(root);
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(model, { recursive: true });
});

const grid = { learningRates: [1e-5, 5e-3], batchSizes: [8], weightDecays: [0.01], epochs: 8, patience: 15 };
const settings = (name: string): FinetuneBenchmarkOptions => {
  return { model, data, out: join(root, name), tasks: ["cola"], grid, seeds: 2, dtype: "fp32", threads: 1 };
};
const summaryOf = (name: string) => JSON.parse(readFileSync(join(root, name, "glue.json"), "utf8")) as BenchmarkSummary;

test("the best point by validation is run with all seeds, and its best model is kept", async () => {
  const notes: string[] = [];
  const { summary, finished } = await finetuneGlue({ ...settings("whole"), onNote: (text) => notes.push(text) });
  expect(finished).toBe(true);
  expect(summaryOf("whole")).toEqual(summary);
  const cola = summary.tasks.cola!;
  expect(cola.best).toEqual({ learningRate: 5e-3, batchSize: 8, weightDecay: 0.01 });
  expect(cola.tried).toHaveLength(2);
  expect(cola.seeds.map(({ seed }) => seed)).toEqual([0, 1]);
  expect(cola.mean).toBeGreaterThan(0.6);
  expect(cola.mean).toBeCloseTo((cola.seeds[0]!.main + cola.seeds[1]!.main) / 2, 12);
  expect(summary.missing).toHaveLength(7);
  expect(notes.filter((note) => note.startsWith("cola "))).toHaveLength(3);
  const kept = TorchModel.load(join(root, "whole/models/cola"));
  expect(kept.config.id2label).toEqual({ 0: "unacceptable", 1: "acceptable" });
  kept.dispose();
  expect(readFileSync(join(root, "whole/glue.md"), "utf8")).toMatch(/\| CoLA +\| \d/);
  // Nothing heavy is left in the runs' folders.
  for (const run of readdirSync(join(root, "whole/runs/cola"))) {
    expect(readdirSync(join(root, "whole/runs/cola", run)).sort()).toEqual([
      "events",
      "metrics.jsonl",
      "result.json",
      "run.yaml",
    ]);
  }
});

test("a series that was broken off in the midst of a run goes on there, and finished runs are not done again", async () => {
  const controller = new AbortController();
  let [steps, stopAt] = [0, 40];
  const onStep = () => {
    if (++steps === stopAt) controller.abort();
  };
  const stopped = await finetuneGlue({ ...settings("broken"), onStep, signal: controller.signal });
  expect(stopped.finished).toBe(false);
  expect(Object.keys(stopped.summary.tasks)).toEqual(["cola"]); // after one run
  const first = join(
    root,
    "broken/runs/cola/batch-8_rate-0.00001_decay-0.01_seed-0/result.json".replace("0.00001", String(1e-5)),
  );
  const before = statSync(first).mtimeMs;
  let resumedSteps = 0;
  stopAt = 0;
  const { summary } = await finetuneGlue({ ...settings("broken"), onStep: () => resumedSteps++ });
  expect(statSync(first).mtimeMs).toBe(before);
  expect(summary.tasks).toEqual(summaryOf("whole").tasks);
  expect(resumedSteps).toBeLessThan(3 * 32 - 32);
  // With everything done there is nothing to compute.
  resumedSteps = 0;
  await finetuneGlue({ ...settings("broken"), onStep: () => resumedSteps++ });
  expect(resumedSteps).toBe(0);
});

test("parts run the grid's points, then the other seeds; the run without a part finds them and makes the summary", async () => {
  const done: string[] = [];
  const onNote = (text: string) =>
    done.push(/^cola \d\/\d: .*seed \d/.exec(text)?.[0].replace(/^cola \d\/\d: /, "") ?? text);
  const runPart = (number: number) => finetuneGlue({ ...settings("parts"), seeds: 3, part: { number, of: 2 }, onNote });
  await runPart(2);
  await runPart(1); // by now all points are done: this one goes on with its share of the seeds
  expect(done.map((line) => line.slice(line.indexOf("rate")))).toEqual([
    "rate 0.005, decay 0.01, seed 0",
    "rate 0.00001, decay 0.01, seed 0",
    "rate 0.005, decay 0.01, seed 1",
  ]);
  expect(existsSync(join(root, "parts/glue.json"))).toBe(false);
  await runPart(2);
  expect(done).toHaveLength(4);
  let steps = 0;
  const { summary } = await finetuneGlue({ ...settings("parts"), seeds: 3, onStep: () => steps++ });
  expect(steps).toBe(0);
  const [first, second] = summaryOf("whole").tasks.cola!.seeds;
  expect(summary.tasks.cola!.seeds.slice(0, 2)).toEqual([first, second]);
  expect(existsSync(join(root, "parts/models/cola/config.json"))).toBe(true);
  for (const run of readdirSync(join(root, "parts/runs/cola"))) {
    expect(readdirSync(join(root, "parts/runs/cola", run))).not.toContain("best");
  }
});

test("results of other settings in the same folder are refused", async () => {
  const other = { ...settings("whole"), grid: { ...grid, epochs: 5 } };
  await expect(finetuneGlue(other)).rejects.toThrow(
    /expected a result of the same settings \(epochs 5\), got one of others \(epochs 8\)/,
  );
});

test("RTE starts from MNLI's best model where MNLI was run, from the model itself where not, and that is said", async () => {
  const notes: string[] = [];
  const onNote = (text: string) => notes.push(text);
  const one = { ...grid, learningRates: [5e-3], epochs: 2 };
  const without = await finetuneGlue({ ...settings("rte"), tasks: ["rte"], grid: one, seeds: 1, onNote });
  expect(without.summary.tasks.rte!.startsFrom).toBe("model");
  expect(notes.join("\n")).toContain(`rte: starts from ${model}, as MNLI was not run here`);
  const all = {
    ...settings("mnli"),
    data: writeGlue(root, { mnli: true }),
    tasks: ["rte", "mnli"],
    grid: one,
    seeds: 1,
  };
  const config = benchmarkConfig(glue, all);
  const { summary } = await runBenchmark(glue, config);
  expect(Object.keys(summary.tasks)).toEqual(["mnli", "rte"]);
  expect(summary.tasks.rte!.startsFrom).toBe("mnli");
  const run = readdirSync(join(root, "mnli/runs/rte-from-mnli"))[0]!;
  expect(readFileSync(join(root, "mnli/runs/rte-from-mnli", run, "run.yaml"), "utf8")).toContain(
    join(root, "mnli/models/mnli"),
  );
  // A part does not begin what starts from MNLI's best before it is known.
  const partNotes: string[] = [];
  const parted = { ...settings("mnli-part"), data: all.data, tasks: all.tasks, grid: one, seeds: 1 };
  await finetuneGlue({ ...parted, part: { number: 1, of: 1 }, onNote: (text) => partNotes.push(text) });
  expect(partNotes.at(-1)).toMatch(/^rte: not run, as it starts from MNLI's best: run MNLI without --part/);
  await finetuneGlue({ ...parted, tasks: ["mnli"] });
  await finetuneGlue({ ...parted, part: { number: 1, of: 1 } });
  expect(readdirSync(join(root, "mnli-part/runs"))).toEqual(["mnli", "rte-from-mnli"]);
  const given = await finetuneGlue({
    ...settings("given"),
    tasks: ["rte"],
    grid: one,
    seeds: 1,
    mnli: join(root, "mnli/models/mnli"),
  });
  expect(given.summary.tasks.rte!.seeds).toEqual(summary.tasks.rte!.seeds);
});

test("answers to the test sets come from the kept models, and missing files are named", async () => {
  const notes: string[] = [];
  await finetuneGlue({ ...settings("whole"), submission: true, onNote: (text) => notes.push(text) });
  expect(readdirSync(join(root, "whole/submission"))).toEqual(["CoLA.tsv"]);
  expect(readFileSync(join(root, "whole/submission/CoLA.tsv"), "utf8")).toMatch(/^index\tprediction\n(\d\t[01]\n){5}$/);
  expect(notes.at(-1)).toContain("GLUE wants these files too: SST-2.tsv");
});

test("wrong options are refused by name, and a task without data is passed over, which is said", async () => {
  await expect(finetuneGlue({ ...settings("x"), tasks: ["boolq"] })).rejects.toThrow("GLUE: expected one of the tasks");
  await expect(finetuneGlue({ ...settings("x"), grid: { learningRates: [] } })).rejects.toThrow(
    "finetune glue: expected learningRates to be numbers above 0, got none",
  );
  await expect(finetuneGlue({ ...settings("x"), seeds: 0 })).rejects.toThrow(
    "expected seeds to be a whole number of 1",
  );
  await expect(finetuneGlue({ ...settings("x"), data: "absent" })).rejects.toThrow("expected data to be a folder");
  const notes: string[] = [];
  const { summary } = await finetuneGlue({ ...settings("x"), tasks: ["sst2"], onNote: (text) => notes.push(text) });
  expect(notes).toEqual([`sst2: not run, as there is no training and validation data in ${data}`]);
  expect(summary).toMatchObject({ tasks: {}, average: null });
});

const shared = new URL("../../../../../../shared/data/", import.meta.url).pathname;

test.skipIf(!existsSync(join(shared, "glue/SST-2")))(
  "a small model without pretraining tells SST-2's sentiments far better than chance",
  async () => {
    // The vocabulary of the fixture knows none of these words, so the model brings BERT's.
    const { cpSync } = await import("node:fs");
    const config = { ...smallConfig("neobert"), vocab_size: 30522, hidden_size: 64 };
    const real = await writeSmallModel({ head: "maskedLM", config });
    for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
      cpSync(join(shared, "tokenizers/bert-base-uncased", file), join(real, file));
    }
    const options = { grid: { learningRates: [2e-3], epochs: 1 }, limit: 5000, seeds: 1, tasks: ["sst2"] };
    const { summary } = await finetuneGlue({
      ...settings("sst2"),
      ...options,
      model: real,
      data: join(shared, "glue"),
      threads: 2,
    });
    // The larger class has 50.9 %.
    expect(summary.tasks.sst2!.mean).toBeGreaterThan(0.65);
    rmSync(real, { recursive: true });
  },
);
