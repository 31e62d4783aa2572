// That an encoder's file says everything about it, and that the types keep one's functions from another's config.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Architecture } from "./architecture.js";
import { architectureOf, modelTypes } from "./architectures.js";
import { type BertConfig, bert } from "./bert.js";
import { type NeoBERTConfig, neobert } from "./neobert.js";
import type { Batch, Ops, Weights } from "./ops.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) =>
  /(?<!\.test)\.ts$/.test(path),
);

/** Places where a file asks which encoder it has to do with: a comparison with a model type, a switch over it, its name. */
function casesIn(text: string): string[] {
  const names = modelTypes.map((name) => `["']${name}["']`).join("|");
  const asks = new RegExp(
    `(model_?type|modelType)\\)?\\s*[!=]==?(?!=| undefined)|[!=]==?\\s*(\\w+\\.)*(model_type|modelType)\\b|switch \\([^)]*(model_type|modelType)\\)|[!=]==? (${names})|case (${names})`,
    "g",
  );
  return [...text.matchAll(asks)].map(([found]) => found);
}

test("no file but an encoder's own asks which encoder it is", () => {
  const table = "model/architectures.ts"; // finds the entry
  const found = sources
    .filter((path) => path !== table)
    .flatMap((path) => casesIn(readFileSync(join(root, path), "utf8")).map((text) => `${path}: ${text}`));
  expect(found).toEqual([]);
});

test.each([
  'const is = config.model_type === "neobert";',
  "switch (config.model_type) {",
  'if (modelType !== "bert") return;',
  "if (architecture.modelType == name) return;",
  'case "nomic_bert":',
  'return form === "modernbert" ? 1 : 2;',
])("that is found in %s", (line) => {
  expect(casesIn(line)).not.toEqual([]);
});

describe("types", () => {
  const compiles = (_: () => unknown) => {};

  test("an architecture's functions take its own config alone, and those of the table take none", () => {
    const call = <T>(ops: Ops<T>, weights: Weights<T>, batch: Batch<T>, own: BertConfig, other: NeoBERTConfig) => {
      compiles(() => bert.forward(ops, weights, own, batch));
      // @ts-expect-error NeoBERT's config is not BERT's.
      compiles(() => bert.forward(ops, weights, other, batch));
      // @ts-expect-error Nor does BERT's file stand for one that takes any config.
      compiles((): Architecture<BertConfig | NeoBERTConfig> => bert);
      // @ts-expect-error Through the table the config is bound.
      compiles(() => architectureOf(own).forward(ops, weights, other, batch));
      compiles(() => architectureOf(own).forward(ops, weights, batch));
    };
    expect(call).toBeTypeOf("function");
    expect(neobert.modelType).not.toBe(bert.modelType);
  });
});

describe.each(modelTypes)("%s", (model_type) => {
  const architecture = architectureOf({ model_type });

  test("names fields that its config has, and a fresh model of a longest text takes that text", () => {
    const { fields, lengthField, dropoutFields, freshFields } = architecture;
    for (const name of [lengthField, ...dropoutFields]) expect(fields).toHaveProperty(name);
    const fresh = architectureOf({
      model_type,
      ...freshFields({ maxLength: 77, pad: 1, cls: 2, sep: 3, mask: 4 }),
      pad_token_id: 1,
    });
    expect(fresh.longestText()).toBe(77);
  });

  test("is bound to the config that it holds: what is set there later counts", () => {
    const own = architectureOf({ model_type });
    Object.assign(own.config, { [own.lengthField]: 9 });
    expect(own.longestText()).toBeLessThanOrEqual(9);
    expect(architecture.longestText()).toBeGreaterThan(9);
  });
});
