// `neobert tokenizer train` as a user runs it: a text file in,
// a folder out that loads.

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

test("tokenizer train --kind bpe writes RoBERTa's files, and refuses flags of the other kind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tokenizer-cli-"));
  const file = join(folder, "text.txt");
  writeFileSync(file, "The lower the newer, the Lowest the newest.\n".repeat(3));
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const out = join(folder, "out");
  const flags = ["train", file, "--kind", "bpe", "--vocab-size", "270", "--out", out];
  await tokenizerCommand().parseAsync([...flags, "--max-token-length", "3"], { from: "user" });
  expect(readdirSync(out).sort()).toEqual([
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
  ]);
  const tokenizer = loadTokenizer(out);
  expect(tokenizer.vocabSize).toBe(270);
  expect(tokenizer.decode(tokenizer.encode("Any text: 北京").ids)).toBe("Any text: 北京");
  expect(JSON.parse(readFileSync(join(out, "special_tokens_map.json"), "utf8")).mask_token).toEqual({
    content: "<mask>",
    lstrip: true,
    normalized: false,
    rstrip: false,
    single_word: false,
  });
  await expect(tokenizerCommand().parseAsync([...flags, "--cased"], { from: "user" })).rejects.toThrow(
    /--cased: expected with another --kind, got --kind bpe\nLeave it out/,
  );
  log.mockRestore();
});

test("tokenizer train says when it got fewer tokens than asked, and refuses text without a word", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tokenizer-cli-"));
  const [file, blank] = [join(folder, "text.txt"), join(folder, "blank.txt")];
  writeFileSync(file, "low lower\n".repeat(3));
  writeFileSync(blank, " \n\n");
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const note = vi.spyOn(console, "error").mockImplementation(() => {});
  const train = (path: string, out: string) =>
    tokenizerCommand().parseAsync(["train", path, "--vocab-size", "500", "--out", join(folder, out)], { from: "user" });
  await train(file, "out");
  const { vocabSize } = loadTokenizer(join(folder, "out"));
  expect(note).toHaveBeenLastCalledWith(expect.stringContaining(`note: ${vocabSize} tokens, not the 500`));
  await expect(train(blank, "none")).rejects.toThrow(`expected text in ${blank}, got none but white space`);
  expect(readdirSync(folder)).not.toContain("none");
  log.mockRestore();
  note.mockRestore();
});
