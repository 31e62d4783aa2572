// The commands `evaluate pppl` and `report` on a small model, in this process.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { loadTokenizer } from "../tokenizer/index.js";
import { buildProgram } from "./program.js";

async function run(...args: string[]): Promise<string> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    await (await buildProgram(args)).parseAsync(args, { from: "user" });
    return log.mock.calls.join("\n");
  } finally {
    vi.restoreAllMocks();
  }
}

test("evaluate pppl scores each text of the files, keeps the scores, and report shows them", async () => {
  const work = mkdtempSync(join(tmpdir(), "neobert-pppl-"));
  const model = await writeSmallModel({ head: "maskedLM" });
  const texts = [4, 30, 12].map((length, seed) => wordsText(length, seed));
  writeFileSync(join(work, "a.jsonl"), texts.map((body) => JSON.stringify({ body })).join("\n"));
  const args = ["evaluate", "pppl", model, join(work, "a.jsonl"), "--column", "body", "--out", join(work, "pppl")];
  try {
    const printed = await run(...args, "--lengths", "16,64");
    const report = JSON.parse(readFileSync(join(work, "pppl/pppl.json"), "utf8"));
    expect(report.texts.map(({ masks }: { masks: number }) => masks)).toEqual(
      texts.map((text) => loadTokenizer(model).encodeIds(text).length),
    );
    expect(report.points.map(({ length, texts }: Record<string, number>) => [length, texts])).toEqual([
      [16, 1],
      [64, 2],
    ]);
    expect(printed).toContain(report.points[0].median.toFixed(2));
    expect(existsSync(join(work, "pppl/pppl.svg"))).toBe(true);
    const scored = readFileSync(join(work, "pppl/texts.jsonl"), "utf8");
    await run(...args, "--max-length", "64");
    expect(readFileSync(join(work, "pppl/texts.jsonl"), "utf8")).toBe(scored);
    await run(...args.with(-1, join(work, "other")), "--beside", join(work, "pppl"));
    const name = JSON.stringify(report.model).slice(1, -1);
    expect(readFileSync(join(work, "other/pppl.svg"), "utf8").split(`${name}: median`)).toHaveLength(3);
    await expect(run(...args, "--beside", work)).rejects.toThrow(/pppl\.json: expected a file, got none/);
    await expect(run(...args, "--sample", "2")).rejects.toThrow(/expected scores with the settings.*\n.*`force`/);
    const tokenizer = readFileSync(join(model, "tokenizer.json"), "utf8");
    const grown = JSON.parse(tokenizer);
    grown.model.vocab.zebra = 5000;
    writeFileSync(join(model, "tokenizer.json"), JSON.stringify(grown));
    writeFileSync(join(work, "b.txt"), "a\nthe zebra\n");
    const beyond = run(
      "evaluate",
      "pppl",
      model,
      join(work, "b.txt"),
      "--split",
      "line",
      "--out",
      join(work, "beyond"),
    );
    await expect(beyond).rejects.toThrow(
      `${join(work, "b.txt")}:2 ("the zebra"): expected tokens with ids below the model's vocab_size 90, got zebra, id 5000\n`,
    );
    writeFileSync(join(model, "tokenizer.json"), tokenizer);
    await expect(run(...args, "--max-length", "65")).rejects.toThrow(/at most the model's 64 positions, got 65/);
    await run("report", join(work, "pppl"), "--out", join(work, "page.html"), "--title", "Words");
    expect(readFileSync(join(work, "page.html"), "utf8")).toContain("<h1>Words</h1>");
  } finally {
    for (const folder of [work, model]) rmSync(folder, { recursive: true });
  }
});
