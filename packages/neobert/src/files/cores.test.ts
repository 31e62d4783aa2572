// Limits of control groups, of both versions, from files as the kernel writes them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { availableCores, cgroupCores } from "./cores.js";

const place = mkdtempSync(join(tmpdir(), "neobert-cores-"));
afterAll(() => rmSync(place, { recursive: true }));

let count = 0;
function coresOf(membership: string, files: Record<string, string>): number {
  const root = join(place, `${count++}`);
  for (const [path, text] of Object.entries({ ...files, membership })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return cgroupCores(root, join(root, "membership"));
}

test("the quota of version 2 counts, that of a group around it too, and max is none", () => {
  expect(coresOf("0::/\n", { "cpu.max": "150000 100000\n" })).toBe(1.5);
  expect(coresOf("0::/\n", { "cpu.max": "max 100000\n" })).toBe(Number.POSITIVE_INFINITY);
  expect(coresOf("0::/a/b\n", { "a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n" })).toBe(2);
  expect(coresOf("0::/../outside\n", { "cpu.max": "50000 100000\n" })).toBe(0.5);
});

test("so do those of version 1, where -1 is none and the container sees its group as the root", () => {
  const quota = (us: number) => ({ "cpu/cpu.cfs_quota_us": `${us}\n`, "cpu/cpu.cfs_period_us": "100000\n" });
  expect(coresOf("4:cpu,cpuacct:/docker/x\n3:memory:/y\n", quota(300_000))).toBe(3);
  expect(coresOf("4:cpu,cpuacct:/docker/x\n", quota(-1))).toBe(Number.POSITIVE_INFINITY);
});

test("without control groups, or with files that say something else, there is no limit", () => {
  expect(coresOf("", {})).toBe(Number.POSITIVE_INFINITY);
  expect(coresOf("0::/\n", { "cpu.max": "what\n" })).toBe(Number.POSITIVE_INFINITY);
  const cores = availableCores();
  expect(Number.isInteger(cores) && cores >= 1 && cores <= availableParallelism()).toBe(true);
});
