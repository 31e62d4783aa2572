// Every encoder on the meta device, whose ops are those of a GPU: shapes and dtypes as on the CPU, values and gradients, and how
// many ops a layer takes, forward and back. Those are bounds that an op more breaks; they were counted, not chosen.

import { join } from "node:path";
import { countOps, type Device, liveTensors, type Tensor, tidy } from "@neobert/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Golden, goldenClassifiers, goldenModels, goldenRoot, goldenTaggers } from "../golden.js";
import { ComputeWeights } from "./torch-compute-weights.js";
import { TorchModel } from "./torch-model.js";

let liveBefore: number;
beforeEach(() => {
  liveBefore = liveTensors();
});
afterEach(() => {
  expect(liveTensors()).toBe(liveBefore);
});

const formOf = (tensor: Tensor) => `${tensor.dtype} [${tensor.shape}]`;

/** Shapes and dtypes of what a model of a golden folder computes, and of the gradients. */
function formsOn(device: Device, folder: string, dtype: "fp32" | "bf16"): string[] {
  const model = TorchModel.load(join(goldenRoot, folder), { device });
  const compute = new ComputeWeights(model, dtype);
  const { batch } = new Golden(`${folder}/expected.safetensors`);
  const run = { weights: compute.weights };
  try {
    return tidy(() => {
      const forms: string[] = [];
      let loss: Tensor;
      if (model.head === "maskedLM") {
        forms.push(formOf(model.hidden(batch, run)), formOf(model.hidden(batch, { ...run, rows: "first" })));
        forms.push(formOf(model.logits(batch, batch.maskedRows, run)));
        loss = model.loss(batch, run).sum;
      } else {
        const isTagger = model.head === "tokenClassification";
        const logits = isTagger ? model.tokenLogits(batch, run) : model.sequenceLogits(batch, run);
        forms.push(formOf(logits));
        loss = logits.sum();
      }
      forms.push(formOf(loss));
      loss.backward();
      for (const { name } of model.specs) {
        for (const [kind, tensor] of [
          ["", model.weight(name)],
          [" copy", compute.copies?.get(model.weight(name))],
        ] as const) {
          if (tensor?.grad) forms.push(`${name}${kind}: ${formOf(tensor.grad)}`);
        }
      }
      return forms;
    });
  } finally {
    compute.dispose();
    model.dispose();
  }
}

describe.each([...goldenModels, ...goldenClassifiers, ...goldenTaggers])("%s", (folder) => {
  test.each(["fp32", "bf16"] as const)("has on the meta device the shapes and dtypes of the CPU, %s", (dtype) => {
    const forms = formsOn("cpu", folder, dtype);
    expect(forms.length).toBeGreaterThan(5);
    expect(formsOn("meta", folder, dtype)).toEqual(forms);
  });
});

/** Ops of a loss and its gradients, for so many layers. */
function opsWith(layers: number, dtype: "fp32" | "bf16", texts: number): number {
  const config = {
    model_type: "neobert",
    vocab_size: 64,
    hidden_size: 32,
    num_hidden_layers: layers,
    num_attention_heads: 2,
    intermediate_size: 48,
    max_length: 128,
    pad_token_id: 0,
  };
  const model = TorchModel.create(config, { device: "meta" });
  const compute = new ComputeWeights(model, dtype);
  const ids = new Int32Array(texts * 4).fill(5);
  const batch = {
    ids,
    cuSeqlens: Int32Array.from({ length: texts + 1 }, (_, i) => 4 * i),
    maskedRows: Int32Array.of(1, 2),
    labels: Int32Array.of(7, 8),
  };
  try {
    const counts = countOps(() => tidy(() => model.loss(batch, { weights: compute.weights }).sum.backward()));
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  } finally {
    compute.dispose();
    model.dispose();
  }
}

describe.each([
  ["fp32", 33, 66],
  ["bf16", 47, 66],
] as const)("NeoBERT in %s", (dtype, mostOfLayer, mostBeside) => {
  test(`takes at most ${mostOfLayer} ops a layer and ${mostBeside} beside them, forward and back, however many texts there are`, () => {
    const [two, four] = [opsWith(2, dtype, 3), opsWith(4, dtype, 3)];
    const ofLayer = (four - two) / 2;
    expect(ofLayer).toBeLessThanOrEqual(mostOfLayer);
    expect(two - 2 * ofLayer).toBeLessThanOrEqual(mostBeside);
    expect(opsWith(2, dtype, 17)).toBe(two);
  });
});
