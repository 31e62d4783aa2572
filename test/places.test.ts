// The package works wherever it lies, also where a folder above it has the name of one of its own.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { writeSmallModel } from "../packages/neobert/src/encoder/fixture-encoder.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const place = mkdtempSync(join(tmpdir(), "neobert-place-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

test("an encoder's worker and a preparation's workers start below folders named src/engine, src/data and src/train", async () => {
  const folder = join(place, "src/engine/src/data/src/train/neobert");
  mkdirSync(folder, { recursive: true });
  for (const part of ["dist", "package.json"]) {
    cpSync(join(ROOT, "packages/neobert", part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(place, "node_modules"));
  const model = await writeSmallModel();
  const program = `
    const { Encoder } = await import(process.argv[1]);
    const encoder = await Encoder.load(process.argv[2]);
    const { shape } = await encoder.encode(["the house", "a free people"]);
    await encoder.dispose();
    const { prepareData } = await import(process.argv[3]);
    const { writeFileSync } = await import("node:fs");
    writeFileSync(process.argv[4] + "/a.txt", "the house of a united people\\n".repeat(20));
    await prepareData({ sources: process.argv[4] + "/a.txt", tokenizer: process.argv[2], out: process.argv[4] + "/shards" });
    console.log(JSON.stringify(shape));
  `;
  const entries = ["dist/index.js", "dist/data/prepare/prepare.js"].map(
    (path) => pathToFileURL(join(folder, path)).href,
  );
  const args = ["--input-type=module", "-e", program, entries[0]!, model, entries[1]!, place];
  expect(execFileSync(process.execPath, args, { encoding: "utf8" }).trim()).toBe("[2,32]");
});
