import { expect, test } from "vitest";
import type { Head } from "./architecture.js";
import { architectureOf, modelTypes } from "./architectures.js";
import { matchCheckpointNames, savedName } from "./checkpoint-names.js";

const neobert = architectureOf({
  model_type: "neobert",
  vocab_size: 50,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
});
const match = (found: Map<string, number[]>, head: Head, freshHead = false) =>
  matchCheckpointNames(found, { architecture: neobert, head, freshHead, where: "folder" });
const tensorsOf = (head: Head) => new Map(neobert.parameters(head).map(({ name, shape }) => [name, shape]));
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
    /missing: classifier.weight \[2,16\], classifier.bias \[2\]\n.*no such head/,
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

test("tensors that no model here has are left out and named, the encoder's own in wrappers are found", () => {
  const found = new Map([...tensorsOf("none")].map(([name, shape]) => [`module._orig_mod.${name}`, shape]));
  found.set("logit_scale", []).set("module.pooler.weight", [16, 16]).set("model.embeddings.token_type_ids", [1, 20]);
  const { stored, fresh, unused } = match(found, "none");
  expect(stored.get("model.encoder.weight")).toBe("module._orig_mod.model.encoder.weight");
  expect([stored.size, fresh]).toEqual([tensorsOf("none").size, []]);
  expect(unused).toEqual(["logit_scale", "module.pooler.weight"]);
});

test.each(["0.auto_model.", "model.bert.", "encoder.", "module.question_encoder.bert_model."])(
  "a model that was saved as a part of something larger, under %s, is found, and the prefix is told",
  (prefix) => {
    const { tensors, match } = small("bert");
    const bare = renamed(tensors("none"), (name) => prefix + name.replace("bert.", ""));
    const { stored, unused, outer } = match(bare.set("classifier.weight", [2, 16]), "none");
    expect(stored.size).toBe(tensors("none").size);
    expect(stored.get("bert.embeddings.LayerNorm.weight")).toBe(`${prefix}embeddings.LayerNorm.weight`);
    expect([unused, outer]).toEqual([[], prefix.replace(/^module\.|(?<=^model\.)bert\./, "")]);
    for (const head of ["none", "maskedLM"] as const) expect(match(tensors(head), head).outer).toBe("");
  },
);

test("a tensor beside a parameter that it would change is an error", () => {
  const found = tensorsOf("none").set("model.transformer_encoder.0.wo.bias", [16]);
  expect(() => match(found, "none")).toThrow("unexpected: model.transformer_encoder.0.wo.bias [16]");
});

/** A small model of each of the others, the tensors of a head, and the match of any tensors with it. */
function small(model_type: string) {
  const sizes = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24 };
  const raw = { model_type, vocab_size: 50, pad_token_id: 1, max_position_embeddings: 20, ...sizes };
  const architecture = architectureOf(raw);
  const tensors = (head: Head) => new Map(architecture.parameters(head).map(({ name, shape }) => [name, shape]));
  const match = (found: Map<string, number[]>, head: Head, freshHead = false) =>
    matchCheckpointNames(found, { architecture, head, freshHead, where: "folder" });
  return { architecture, tensors, match };
}
const renamed = (tensors: Map<string, number[]>, rename: (name: string) => string) =>
  new Map([...tensors].map(([name, shape]) => [rename(name), shape]));

test("BERT's old gamma and beta are its LayerNorms' weight and bias, with the prefix and without", () => {
  const { tensors, match } = small("bert");
  const old = (name: string) =>
    name.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta");
  const { stored } = match(renamed(tensors("maskedLM"), old), "maskedLM");
  expect(stored.get("bert.embeddings.LayerNorm.weight")).toBe("bert.embeddings.LayerNorm.gamma");
  expect(stored.get("cls.predictions.transform.LayerNorm.bias")).toBe("cls.predictions.transform.LayerNorm.beta");
  const bare = match(
    renamed(tensors("none"), (name) => old(name).replace("bert.", "")),
    "none",
  );
  expect(bare.stored.get("bert.embeddings.LayerNorm.bias")).toBe("embeddings.LayerNorm.beta");
});

test("bert-base-uncased as published, with pooler, next-sentence head, position ids and a second decoder, is understood", () => {
  const { tensors, match } = small("bert");
  const found = tensors("maskedLM")
    .set("bert.pooler.dense.weight", [16, 16])
    .set("bert.pooler.dense.bias", [16])
    .set("bert.embeddings.position_ids", [1, 20])
    .set("cls.seq_relationship.weight", [2, 16])
    .set("cls.seq_relationship.bias", [2])
    .set("cls.predictions.decoder.weight", [50, 16])
    .set("cls.predictions.decoder.bias", [50]);
  const { stored } = match(found, "maskedLM");
  expect(stored.size).toBe(tensors("maskedLM").size);
  expect(stored.get("bert.embeddings.word_embeddings.weight")).toBe("bert.embeddings.word_embeddings.weight");
  expect(stored.get("cls.predictions.bias")).toBe("cls.predictions.bias");
  const { stored: classifier, fresh } = match(found, "sequenceClassification", true);
  expect(classifier.get("bert.pooler.dense.weight")).toBe("bert.pooler.dense.weight");
  expect(fresh.map(({ name }) => name)).toEqual(["classifier.weight", "classifier.bias"]);
});

test("a tied tensor that is only stored under its other name is found there", () => {
  const cases: [string, string, string][] = [
    ["bert", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"],
    ["roberta", "lm_head.bias", "lm_head.decoder.bias"],
    ["nomic_bert", "cls.predictions.bias", "cls.predictions.decoder.bias"],
    ["modernbert", "model.embeddings.tok_embeddings.weight", "decoder.weight"],
  ];
  for (const [modelType, own, other] of cases) {
    const { tensors, match } = small(modelType);
    const found = renamed(tensors("maskedLM"), (name) => (name === own ? other : name));
    expect(match(found, "maskedLM").stored.get(own)).toBe(other);
  }
});

test("a pooler that a missing head needs starts anew with it, and a bare RoBERTa's is left alone", () => {
  const bert = small("bert");
  const { fresh } = bert.match(bert.tensors("none"), "sequenceClassification", true);
  expect(fresh.map(({ name }) => name)).toContain("bert.pooler.dense.weight");
  expect(() => bert.match(bert.tensors("none"), "sequenceClassification")).toThrow(
    /bert.pooler.dense.weight.*\n.*no such head/,
  );
  const roberta = small("roberta");
  const bare = renamed(roberta.tensors("none"), (name) => name.replace("roberta.", "")).set("pooler.dense.bias", [16]);
  expect(roberta.match(bare, "none").stored.size).toBe(roberta.tensors("none").size);
});

test("NomicBERT's Hub checkpoints are read: bare, or under bert. with a head that has no biases", () => {
  const { tensors, match } = small("nomic_bert");
  const bare = renamed(tensors("none"), (name) => name.replace("nomic_bert.", ""));
  expect(match(bare, "none").stored.get("nomic_bert.emb_ln.weight")).toBe("emb_ln.weight");
  const hub = renamed(tensors("maskedLM"), (name) => name.replace("nomic_bert.", "bert."));
  hub.delete("cls.predictions.bias");
  hub.delete("cls.predictions.transform.dense.bias");
  const { stored, fresh } = match(hub, "maskedLM");
  expect(stored.get("nomic_bert.encoder.layers.0.attn.Wqkv.weight")).toBe("bert.encoder.layers.0.attn.Wqkv.weight");
  expect(fresh.map(({ name }) => name)).toEqual(["cls.predictions.transform.dense.bias", "cls.predictions.bias"]);
});

test.each(modelTypes)("%s names what a checkpoint lacks, has too much and has misshapen", (modelType) => {
  const { architecture, tensors, match } = small(modelType);
  const found = tensors("none");
  const [first, second] = [...found.keys()] as [string, string];
  found.delete(first);
  found.set(second, [3]).set("extra.weight", [2]);
  const escaped = (name: string) => name.replaceAll(".", "\\.");
  const lines = [
    `folder: expected the \\d+ tensors of ${architecture.classNames.none}, got others`,
    `missing: ${escaped(first)} \\[.*`,
    "unexpected: extra\\.weight \\[2\\]",
    `wrong shape: ${escaped(second)}: expected \\[.*\\], got \\[3\\]`,
  ];
  expect(() => match(found, "none")).toThrow(new RegExp(lines.join("\\n")));
});
