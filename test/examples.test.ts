// The examples run, offline and as their first lines say, and print what a person can judge: with the real all-MiniLM-L6-v2
// where it can be had, and small models for the heads that it has not.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { writeSmallModel } from "../packages/neobert/src/encoder/fixture-encoder.js";
import { fetchMiniLM } from "../tools/minilm.mjs";

const folder = fileURLToPath(new URL("../examples", import.meta.url));
const miniLM = await fetchMiniLM();

async function run(name: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  return (await promisify(execFile)(process.execPath, [join(folder, name), ...args], { env })).stdout;
}

test("each has at most 60 lines", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.(mjs|js)$/.test(name));
  const long = files.filter((name) => readFileSync(join(folder, name), "utf8").trimEnd().split("\n").length > 60);
  expect(files.length).toBeGreaterThan(4);
  expect(long).toEqual([]);
});

describe.skipIf(!miniLM)("with real weights", () => {
  test("semantic search finds the passage that answers", async () => {
    const output = await run("semantic-search.mjs", miniLM!, "I deleted a branch by mistake");
    expect(output).toMatch(/^I deleted a branch by mistake\n {2}0\.\d{3} {2}Git keeps every commit/);
  });

  test("classification gets its texts right", async () => {
    expect(await run("classification.mjs", miniLM!)).toMatch(/\n8 of 8 right, from 12 examples\n$/);
  });

  test("reranking shows the candidates before and after", async () => {
    const ranker = await writeSmallModel({ head: "sequenceClassification", config: { num_labels: 1 } });
    const lines = (await run("reranking.mjs", ranker, miniLM!)).trimEnd().split("\n");
    expect(lines[0]).toBe("How many moons does Mars have?");
    expect(new Set(lines.slice(2, 7).map((line) => line.slice(9)))).toEqual(
      new Set(lines.slice(8).map((line) => line.slice(9))),
    );
    rmSync(ranker, { recursive: true });
  });
});

test("fill-mask gives four tokens for each mask", async () => {
  const masked = await writeSmallModel({ head: "maskedLM" });
  const output = await run("fill-mask.mjs", masked, "the [MASK] of [MASK]");
  expect(output.match(/ %/g)).toHaveLength(8);
  rmSync(masked, { recursive: true });
});
