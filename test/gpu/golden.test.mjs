// Every encoder against what the published implementations computed in float32: hidden states, logits, loss, gradients, in fp32
// and in bf16, packed and alone; classifiers; the reference's three AdamW steps.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Golden, goldenClassifiers, goldenModels, goldenRoot, goldenTaggers } from "#neobert/model/golden";
import { ComputeWeights } from "#neobert/model/torch/torch-compute-weights";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { AdamW, clipGradNorm_, crossEntropy, fromTypedArray, tidy } from "#torch/index";
import { assertClose, assertNear, device, values } from "./close.mjs";

// Sums of another order than the CPU's, no TF32; bf16 as on the CPU, where PyTorch's own autocast differs by 1.9e-2.
const tolerances = {
  fp32: { value: 2e-4, loss: 1e-5, gradient: 5e-4 },
  bf16: { value: 3e-2, loss: 2e-2, gradient: 5e-2 },
};

function withModel(folder, dtype, body) {
  const model = TorchModel.load(join(goldenRoot, folder), { device });
  const compute = new ComputeWeights(model, dtype);
  try {
    tidy(() => body(model, { weights: compute.weights }, compute));
  } finally {
    compute.dispose();
    model.dispose();
  }
}

/** Of a parameter and its copy together. */
function gradientOf(model, compute, name) {
  const weight = model.weight(name);
  const parts = [weight.grad, compute.copies?.get(weight)?.grad].filter(Boolean).map(values);
  return parts.length === 0
    ? new Float32Array(weight.numel)
    : parts.reduce((sum, part) => sum.map((value, i) => value + part[i]));
}

function assertGradients(model, compute, golden, tolerance) {
  for (const { name } of model.specs) {
    const expected = golden.values.get(`grad.${name}`);
    if (!expected) continue;
    // A key's bias moves all scores of a softmax alike: its gradient is 0 but for rounding.
    const measure = golden.values.get(`grad.${name.replace(/key\.bias$/, "key.weight")}`);
    assertNear(gradientOf(model, compute, name), expected, measure, tolerance, name);
  }
}

for (const folder of goldenModels) {
  for (const dtype of ["fp32", "bf16"]) {
    const { value, loss: lossTolerance, gradient } = tolerances[dtype];
    test(`${folder} in ${dtype} has the published hidden states, logits, loss and gradients`, () => {
      const golden = new Golden(`${folder}/expected.safetensors`);
      const { batch } = golden;
      withModel(folder, dtype, (model, run, compute) => {
        const { hidden_size: C, vocab_size: V } = model.config;
        assertClose(values(model.hidden(batch, run)), golden.packed("last_hidden_state", C), value, "hidden");
        const logits = model.logits(batch, Int32Array.from(batch.ids.keys()), run);
        assertClose(values(logits), golden.packed("logits", V), value, "logits");
        const { sum, count } = model.loss(batch, run);
        const loss = sum.div(count);
        assertClose(values(loss), golden.values.get("loss"), lossTolerance, "loss");
        loss.backward();
        assertGradients(model, compute, golden, gradient);
      });
    });
  }

  test(`${folder} gives a text in a packed batch the hidden states it has alone`, () => {
    const { batch } = new Golden(`${folder}/expected.safetensors`);
    withModel(folder, "fp32", (model, run) => {
      const C = model.config.hidden_size;
      const together = values(model.hidden(batch, run));
      for (let i = 0; i + 1 < batch.cuSeqlens.length; i++) {
        const [start, end] = [batch.cuSeqlens[i], batch.cuSeqlens[i + 1]];
        const alone = model.hidden({ ids: batch.ids.slice(start, end), cuSeqlens: Int32Array.of(0, end - start) }, run);
        assertClose(values(alone), together.subarray(start * C, end * C), 2e-5, `text ${i}`);
      }
    });
  });
}

for (const folder of [...goldenClassifiers, ...goldenTaggers]) {
  test(`${folder} has the published class logits, loss and gradients`, () => {
    const golden = new Golden(`${folder}/expected.safetensors`);
    const isTagger = goldenTaggers.includes(folder);
    withModel(folder, "fp32", (model, run, compute) => {
      const logits = isTagger ? model.tokenLogits(golden.batch, run) : model.sequenceLogits(golden.batch, run);
      const expected = isTagger ? golden.packed("logits", logits.shape[1]) : golden.values.get("logits");
      assertClose(values(logits), expected, 2e-4, "logits");
      const rows = fromTypedArray(golden.batch.maskedRows, { device }).to("int64");
      const labels = fromTypedArray(golden.batch.labels, { device }).to("int64");
      const loss = crossEntropy(isTagger ? logits.indexSelect(0, rows) : logits, labels);
      assertClose(values(loss), golden.values.get("loss"), 1e-5, "loss");
      loss.backward();
      assertGradients(model, compute, golden, 5e-4);
    });
  });
}

describe("three steps", () => {
  for (const variant of goldenModels.filter((name) => name.startsWith("neobert/"))) {
    test(`of AdamW take ${variant} where they took the reference's`, () => {
      const golden = new Golden(`${variant}/after3.safetensors`);
      const [losses, norms] = [golden.metadata.losses, golden.metadata.norms].map((text) => JSON.parse(text));
      withModel(variant, "fp32", (model) => {
        const parameters = [...model.weights.values()];
        const optimizer = new AdamW(parameters, { lr: 6e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 });
        for (let step = 0; step < 3; step++) {
          tidy(() => {
            const { sum, count } = model.loss(new Golden(`${variant}/step${step}.safetensors`).batch);
            const loss = sum.div(count);
            loss.backward();
            assert.ok(Math.abs(loss.item() - losses[step]) < 1e-4, `loss of step ${step}`);
            assert.ok(Math.abs(clipGradNorm_(parameters, 1) - norms[step]) < 1e-3, `norm of step ${step}`);
            optimizer.step();
            model.normalizeWeights();
            optimizer.zeroGrad();
          });
        }
        optimizer.dispose();
        let [close, all] = [0, 0];
        for (const [name, weight] of model.weights) {
          const expected = golden.values.get(name);
          for (const [i, value] of values(weight).entries()) {
            all++;
            if (Math.abs(value - expected[i]) < 2e-5) close++;
          }
        }
        assert.ok(close / all > 0.995, `expected the reference's weights, got ${close} of ${all} within 2e-5`);
      });
    });
  }
});
