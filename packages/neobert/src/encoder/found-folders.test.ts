// Model folders as people have them (test/golden/cases), on both engines. Oracles: the float64 forward passes beside them.

import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportOnnx } from "../export/index.js";
import { goldenRoot } from "../model/golden.js";
import { Encoder } from "./encoder.js";
import { writeJson } from "./fixture-encoder.js";

const root = join(goldenRoot, "cases");
const readJson = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), "utf8"));
const engines = ["onnx", "torch"] as const;

const copies: string[] = [];
/** A copy of a folder whose config.json has other fields; `undefined` takes one away. */
function withConfig(folder: string, fields: Record<string, unknown>): string {
  const copy = mkdtempSync(join(tmpdir(), "neobert-found-"));
  copies.push(copy);
  cpSync(join(root, folder), copy, { recursive: true });
  writeJson(copy, "config.json", { ...readJson(folder, "config.json"), ...fields });
  return copy;
}
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true });
});

function expectClose(got: Iterable<number>, expected: number[], tolerance = 1e-5): void {
  const values = [...got];
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(tolerance);
}

describe.each(engines)("with engine %s", (engine) => {
  test("rotary angles grow with a text's own length beyond that of training, in any company", async () => {
    const expected = readJson("nomic-scaling", "expected.json");
    const [long, short] = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n") as [string, string];
    await using encoder = await Encoder.load(join(root, "nomic-scaling/model"), { engine });
    expect(encoder.maxTokens).toBe(128);
    const [first, second] = await encoder.encode([long, short]);
    expectClose(first!, expected.line1_42_tokens);
    expectClose(second!, expected.line2_12_tokens);
    expectClose(await encoder.encode(long), expected.line1_42_tokens);
    expectClose(await encoder.encode(long, { maxTokens: 16 }), expected.line1_if_cut_to_16);
  });

  test("texts beyond the length of training are whole where no scaling is configured", async () => {
    const [long] = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n") as [string];
    const folder = withConfig("nomic-scaling/model", { rotary_scaling_factor: null });
    await using encoder = await Encoder.load(folder, { engine });
    expect([encoder.maxTokens, encoder.countTokens(long)]).toEqual([128, 42]);
    const { data, tokenCounts } = await encoder.encode([long]);
    expect([...tokenCounts]).toEqual([42]);
    // A factor of nearly 0 lets theta grow by nothing.
    await using still = await Encoder.load(withConfig("nomic-scaling/model", { rotary_scaling_factor: 1e-12 }), {
      engine,
    });
    expectClose(await still.encode(long), [...data]);
  });
});

test("an exported graph scales rotary angles by each text's length, padding not counted", async () => {
  const out = join(mkdtempSync(join(tmpdir(), "neobert-found-")), "out");
  copies.push(dirname(out));
  await exportOnnx(join(root, "nomic-scaling/model"), out);
  const expected = readJson("nomic-scaling", "expected.json");
  const texts = readFileSync(join(root, "nomic-scaling/text.txt"), "utf8").split("\n").slice(0, 2);
  await using encoder = await Encoder.load(out, { onnxFile: "onnx/model.onnx" });
  const [long, short] = await encoder.encode(texts);
  expectClose(long!, expected.line1_42_tokens);
  expectClose(short!, expected.line2_12_tokens);
});
