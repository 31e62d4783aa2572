// Fine-tuning of classifiers. Oracles: losses in float64 by their formulas, the same step in one batch, the unbroken run, the
// pretrained weights, and labels that can be learnt.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromTypedArray, Generator, liveTensors, tidy } from "@neobert/torch";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { writeSmallModel } from "../../encoder/fixture-encoder.js";
import { modelTypes } from "../../model/architectures.js";
import { smallConfig } from "../../model/fixture-model.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { TorchOps } from "../../model/torch/torch-ops.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { fineTune } from "./classify-task.js";
import { Examples } from "./examples.js";
import { labelledOf, smallFineTuning, warOrPeace } from "./fixture-classify.js";
import { predict } from "./predict.js";
import { IGNORED, labelFieldsOf, type Problem } from "./problem.js";
import { logitsOf, lossOf } from "./problem-loss.js";

let root: string;
let bert: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-classify-"));
  bert = await writeSmallModel({ head: "maskedLM", config: smallConfig("bert") });
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(bert, { recursive: true });
});
afterEach(() => expect(liveTensors()).toBe(0));

const problem: Problem = { type: "single", labels: ["war", "peace"] };
const fresh = { head: "sequenceClassification", freshHead: true } as const;
const weightsOf = (folder: string) => readFileSync(join(folder, "model.safetensors"));

describe.each(modelTypes)("%s", (modelType) => {
  test("learns labels that its head has never seen, each text's logits being those it has alone", async () => {
    const model = await writeSmallModel({ head: "maskedLM", config: smallConfig(modelType) });
    const work = smallFineTuning(model, join(root, modelType));
    const { best, model: folder } = await fineTune(work);
    expect(best!.scores.accuracy).toBeGreaterThan(0.85);

    const loaded = TorchModel.load(folder!);
    const tokenizer = loadTokenizer(folder!);
    const examples = await Examples.tokenize(problem, work.validation!, tokenizer, { where: "test", maxTokens: 64 });
    const packed = predict(problem, loaded, examples, { tokens: 4096 });
    const alone = predict(problem, loaded, examples, { tokens: 1 });
    for (const [text, row] of packed.logits.entries()) {
      for (const [i, logit] of row.entries()) expect(Math.abs(logit - alone.logits[text]![i]!)).toBeLessThan(1e-4);
    }
    // What was scored best is what was saved.
    expect(work.score(packed, examples).accuracy).toBe(best!.scores.accuracy);
    expect(packed.loss).toBeCloseTo(best!.scores.loss!, 4);
    loaded.dispose();
    rmSync(model, { recursive: true });
  });
});

describe("losses", () => {
  const logits = [0.5, -1.2, 2, 0.3, 0.1, -0.7];
  const lossAt = (kind: Problem, targets: number[], width: number, cuSeqlens = Int32Array.of(0)) =>
    tidy(() =>
      lossOf(
        kind,
        fromTypedArray(Float32Array.from(logits), { shape: [6 / width, width] }),
        { targets: Float32Array.from(targets), cuSeqlens },
        "cpu",
      ).item(),
    );
  const logSumExp = (row: number[]) => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));

  test("one class of three is cross entropy, summed over the texts", () => {
    const expected = logSumExp(logits.slice(0, 3)) - 2 + (logSumExp(logits.slice(3)) - 0.3);
    expect(lossAt({ type: "single", labels: ["a", "b", "c"] }, [2, 0], 3)).toBeCloseTo(expected, 5);
  });

  test("any number of labels is binary cross entropy, the mean over a text's labels", () => {
    const targets = [1, 0, 1, 0, 0, 1];
    const each = logits.map((x, i) => Math.log1p(Math.exp(x)) - x * targets[i]!);
    expect(lossAt({ type: "multi", labels: ["a", "b", "c"] }, targets, 3)).toBeCloseTo(
      each.reduce((a, b) => a + b) / 3,
      5,
    );
  });

  test("a span is the mean of the cross entropies of its start and end, over the tokens of its window alone", () => {
    // Windows of one and two tokens; rows are tokens, columns start and end.
    const starts = [logSumExp([0.5]) - 0.5, logSumExp([2, 0.1]) - 0.1];
    const ends = [logSumExp([-1.2]) + 1.2, logSumExp([0.3, -0.7]) - 0.3];
    const expected = (starts[0]! + starts[1]! + ends[0]! + ends[1]!) / 2;
    const spans: Problem = { type: "spans", labels: ["start", "end"] };
    expect(lossAt(spans, [0, 0, 1, 0], 2, Int32Array.of(0, 1, 3))).toBeCloseTo(expected, 5);
  });

  test("a number is squared error", () => {
    const targets = [1, 2, 3, 4, 5, 6];
    const expected = logits.reduce((sum, x, i) => sum + (x - targets[i]!) ** 2, 0);
    expect(lossAt({ type: "regression", labels: ["score"] }, targets, 1)).toBeCloseTo(expected, 4);
  });

  test("tokens without a label do not count", () => {
    const expected = logSumExp(logits.slice(0, 2)) - -1.2;
    expect(lossAt({ type: "tokens", labels: ["a", "b"] }, [1, IGNORED, IGNORED], 2)).toBeCloseTo(expected, 5);
  });
});

describe("a step", () => {
  test("in many micro-batches of unequal lengths is the step in one", async () => {
    const plain = {
      model: bert,
      optimizer: { name: "adam" as const, lr: 1e-2, betas: [0.9, 0.95] as [number, number], eps: 1e-3, weightDecay: 0 },
    };
    const bare = await writeSmallModel({
      head: "maskedLM",
      config: { ...smallConfig("bert"), hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 },
    });
    const losses = async (name: string, microBatchTokens: number) => {
      const own = { optimizer: plain.optimizer, steps: 6, log: { everySteps: 1 }, microBatchTokens };
      await fineTune({ ...smallFineTuning(bare, join(root, name), own), validation: undefined });
      const lines = readFileSync(join(root, name, "metrics.jsonl"), "utf8")
        .trim()
        .split("\n");
      return lines.map((line) => JSON.parse(line).loss as number);
    };
    const [one, many] = [await losses("one", 4096), await losses("many", 16)];
    expect(one).toHaveLength(6);
    for (const [i, loss] of one.entries()) expect(many[i]).toBeCloseTo(loss, 4);
    rmSync(bare, { recursive: true });
  });

  test("drops out in training, with the rates of the config, and never in evaluation", async () => {
    const model = TorchModel.load(bert, { ...fresh, config: labelFieldsOf(problem) });
    const tokenizer = loadTokenizer(bert);
    const examples = await Examples.tokenize(problem, labelledOf(warOrPeace(4)), tokenizer, {
      where: "test",
      maxTokens: 64,
    });
    const batch = examples.pack([0, 1, 2, 3]);
    const run = (ops: TorchOps) => tidy(() => logitsOf(problem, model, batch, { ops }).toArray());
    const generator = new Generator(5);
    const dropped = new TorchOps({ generator });
    expect(run(dropped)).not.toEqual(run(dropped));
    const predicted = () => predict(problem, model, examples, { tokens: 100 }).logits;
    expect(predicted()).toEqual(predicted());
    model.dispose();
  });
});

describe("the start", () => {
  test("keeps every pretrained weight of the encoder and draws only the head, by the seed", () => {
    const start = (seed: number) => TorchModel.load(bert, { ...fresh, seed, config: labelFieldsOf(problem) });
    const [pretrained, one, again, other] = [TorchModel.load(bert), start(1), start(1), start(2)];
    const values = (model: TorchModel, name: string) => tidy(() => model.weight(name).detach().toArray());
    for (const { name } of one.specs.filter(({ name }) => pretrained.weights.has(name))) {
      expect(values(one, name)).toEqual(values(pretrained, name));
    }
    const head = "classifier.weight";
    expect(values(one, head)).toEqual(values(again, head));
    expect(values(one, head)).not.toEqual(values(other, head));
    for (const model of [pretrained, one, again, other]) model.dispose();
  });

  test("from a classifier of other labels keeps all but the last layer, as from MNLI's three to two", () => {
    const three: Problem = { type: "single", labels: ["entailment", "neutral", "contradiction"] };
    const mnli = TorchModel.load(bert, { ...fresh, seed: 7, config: labelFieldsOf(three) });
    mnli.save(join(root, "mnli"));
    const rte = TorchModel.load(join(root, "mnli"), { ...fresh, seed: 8, config: labelFieldsOf(problem) });
    const values = (model: TorchModel, name: string) => tidy(() => model.weight(name).detach().toArray());
    expect(values(rte, "bert.pooler.dense.weight")).toEqual(values(mnli, "bert.pooler.dense.weight"));
    expect(rte.weight("classifier.weight").shape).toEqual([2, 32]);
    // Without new labels a checkpoint of other shapes is still an error.
    expect(() => TorchModel.load(bert, { config: { vocab_size: 80 } })).toThrow("wrong shape");
    for (const model of [mnli, rte]) model.dispose();
  });
});

describe("early stopping", () => {
  test("ends the run and leaves the best evaluation's model, also when the run was broken off and resumed", async () => {
    // A rate at which the model soon gets no better.
    const own = {
      patience: 3,
      steps: 400,
      optimizer: {
        name: "adamw" as const,
        lr: 2e-2,
        betas: [0.9, 0.95] as [number, number],
        eps: 1e-8,
        weightDecay: 0,
      },
    };
    const unbroken = await fineTune(smallFineTuning(bert, join(root, "unbroken"), own));
    expect(unbroken.finished).toBe(true);
    expect(unbroken.step).toBeLessThan(400);
    expect(unbroken.step).toBe(unbroken.best!.step + 3 * 5);
    let taken = 0;
    const work = smallFineTuning(bert, join(root, "broken"), own);
    const stopped = await fineTune(work, { onStep: () => taken++, shouldStop: () => taken >= unbroken.step - 4 });
    expect(stopped.finished).toBe(false);
    const resumed = await fineTune(work, { resume: true });
    expect([resumed.step, resumed.best]).toEqual([unbroken.step, unbroken.best]);
    expect(weightsOf(resumed.model!).equals(weightsOf(unbroken.model!))).toBe(true);
    expect(weightsOf(resumed.checkpoint!).equals(weightsOf(unbroken.checkpoint!))).toBe(true);
    // A finished run stays as it is.
    const again = await fineTune(work, { resume: true });
    expect(again.step).toBe(unbroken.step);
    expect(weightsOf(again.model!).equals(weightsOf(unbroken.model!))).toBe(true);
  });

  test("is said, with the reason", async () => {
    const notes: string[] = [];
    const work = smallFineTuning(bert, join(root, "said"), { patience: 2 });
    const same = { ...work, score: () => ({ main: 0.5 }), describeScores: () => "half" };
    const { step } = await fineTune(same, { onNote: (note) => notes.push(note) });
    expect(step).toBe(15);
    expect(notes).toContain(
      "ended early, after step 15 of 40: 2 evaluations in a row (patience) brought no gain over step 5, whose model is kept: half",
    );
  });

  test("takes a lower loss for a gain where it is told to and the scores are equal", async () => {
    const work = { ...smallFineTuning(bert, join(root, "by-loss"), { steps: 40 }), score: () => ({ main: 0.5 }) };
    const { best } = await fineTune({ ...work, lossDecides: true });
    const lines = readFileSync(join(root, "by-loss/metrics.jsonl"), "utf8").trim().split("\n");
    const losses = lines.map((line) => JSON.parse(line).validation?.loss).filter((loss) => loss !== undefined);
    expect(best!.scores.loss).toBe(Math.min(...losses));
    expect(losses[0]).toBeGreaterThan(best!.scores.loss!);
  });

  test("without held-out texts the last model is the finished one", async () => {
    const work = smallFineTuning(bert, join(root, "no-validation"), { steps: 3 });
    const { best, model, checkpoint } = await fineTune({ ...work, validation: undefined });
    expect(best).toBeUndefined();
    expect(weightsOf(model!).equals(weightsOf(checkpoint!))).toBe(true);
    expect(existsSync(join(root, "no-validation", "best"))).toBe(false);
  });
});
