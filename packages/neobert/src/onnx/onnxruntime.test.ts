// Loading ONNX Runtime leaves no trace. The compiled package runs in a process of its own, since what the library reads
// from the environment it reads once.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { writeSmallModel } from "../encoder/fixture-encoder.js";

const packageFolder = fileURLToPath(new URL("../../", import.meta.url));
const compiled = (file: string) => JSON.stringify(join(packageFolder, "dist", file));

/** What lies in an empty home folder after `script` ran there. */
function leftAtHome(script: string): string[] {
  const home = mkdtempSync(join(tmpdir(), "home-"));
  const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env;
  const env = { ...environment, HOME: home, XDG_CACHE_HOME: "", NEOBERT_CACHE: mkdtempSync(join(tmpdir(), "cache-")) };
  execFileSync(process.execPath, ["--input-type=module", "--eval", script], { env, cwd: packageFolder });
  return readdirSync(home, { recursive: true, encoding: "utf8" });
}

test("a process that loads a model and encodes leaves no telemetry in its home folder", {
  timeout: 60_000,
}, async () => {
  const model = JSON.stringify(await writeSmallModel());
  const encode = `import { Encoder } from ${compiled("index.js")};
    const encoder = await Encoder.load(${model}, { engine: "onnx" });
    if (!(await encoder.encode("the house")).some((value) => value !== 0)) throw new Error("no vector");
    await encoder.dispose();`;
  expect(leftAtHome(encode)).toEqual([]);
});
