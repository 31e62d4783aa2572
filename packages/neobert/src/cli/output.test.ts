// The program and the ends of its pipes: run as a user runs it.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSmallModel } from "../encoder/fixture-encoder.js";

const root = mkdtempSync(join(tmpdir(), "neobert-output-"));
const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));
let model: string;
beforeAll(async () => {
  model = await writeSmallModel();
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs a line of bash in which NEOBERT is the program and MODEL a small model. */
function bash(line: string) {
  const command = `NEOBERT() { node ${program} "$@"; }; MODEL=${model}; cd ${root}; ${line}`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", command], { encoding: "utf8", timeout: 60_000 });
  return { stdout, stderr, status };
}

test("a reader that goes away ends the program quietly", () => {
  const { stdout, stderr } = bash(
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
    "yes 'a b c' | head -5000 | NEOBERT embed $MODEL - 2>error | head -1; echo status ${PIPESTATUS[2]}; cat error >&2",
  );
  expect(stdout.split("\n").slice(1)).toEqual(["status 141", ""]);
  expect(stderr).not.toMatch(/Error|EPIPE| at /);
});

test.skipIf(!existsSync("/dev/full"))("output that finds no room is one line and status 1", () => {
  const lines = ["info $MODEL", "--version", "--help", "embed --help"].map((args) => `NEOBERT ${args}`);
  for (const line of [...lines, "echo a | NEOBERT embed $MODEL -"]) {
    const { stderr, status } = bash(`${line} > /dev/full`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/standard output: expected room for the results, got ENOSPC.*\n$/);
    expect(stderr).not.toContain(" at ");
  }
});

test("texts of a pipe are read once, and all of them", () => {
  const { stdout, status } = bash("NEOBERT embed $MODEL <(printf 'a\\nb\\n')");
  expect(status).toBe(0);
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).text),
  ).toEqual(["a", "b"]);
});

test("a table on standard input is noticed, plain text is not taken for one, and the vectors are counted", () => {
  const embed = (lines: string) => bash(`printf '${lines}' | NEOBERT embed $MODEL -`).stderr;
  expect(embed("id,text\\n1,a man\\n")).toMatch(/note: standard input looks like csv.*--format csv/);
  expect(embed("id\\ttext\\n1\\ta man\\n")).toMatch(/looks like tsv/);
  expect(embed('{"text": "a"}\\n{"text": "b"}\\n')).toMatch(/looks like jsonl/);
  const plain = embed("yes,no\\nso it is\\n");
  expect(plain).toMatch(/\n2 vectors: standard output\n$/);
  expect(plain).not.toContain("looks like");
});

test("models whose files are Git LFS pointers are refused with the way out", () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:5a5a\nsize 90868376\n";
  for (const name of ["model.safetensors", "tokenizer.json", "config.json"]) {
    const folder = mkdtempSync(join(root, "pointer-"));
    for (const file of readdirSync(model)) if (file !== name) symlinkSync(join(model, file), join(folder, file));
    writeFileSync(join(folder, name), pointer);
    const { stderr, status } = bash(`echo a | NEOBERT embed ${folder} -`);
    expect(status).toBe(2);
    expect(stderr).toBe(
      `${join(folder, name)}: expected the file itself, got a Git LFS pointer, which only names it\nFetch it in its folder: git lfs pull\n`,
    );
  }
});
