// `neobert tokenizer train` as a user runs it: a text file in,
// a folder out that loads.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { loadTokenizer } from "../tokenizer/index.js";
import { tokenizerCommand } from "./tokenizer.js";

test("tokenizer train writes a folder that loads, with the case and size asked for", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tokenizer-cli-"));
  const file = join(folder, "text.txt");
  writeFileSync(file, "The lower the newer, the Lowest the newest.\n".repeat(3));
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const out = join(folder, "out");
  await tokenizerCommand().parseAsync(["train", file, "--vocab-size", "36", "--out", out, "--cased"], { from: "user" });
  const tokenizer = loadTokenizer(out);
  expect(tokenizer.vocabSize).toBe(36);
  expect(tokenizer.tokenToId("T")).toBeDefined();
  expect(log).toHaveBeenCalledWith(expect.stringContaining(`Wrote a vocabulary of 36 tokens to ${out}`));
  log.mockRestore();
});
