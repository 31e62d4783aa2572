// Oracles: one big batch for accumulated ones; the weights before for steps that must change nothing.

import { AdamW, liveTensors, setNumThreads, type Tensor, tensor, tidy } from "@neobert/torch";
import { afterEach, expect, test } from "vitest";
import { type ComputeType, ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { TorchOps } from "../../model/torch/torch-ops.js";
import { LocalUpdater } from "../world/updater.js";
import { NonFiniteError, type Objective, Trainer } from "./step.js";

setNumThreads(1);
afterEach(() => expect(liveTensors()).toBe(0));

interface Micro {
  ids: Int32Array;
  cuSeqlens: Int32Array;
  maskedRows: Int32Array;
  labels: Int32Array;
}

const config = {
  model_type: "neobert",
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
  vocab_size: 50,
  norm_eps: 1e-5,
};

/** Sequences of 5, 9, 3 and 7 tokens with 2, 1, 1 and 3 targets. */
const lengths = [5, 9, 3, 7];
const targetsOf = [[1, 3], [4], [0], [2, 5, 6]];

function pack(sequences: number[]): Micro {
  const [ids, cuSeqlens, maskedRows, labels]: [number[], number[], number[], number[]] = [[], [0], [], []];
  for (const sequence of sequences) {
    for (const row of targetsOf[sequence]!) {
      maskedRows.push(ids.length + row);
      labels.push((7 * sequence + row) % 50);
    }
    for (let i = 0; i < lengths[sequence]!; i++) ids.push((11 * sequence + 3 * i + 5) % 50);
    cuSeqlens.push(ids.length);
  }
  const [a, b, c, d] = [ids, cuSeqlens, maskedRows, labels].map((array) => Int32Array.from(array));
  return { ids: a!, cuSeqlens: b!, maskedRows: c!, labels: d! };
}

const objective: (model: TorchModel) => Objective<Micro> = (model) => (batch, run) => model.loss(batch, run).sum;

async function withTrainer<T>(
  fn: (trainer: Trainer<Micro>, model: TorchModel) => Promise<T>,
  options: {
    dtype?: ComputeType;
    shouldStop?: () => boolean;
    loss?: (model: TorchModel) => Objective<Micro>;
    /** Losses are read as of a GPU: when all of the step has been asked for. */
    late?: boolean;
  } = {},
): Promise<T> {
  const { dtype = "fp32", shouldStop = () => false, loss = objective, late = false } = options;
  const model = TorchModel.create(config, { seed: 3 });
  const optimizer = new AdamW([...model.weights.values()]);
  const compute = new ComputeWeights(model, dtype);
  const updater = new LocalUpdater({ model, compute, optimizer });
  const ops = new TorchOps();
  try {
    const seen = late ? ({ device: "cuda:0" } as unknown as TorchModel) : model;
    const parts = { model: seen, updater, compute, ops, clipNorm: 1, shouldStop };
    return await fn(new Trainer({ ...parts, objective: loss(model) }), model);
  } finally {
    compute.dispose();
    updater.dispose();
    model.dispose();
  }
}

const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
const shareOf = (microBatches: Micro[]) => ({
  microBatches,
  targets: sum(microBatches.map(({ labels }) => labels.length)),
  tokens: sum(microBatches.map(({ ids }) => ids.length)),
});
const weightsOf = (model: TorchModel) => [...model.weights.values()].flatMap((weight) => weight.toArray());
const largest = (a: number[], b: number[]) => a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);

test.each(["fp32", "bf16"] as const)(
  "uneven micro-batches take the step of the one big batch, in %s",
  async (dtype) => {
    const step = (microBatches: Micro[]) =>
      withTrainer(
        async (trainer, model) => {
          const result = (await trainer.step(shareOf(microBatches), { step: 0, lr: 1e-3 }))!;
          return { ...result, weights: weightsOf(model) };
        },
        { dtype },
      );
    const whole = await step([pack([0, 1, 2, 3])]);
    const parts = await step([pack([0]), pack([1, 2]), pack([3])]);
    const tolerance = dtype === "fp32" ? 1e-5 : 1e-2;
    expect(Math.abs(parts.loss - whole.loss)).toBeLessThan(tolerance);
    expect(Math.abs(parts.gradNorm / whole.gradNorm - 1)).toBeLessThan(tolerance);
    if (dtype === "fp32") expect(largest(parts.weights, whole.weights)).toBeLessThan(2e-5);
  },
);

test("in bf16 the master weights stay float32 and move by less than bf16 could tell", async () => {
  await withTrainer(
    async (trainer, model) => {
      const name = "model.transformer_encoder.0.wo.weight";
      const before = model.weight(name).toArray();
      await trainer.step(shareOf([pack([0, 1])]), { step: 0, lr: 1e-6 });
      const after = model.weight(name).toArray();
      expect(model.weight(name).dtype).toBe("float32");
      const moved = largest(after, before);
      expect(moved).toBeGreaterThan(1e-7);
      expect(moved).toBeLessThan(2e-6);
    },
    { dtype: "bf16" },
  );
});

test("in bf16 a tied table is looked up in float32, multiplied in bfloat16, and has the gradients of both", () => {
  const name = "bert.embeddings.word_embeddings.weight";
  const model = TorchModel.create({ ...config, norm_eps: undefined, model_type: "bert" }, { seed: 3 });
  const gradientIn = (dtype: ComputeType) => {
    const compute = new ComputeWeights(model, dtype);
    const weight = model.weight(name);
    try {
      return tidy(() => {
        expect(compute.weights(name).dtype).toBe("float32");
        expect(compute.weights(name, "product").dtype).toBe(dtype === "bf16" ? "bfloat16" : "float32");
        objective(model)(pack([0, 1, 2, 3]), { weights: compute.weights }).backward();
        compute.collectGradients(true);
        return weight.grad!.toArray();
      });
    } finally {
      weight.grad = undefined;
      compute.dispose();
    }
  };
  const expected = gradientIn("fp32");
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest(gradientIn("bf16"), expected)).toBeLessThan(2e-2 * size);
  for (const weight of model.weights.values()) tidy(() => (weight.grad = undefined));
  model.dispose();
});

test("a step told to stop between micro-batches changes nothing and leaves no gradient", async () => {
  let asked = 0;
  await withTrainer(
    async (trainer, model) => {
      const before = weightsOf(model);
      expect(await trainer.step(shareOf([pack([0]), pack([1])]), { step: 0, lr: 1e-2 })).toBeUndefined();
      expect(weightsOf(model)).toEqual(before);
      expect([...model.weights.values()].every((weight) => tidy(() => weight.grad === undefined))).toBe(true);
    },
    { shouldStop: () => ++asked > 1 },
  );
});

test("losses that are read late are those that are read at once, and so is the step", async () => {
  const step = (late: boolean) =>
    withTrainer(
      async (trainer, model) => {
        const { loss, gradNorm } = (await trainer.step(shareOf([pack([0]), pack([1, 2])]), { step: 0, lr: 1e-3 }))!;
        return { loss, gradNorm, weights: weightsOf(model) };
      },
      { late },
    );
  expect(await step(true)).toEqual(await step(false));
  let asked = 0;
  const stopped = (trainer: Trainer<Micro>) => trainer.step(shareOf([pack([0]), pack([1])]), { step: 0, lr: 1e-2 });
  expect(await withTrainer(stopped, { late: true, shouldStop: () => ++asked > 1 })).toBeUndefined();
});

test.each([false, true])(
  "a loss that is not finite names its micro-batch and changes nothing, read late: %s",
  async (late) => {
    let calls = 0;
    const loss =
      (model: TorchModel): Objective<Micro> =>
      (batch, run) => {
        const sum: Tensor = objective(model)(batch, run);
        return ++calls === 2 ? sum.mul(tensor(Number.NaN)) : sum;
      };
    await withTrainer(
      async (trainer, model) => {
        const before = weightsOf(model);
        const share = shareOf([pack([0]), pack([1]), pack([2])]);
        const failing = () => trainer.step(share, { step: 0, lr: 1e-2 });
        await expect(failing()).rejects.toThrowError(NonFiniteError);
        calls = 0;
        await expect(failing()).rejects.toThrowError(expect.objectContaining({ microBatch: 1 }));
        expect(weightsOf(model)).toEqual(before);
      },
      { loss, late },
    );
  },
);
