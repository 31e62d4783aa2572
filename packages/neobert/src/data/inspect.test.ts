import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { dataCommand, progressLine } from "../cli/data.js";
import { countingDocuments, writeFixtureShards } from "./fixture-data.js";
import { inspectData } from "./inspect.js";

const root = mkdtempSync(join(tmpdir(), "neobert-inspect-"));
afterAll(() => rmSync(root, { recursive: true }));

test("lengths, histogram, pieces and packing are those counted by hand", () => {
  const folder = writeFixtureShards(countingDocuments([1, 2, 3, 5, 6, 14]));
  const report = inspectData(folder, { maxLength: 8, microBatchTokens: 8, examples: 0 });
  rmSync(folder, { recursive: true });
  expect(report.lengths).toMatchObject({ min: 1, max: 14, mean: 31 / 6 });
  expect(report.lengths.percentiles.find(({ percent }) => percent === 50)!.length).toBe(5);
  expect(report.histogram).toEqual([
    { from: 1, to: 2, documents: 1, tokens: 1 },
    { from: 2, to: 4, documents: 2, tokens: 5 },
    { from: 4, to: 8, documents: 2, tokens: 11 },
    { from: 8, to: 16, documents: 1, tokens: 14 },
  ]);
  expect(report.pieces).toBe(8); // 14 = 6 + 6 + 2
  expect(report.packing.padded).toBeCloseTo((31 + 2 * 8) / (8 * 8));
});

test("`data prepare` and `data inspect` turn text into shards and show lengths and decoded examples", async () => {
  const [tokenizer, out] = [join(root, "tokenizer"), join(root, "out")];
  mkdirSync(tokenizer);
  writeFileSync(join(tokenizer, "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nriver\nrises\n");
  const input = join(root, "input.txt");
  writeFileSync(input, "The river rises\nThe river\nriver river river river\n");
  const printed: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void printed.push(line));
  const run = (...args: string[]) => dataCommand().parseAsync(args, { from: "user" });
  const prepare = ["prepare", input, "--tokenizer", tokenizer, "--out", out, "--split", "line", "--workers", "1"];
  await run(...prepare);
  expect(printed.pop()).toBe(`prepared:\n  ${join(out, "train")}: 3 documents, 9 tokens`);
  await run(...prepare);
  expect(printed.pop()).toMatch(/^nothing to do/);
  await run("inspect", out, "--max-length", "16");
  const text = printed.pop()!;
  expect(text).toContain("3 documents, 9 tokens in 1 shard of uint16");
  expect(text).toContain("the river rises");
  expect(text).toContain("packed into 16,384 tokens");
  log.mockRestore();
});

test("the progress line gives tokens/s and MB/s of this run", () => {
  const progress = { filesDone: 3, files: 1200, documents: 12_345, tokens: 5_200_000, textBytes: 21e6, seconds: 4 };
  expect(progressLine({ phase: "tokenizing", ...progress })).toBe(
    "tokenizing 3/1,200 files, 12,345 documents, 5.2M tokens, 1.3M tokens/s, 5.3 MB/s",
  );
  expect(progressLine({ phase: "hashing", ...progress })).toBe("hashing 3/1,200 files");
});
