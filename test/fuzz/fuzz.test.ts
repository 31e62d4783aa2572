// The properties of `npm run fuzz` for a moment and from one seed: whatever mutant of a valid file a reader is given, it
// takes it or refuses it in our own words, soon and in bounded memory.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("every reader takes or refuses mutants of its files as its own errors say", { timeout: 400_000 }, async () => {
  const run = fileURLToPath(new URL("run.mjs", import.meta.url));
  const given = ["--runs", "200", "--seed", "1"];
  const env = { ...process.env, NODE_NO_WARNINGS: "1" }; // what is left out of a checkpoint is a warning
  const fuzz = promisify(execFile)(process.execPath, [run, ...given], { env });
  const { stdout, stderr } = await fuzz.catch((error) => error);
  expect(stderr).toBe("");
  expect(stdout.match(/ inputs /g)?.length).toBeGreaterThan(25);
});
