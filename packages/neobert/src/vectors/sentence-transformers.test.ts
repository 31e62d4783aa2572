// Folders of sentence-transformers that are damaged or made to do harm: what is wrong is named with its file, and no name
// is taken for what every object has.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { readSentenceFolder } from "./sentence-transformers.js";

const root = mkdtempSync(join(tmpdir(), "neobert-sentence-"));
afterAll(() => rmSync(root, { recursive: true }));

const put = (path: string, value: unknown) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), JSON.stringify(value));
};
const types = ["Transformer", "Pooling", "Dense"];
const modules = (dense = "2_Dense") =>
  ["", "1_Pooling", dense].map((path, i) => ({ idx: i, path, type: `sentence_transformers.models.${types[i]}` }));
const dense = { in_features: 4, out_features: 2, bias: true, activation_function: "torch.nn.modules.activation.ReLU" };

beforeEach(() => {
  put("modules.json", modules());
  put("1_Pooling/config.json", { pooling_mode_cls_token: true });
  put("2_Dense/config.json", dense);
});

test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
  "a Dense's activation named %s is none that is known",
  (name) => {
    put("2_Dense/config.json", { ...dense, activation_function: name });
    expect(() => readSentenceFolder(root)).toThrow(
      `${join(root, "2_Dense/config.json")}: expected activation_function Identity, Tanh, ReLU, Sigmoid, SiLU, got ${name}`,
    );
  },
);

test("a Dense's sizes and names of another form are named with file and field, and null is none", () => {
  put("2_Dense/config.json", { ...dense, bias: null, module_input_name: null, activation_function: null });
  const [module] = readSentenceFolder(root).modules;
  expect(module).toMatchObject({ kind: "dense", inFeatures: 4, outFeatures: 2, bias: true, activation: "tanh" });
  for (const [field, value, complaint] of [
    ["in_features", "4", 'in_features: expected number, got "4"'],
    ["out_features", null, "out_features: expected number, got null"],
    ["out_features", -1, "out_features: .*got -1"],
    ["activation_function", ["x".repeat(5000)], "activation_function: expected string, got .{80}\\.\\.\\.\\n"],
    [
      "module_output_name",
      "token_embeddings",
      "expected a Dense from sentence_embedding to it, got .*token_embeddings",
    ],
  ] as const) {
    put("2_Dense/config.json", { ...dense, [field]: value });
    expect(() => readSentenceFolder(root)).toThrow(new RegExp(`2_Dense/config\\.json: ${complaint}`));
  }
});

test.each([
  "../elsewhere",
  "2_Dense/../../elsewhere",
  "..\\elsewhere",
  "/etc",
  "\\\\host\\share",
  "C:\\elsewhere",
  "c:elsewhere",
  "..",
])("a module's path %s, which leads out of the folder, is refused", (path) => {
  put("modules.json", modules(path));
  expect(() => readSentenceFolder(root)).toThrow("modules.json: expected paths inside the folder, got ");
});

test("a path of any length or kind is shown short", () => {
  for (const path of ["x".repeat(5000), 7, null, { a: 1 }]) {
    put("modules.json", modules(path as string));
    expect(() => readSentenceFolder(root)).toThrow(/modules\.json: 2\.path: .{1,200}\n/);
  }
});

test("prompts named as what every object has are prompts, and a folder without them has none of these", () => {
  writeFileSync(
    join(root, "config_sentence_transformers.json"),
    '{ "prompts": { "__proto__": "a: ", "toString": "b: " } }',
  );
  const { prompts } = readSentenceFolder(root);
  expect(Object.entries(prompts)).toEqual([
    ["__proto__", "a: "],
    ["toString", "b: "],
  ]);
  put("config_sentence_transformers.json", { prompts: { query: 5 } });
  expect(() => readSentenceFolder(root)).toThrow(
    "config_sentence_transformers.json: prompts.query: expected string, got 5",
  );
});
