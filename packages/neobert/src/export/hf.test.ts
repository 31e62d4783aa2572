// Oracles: the golden folders that transformers wrote, and the layout that sentence-transformers documents and writes.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeSafetensors } from "../files/safetensors.js";
import { openCheckpoint } from "../files/weight-files.js";
import { architectureOf } from "../model/architectures.js";
import { goldenClassifiers, goldenModels, goldenRoot, goldenTaggers } from "../model/golden.js";
import { exportHf } from "./hf.js";
import { loadedByPython } from "./python.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "neobert-export-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));
const bert = join(goldenRoot, "bert");

/** Name -> values of every tensor of a folder, under other names where asked. */
function tensorsOf(folder: string, rename = (name: string) => name) {
  const checkpoint = openCheckpoint(folder);
  const tensors = new Map(checkpoint.names().map((name) => [rename(name), checkpoint.read(name)]));
  checkpoint.close();
  return tensors;
}

/** A folder with the golden BERT as an old checkpoint: bare names, gamma and beta, a pooler; and a WordPiece vocabulary. */
function oldBert(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const old = (name: string) =>
    name
      .replace("bert.", "")
      .replace("LayerNorm.weight", "LayerNorm.gamma")
      .replace("LayerNorm.bias", "LayerNorm.beta");
  const encoder = [...tensorsOf(bert, old)].filter(([name]) => !name.startsWith("cls."));
  const pooler = { dtype: "F32" as const, shape: [48], data: new Float32Array(48) };
  const tensors = [...encoder, ["pooler.dense.bias", pooler] as const].map(([name, tensor]) => ({ name, ...tensor }));
  writeSafetensors(join(folder, "model.safetensors"), tensors);
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({ ...json(bert, "config.json"), architectures: ["BertModel"] }),
  );
  writeFileSync(join(folder, "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n");
  return folder;
}

describe.each([...goldenModels, ...goldenClassifiers, ...goldenTaggers])("%s", (name) => {
  test("is written as it was read, with a model card", () => {
    const { className, files } = exportHf(join(goldenRoot, name), join(root, "out"));
    expect(files).toEqual(["README.md", "config.json", "model.safetensors"]);
    const config = json(goldenRoot, name, "config.json");
    for (const key of ["dtype", "torch_dtype", "auto_map"]) delete config[key];
    expect(tensorsOf(join(root, "out"))).toEqual(tensorsOf(join(goldenRoot, name)));
    expect(json(root, "out", "config.json")).toMatchObject(config);
    expect(readFileSync(join(root, "out", "README.md"), "utf8")).toContain(className);
  });
});

test("an old bare checkpoint becomes today's names, and its vocab.txt a tokenizer.json", () => {
  const { className, files } = exportHf(oldBert(join(root, "old")), join(root, "out"));
  expect(className).toBe("BertModel");
  expect(files).toContain("tokenizer.json");
  const expected = new Map(
    [...tensorsOf(bert, (name) => name.replace("bert.", ""))].filter(([name]) => !name.startsWith("cls.")),
  );
  expect(tensorsOf(join(root, "out"))).toEqual(expected);
});

test("with pooling it has the files of an embedder, and its longest text is what the model's positions allow", () => {
  const source = oldBert(join(root, "old"));
  exportHf(source, join(root, "out"), { pooling: "mean", normalize: true });
  expect(json(root, "out", "modules.json").map(({ path, type }: Record<string, string>) => [path, type])).toEqual([
    ["", "sentence_transformers.models.Transformer"],
    ["1_Pooling", "sentence_transformers.models.Pooling"],
    ["2_Normalize", "sentence_transformers.models.Normalize"],
  ]);
  const pooling = json(root, "out", "1_Pooling", "config.json");
  expect(pooling).toMatchObject({
    word_embedding_dimension: 48,
    pooling_mode_mean_tokens: true,
    pooling_mode_cls_token: false,
  });
  expect(json(root, "out", "sentence_bert_config.json").max_seq_length).toBe(64);
  expect(readFileSync(join(root, "out", "README.md"), "utf8")).toContain("pipeline_tag: sentence-similarity");
  expect(() => exportHf(source, join(root, "longer"), { pooling: "cls", maxTokens: 65 })).toThrow(
    /at most 64, .* got 65/,
  );
  expect(readdirSync(root).sort()).toEqual(["old", "out"]); // nothing is left of what failed
});

test("an embedder keeps its modules; an encoder in 0_Transformer moves to the top", () => {
  const source = join(root, "st");
  oldBert(join(source, "0_Transformer"));
  const modules = [
    { idx: 0, name: "0", path: "0_Transformer", type: "sentence_transformers.models.Transformer" },
    { idx: 1, name: "1", path: "1_Dense", type: "sentence_transformers.models.Dense" },
  ];
  writeFileSync(join(source, "modules.json"), JSON.stringify(modules));
  writeFileSync(join(source, "README.md"), "theirs");
  writeFileSync(join(source, "config_sentence_transformers.json"), '{"prompts":{"query":"q: "}}');
  mkdirSync(join(source, "1_Dense"));
  writeFileSync(join(source, "1_Dense", "pytorch_model.bin"), "pickled");
  expect(() => exportHf(source, join(root, "out"))).toThrow(
    /1_Dense: expected model.safetensors, got pytorch_model.bin\n/,
  );
  writeFileSync(join(source, "1_Dense", "model.safetensors"), "weights");
  const { files } = exportHf(source, join(root, "out"));
  expect(files).toEqual(expect.arrayContaining(["1_Dense/model.safetensors", "config.json", "tokenizer.json"]));
  expect(files).not.toContain("1_Dense/pytorch_model.bin");
  expect(json(root, "out", "modules.json")[0].path).toBe("");
  expect(json(root, "out", "config_sentence_transformers.json").prompts.query).toBe("q: ");
  expect(readFileSync(join(root, "out", "README.md"), "utf8")).toBe("theirs");
  expect(() => exportHf(source, join(root, "two"), { pooling: "cls" })).toThrow(/its own modules are kept/);
});

test("a folder that is there is not written over, and modules outside the folder are refused", () => {
  expect(() => exportHf(bert, root)).toThrow(/expected a new folder, got .*, which exists\n/);
  const source = oldBert(join(root, "old"));
  writeFileSync(join(source, "modules.json"), '[{"name":"0","path":"../x","type":"t"}]');
  expect(() => exportHf(source, join(root, "out"))).toThrow(/paths inside the folder, got ..\/x/);
});

test("a head that transformers has no class for is named as such", () => {
  const bound = architectureOf({ model_type: "bert" });
  const known = loadedByPython(bound, "questionAnswering");
  expect(known).toBe("Python's transformers reads this folder as BertForQuestionAnswering.");
  const without = { ...bound, python: { transformers: 5, lacks: ["questionAnswering"] as const } };
  expect(loadedByPython(without, "questionAnswering")).toMatch(
    /encoder .* as BertModel; it has no BertForQuestionAnsw/,
  );
  expect(loadedByPython(without, "maskedLM")).toBe("Python's transformers 5 reads this folder as BertForMaskedLM.");
});
