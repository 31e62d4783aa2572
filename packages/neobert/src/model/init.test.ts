import { expect, test } from "vitest";
import type { ParameterSpec } from "./architecture.js";
import { initialValues } from "./init.js";
import { neobert, parseNeoBERTConfig } from "./neobert.js";

const small = parseNeoBERTConfig({ vocab_size: 500, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4 });
const spec = (name: string, changes: object = {}): ParameterSpec => {
  const specs = neobert.parameters(parseNeoBERTConfig({ ...small, ...changes }), "sequenceClassification");
  return specs.find((spec) => spec.name === name)!;
};
const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: Float32Array) => Math.sqrt(mean(values.map((value) => value * value)));

test("a matrix is uniform over the whole of its range", () => {
  const values = initialValues(spec("model.transformer_encoder.0.qkv.weight"), 1);
  expect(values.every((value) => Math.abs(value) <= Math.fround(0.02))).toBe(true);
  for (const quarter of [-0.015, -0.005, 0.005, 0.015]) {
    const share = values.filter((value) => Math.abs(value - quarter) < 0.005).length / values.length;
    expect(share).toBeCloseTo(0.25, 1);
  }
  expect(deviation(values)).toBeCloseTo(0.02 / Math.sqrt(3), 3);
});

test("a classifier is normal with the config's deviation", () => {
  const values = initialValues(spec("dense.weight", { classifier_init_range: 0.5 }), 1);
  expect(mean(values)).toBeCloseTo(0, 1);
  expect(deviation(values)).toBeCloseTo(0.5, 1);
  expect(values.filter((value) => Math.abs(value) < 0.5).length / values.length).toBeCloseTo(0.683, 1);
});

test("the embedding is drawn and its padding row is zero", () => {
  const values = initialValues(spec("model.encoder.weight", { pad_token_id: 3 }), 1);
  const rowNorms = Array.from({ length: 500 }, (_, row) => deviation(values.subarray(64 * row, 64 * (row + 1))));
  expect(rowNorms.flatMap((norm, row) => (norm === 0 ? [row] : []))).toEqual([3]);
});

test("norms start at one and biases at zero", () => {
  expect(new Set(initialValues(spec("model.layer_norm.weight"), 1))).toEqual(new Set([1]));
  expect(new Set(initialValues(spec("classifier.bias"), 1))).toEqual(new Set([0]));
});

test("a parameter's values depend on the seed and its name, and on no other parameter", () => {
  const name = "model.transformer_encoder.1.wo.weight";
  const values = initialValues(spec(name), 7);
  expect(initialValues(spec(name, { num_hidden_layers: 9, vocab_size: 77 }), 7)).toEqual(values);
  expect(initialValues(spec(name), 8)).not.toEqual(values);
  expect(initialValues(spec("model.transformer_encoder.0.wo.weight"), 7)).not.toEqual(values);
});

test("a truncated normal has no value beyond its cutoff, and the shape of a normal within", () => {
  const init = { kind: "normal", std: 0.02, cutoff: 2 } as const;
  const values = initialValues({ name: "any", shape: [301, 333], role: "matrix", init }, 1);
  expect(values.every((value) => Math.abs(value) <= 0.04)).toBe(true);
  expect(mean(values)).toBeCloseTo(0, 3);
  expect(deviation(values) / 0.02).toBeCloseTo(0.8796, 2); // of a standard normal cut at 2
});
