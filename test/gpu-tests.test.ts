// The tests of GPUs, `npm run test:gpu`, where there is none: they are skipped in one sentence, and pass on the CPU when that is
// named, so that they are known to run.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";

const run = (...args: string[]) => spawnSync(process.execPath, ["test/gpu/run.mjs", ...args], { encoding: "utf8" });

test.skipIf(existsSync("/proc/driver/nvidia/version"))("without a GPU they are skipped with the reason", () => {
  const { status, stdout } = run();
  expect(stdout).toMatch(/^test:gpu: skipped, as no GPU can be used here\ndevice: expected an NVIDIA driver/);
  expect(status).toBe(0);
});

test("they pass on the CPU", { timeout: 600_000 }, () => {
  const { status, stdout } = run("--device=cpu");
  expect(stdout).toMatch(/^ℹ fail 0$/m);
  expect(Number(/^ℹ pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(60);
  expect(status).toBe(0);
});
