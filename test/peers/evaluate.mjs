// write FOLDER: our table of tasks, and the results of all-MiniLM-L6-v2 on the sets of test/mteb-local.yaml by `neobert evaluate
// mteb` (some minutes), which must lie within the golden scores' tolerances. read FOLDER is not needed.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mtebTasks } from "neobert/evaluate";
import { instructionsOf } from "#neobert/evaluate/mteb/mteb-tasks";
import { fetchMiniLM } from "../../tools/minilm.mjs";
import { besideGolden, goldenTasks, lineOf } from "../minilm-scores.mjs";

const [, folder] = process.argv.slice(2);
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const data = at("../../../shared/data");
const table = mtebTasks.map((task) => ({ ...task, prompt: instructionsOf(task, "mteb") }));
writeFileSync(join(folder, "table.json"), JSON.stringify(table));

const model = existsSync(data) ? await fetchMiniLM() : undefined;
assert.ok(model, "all-MiniLM-L6-v2 and ../shared/data are needed");
const args = ["evaluate", "mteb", model, "--data", at("../mteb-local.yaml"), "--data-root", data];
const { status } = spawnSync(
  process.execPath,
  [at("../../packages/neobert/bin/neobert.js"), ...args, "--out", folder],
  {
    stdio: "inherit",
  },
);
assert.equal(status, 0);
const compared = goldenTasks.map((name) => {
  const file = join(folder, "all-MiniLM-L6-v2", "no_revision_available", `${name.replaceAll(" ", "_")}.json`);
  return besideGolden(name, JSON.parse(readFileSync(file, "utf8")));
});
for (const one of compared) console.log(lineOf(one));
assert.deepEqual(
  compared.filter(({ isClose }) => !isClose).map(({ name }) => name),
  [],
);
