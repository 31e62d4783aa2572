// Results that were damaged, or written by other programs: an error that names the file and the field, never a wrong score.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { MtebTask } from "./mteb-tasks.js";
import { ResultFolder } from "./result-file.js";

const root = mkdtempSync(join(tmpdir(), "neobert-results-"));
afterAll(() => rmSync(root, { recursive: true }));

let folders = 0;
const open = (out: string, settings = {}, replace = false) =>
  new ResultFolder(out, { name: "acme/small" }, { dtype: "fp32", ...settings }, replace);
const made = () => {
  const out = join(root, `${folders++}`);
  return { out, folder: open(out) };
};
const taskNamed = (name: string) => ({ name }) as MtebTask;

test.each([
  ["a list", [], "expected object, got \\[\\]"],
  ["no scores", {}, "scores: expected record, got nothing"],
  ["scores that are a number", { scores: { test: 5 } }, "scores.test: expected array, got 5"],
  ["a score that is a text", { scores: { test: [{ main_score: "0.5" }] } }, 'scores.test.0.main_score: .*got "0.5"'],
  ["a score that is missing", { scores: { test: [{}] } }, "scores.test.0.main_score: .*got nothing"],
])("a task's result with %s is named with its file and the way out", (_, content, complaint) => {
  const { folder } = made();
  writeFileSync(join(folder.path, "STS.json"), JSON.stringify(content));
  const read = () => folder.read(taskNamed("STS"));
  expect(read).toThrow(new RegExp(`no_revision_available/STS\\.json: ${complaint}\\nDelete the file`));
});

test("a damaged record of what the results were made with is refused, with replacement too", () => {
  for (const [field, value] of [
    ["tasks", null],
    ["tasks", { STS: { seconds: "1" } }],
    ["settings", { dtype: ["fp32"] }],
    ["versions", 5],
  ] as const) {
    const { out, folder } = made();
    const file = join(folder.path, "neobert.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), [field]: value }));
    const complaint = new RegExp(`neobert\\.json: ${field}.*expected .*\\nChoose another \`out\`, or delete the file`);
    for (const replace of [false, true]) expect(() => open(out, {}, replace)).toThrow(complaint);
  }
});

test("tasks and settings named as what every object has are told from it", () => {
  const { out, folder } = made();
  expect(folder.timing(taskNamed("constructor"))).toBeUndefined();
  expect(folder.timing(taskNamed("toString"))).toBeUndefined();
  expect(() => open(out, { toString: "x" })).toThrow("got toString null (now x)");
});
