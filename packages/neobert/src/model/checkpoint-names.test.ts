import { expect, test } from "vitest";
import type { Head } from "./architecture.js";
import { matchCheckpointNames, savedName } from "./checkpoint-names.js";
import { neobert, parseNeoBERTConfig } from "./neobert.js";

const config = parseNeoBERTConfig({ vocab_size: 50, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 });
const match = (found: Map<string, number[]>, head: Head, freshHead = false) =>
  matchCheckpointNames(found, { architecture: neobert, config, head, freshHead, where: "folder" });
const tensorsOf = (head: Head) => new Map(neobert.parameters(config, head).map(({ name, shape }) => [name, shape]));
const bareTensors = () =>
  new Map([...tensorsOf("none")].map(([name, shape]) => [savedName(name, neobert, "none"), shape]));

test("a bare encoder's names are found with and without the prefix", () => {
  const prefixed = match(tensorsOf("none"), "none");
  const bare = match(bareTensors(), "none");
  expect(prefixed.stored.get("model.encoder.weight")).toBe("model.encoder.weight");
  expect(bare.stored.get("model.encoder.weight")).toBe("encoder.weight");
  expect([...bare.stored.keys()].sort()).toEqual([...prefixed.stored.keys()].sort());
});

test("the tensors of another head, and tables that are computed here, are left alone", () => {
  const found = new Map([...tensorsOf("maskedLM"), ["model.freqs_cis", [128, 8]] as const]);
  expect(match(found, "none").stored.size).toBe(tensorsOf("none").size);
});

test("a missing head is an error that says how to start it anew, and starts anew when asked", () => {
  expect(() => match(bareTensors(), "tokenClassification")).toThrow(
    /missing: classifier.weight \[2,16\], classifier.bias \[2\]\n.*freshHead/,
  );
  const { fresh } = match(bareTensors(), "tokenClassification", true);
  expect(fresh.map(({ name }) => name)).toEqual(["classifier.weight", "classifier.bias"]);
});

test("a fresh head does not excuse a missing encoder tensor", () => {
  const found = bareTensors();
  found.delete("layer_norm.weight");
  expect(() => match(found, "maskedLM", true)).toThrow(/missing: model.layer_norm.weight \[16\]\n/);
});

test("missing, unexpected and misshapen tensors are all listed in one error", () => {
  const found = tensorsOf("maskedLM");
  found.delete("decoder.bias");
  found.delete("model.transformer_encoder.0.wo.weight");
  found.set("model.pooler.weight", [16, 16]).set("extra", [3]);
  found.set("decoder.weight", [51, 16]);
  let message = "";
  try {
    match(found, "maskedLM");
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain("folder: expected the 10 tensors of NeoBERTLMHead");
  expect(message).toContain("missing: model.transformer_encoder.0.wo.weight [16,16], decoder.bias [50]");
  expect(message).toContain("unexpected: model.pooler.weight [16,16], extra [3]");
  expect(message).toContain("wrong shape: decoder.weight: expected [50,16], got [51,16]");
});
