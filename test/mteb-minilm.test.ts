// The real all-MiniLM-L6-v2 on real MTEB sets, through the command line, beside the scores that Python's mteb gave. Two small
// sets here; all of them: `npm run test:peers -- evaluate`. Skipped where the weights or the data are absent.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { besideGolden } from "./minilm-scores.mjs";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const data = at("../../shared/data");
const model = existsSync(data) ? await fetchMiniLM() : undefined;
const program = at("../packages/neobert/bin/neobert.js");

test.skipIf(!model)("STSBenchmark and BIOSSES score as in Python's mteb", { timeout: 180_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), "mteb-minilm-"));
  try {
    const tasks = ["STSBenchmark", "BIOSSES"];
    const args = ["evaluate", "mteb", model!, "--data", at("mteb-local.yaml"), "--data-root", data, "--out", out];
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...args, "--tasks", ...tasks]);
    expect(stdout).toMatch(/^STS +81\.6\d \(2 of 10\)$/m);
    for (const name of tasks) {
      const file = join(out, "all-MiniLM-L6-v2/no_revision_available", `${name}.json`);
      expect(besideGolden(name, JSON.parse(readFileSync(file, "utf8")))).toMatchObject({ name, isClose: true });
    }
  } finally {
    rmSync(out, { recursive: true });
  }
});
