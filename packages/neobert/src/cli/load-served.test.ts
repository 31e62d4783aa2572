// Which models `neobert serve` is asked for, by words and by a YAML file; and that they are loaded as often as is said.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Encoder } from "../encoder/encoder.js";
import { writeSmallModel } from "../encoder/fixture-encoder.js";
import { LaterModel } from "../serve/index.js";
import { disposeServed, entriesOf, loadServed } from "./load-served.js";

const place = mkdtempSync(join(tmpdir(), "neobert-serve-file-"));
afterAll(() => rmSync(place, { recursive: true }));

const options = { dtype: "fp32" } as const;
const flags = { options, instances: 1 };

function file(text: string): string {
  const path = join(place, "models.yaml");
  writeFileSync(path, text);
  return path;
}

test("words name models by themselves, by a name before them, or by a file with settings of its own", () => {
  const path = file(`models:
  - { name: fast, model: owner/small, task: embed, engine: onnx, dtype: int8, threads: 1, instances: 2, revision: main }
  - { model: runs/labels/model, task: [classify], maxRunMs: 10, batchTokens: 512 }
`);
  const entries = entriesOf(["owner/other", "a.b=owner/small", path], flags);
  expect(entries).toEqual([
    { name: "owner/other", model: "owner/other", tasks: undefined, instances: 1, options },
    { name: "a.b", model: "owner/small", tasks: undefined, instances: 1, options },
    {
      name: "fast",
      model: "owner/small",
      tasks: ["embed"],
      instances: 2,
      options: { engine: "onnx", dtype: "int8", threads: 1, revision: "main" },
    },
    {
      name: "labels",
      model: "runs/labels/model",
      tasks: ["classify"],
      instances: 1,
      options: { dtype: "fp32", maxRunMs: 10, batchTokens: 512 },
    },
  ]);
  const named = entriesOf(["owner/one", "owner/two"], { ...flags, served: ["x", "y"] });
  expect(named.map(({ name }) => name)).toEqual(["x", "y"]);
  expect(() => entriesOf(["owner/one"], { ...flags, served: ["x", "y"] })).toThrow(/expected 1 names/);
  expect(() => entriesOf(["a=owner/one", "a=owner/two"], flags)).toThrow(/different names, got two of a/);
});

test.each([
  ["models: []", "models: expected one model or more, got []"],
  ["model: x", "models: expected a list of models, got nothing"],
  ["- x", 'expected a list named models, got ["x"]'],
  ["models:\n  - { model: x, dtype: fp64 }", 'models.0.dtype: expected fp32, bf16, int8, auto, got "fp64"'],
  ["models:\n  - { model: x, instances: 0 }", "models.0.instances: expected a whole number of 1 or more, got 0"],
  ["models:\n  - { model: x }\n  - { model: y, thread: 1 }", 'models.1: expected known keys alone, got ["thread"]'],
  ["models:\n  - { name: x }", "models.0.model: expected a text, got nothing"],
  [
    "models:\n  - { model: x, task: tags }",
    'models.0.task: expected embed, classify, rerank, fill-mask, tag, got "tags"',
  ],
  ["models: [", "expected YAML, got an error"],
])("a file of %j is refused with its name and the field", (text, message) => {
  const path = file(text);
  expect(() => entriesOf([path], flags)).toThrow(`${path}: ${message}`);
});

test("a masked language model embeds at once and fills masks when asked; instances are models of their own", async () => {
  const model = await writeSmallModel({ head: "maskedLM" });
  const entry = { name: "m", model, instances: 2, options: { ...options, threads: 1 } };
  const served = await loadServed([entry], new AbortController().signal);
  try {
    const [{ encoder, fillMask }] = served as [(typeof served)[0]];
    const [first, second] = encoder as Encoder[];
    expect(first).not.toBe(second);
    expect(await first!.encode("law")).toEqual(await second!.encode("law"));
    expect(fillMask).toBeInstanceOf(LaterModel);
    expect((fillMask as LaterModel<never>).loaded).toBe(undefined);
  } finally {
    await disposeServed(served);
  }
  const [only] = await loadServed([{ ...entry, instances: 1, tasks: ["fill-mask"] }], new AbortController().signal);
  expect([only!.encoder, only!.fillMask instanceof LaterModel]).toEqual([undefined, false]);
  await disposeServed([only!]);
  const broken = { ...entry, name: "n", model: join(place, "none") };
  await expect(loadServed([entry, broken], new AbortController().signal)).rejects.toThrow(/none/);
});
