import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { trimCache, withCached } from "../files/model-cache.js";
import { cacheEntries } from "../files/user-cache.js";
import { cacheText } from "./cache.js";
import { buildProgram } from "./program.js";

const DAY_MS = 86_400_000;
let cache: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "cache-"));
  vi.stubEnv("NEOBERT_CACHE", cache);
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(cache, { recursive: true });
});

/** A graph of 1,000 bytes, used so many days ago. */
function graph(name: string, days: number): string {
  const folder = join(cache, "onnx", name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "model.onnx"), new Uint8Array(1000));
  const used = new Date(Date.now() - days * DAY_MS);
  utimesSync(folder, used, used);
  return folder;
}

test("graphs beyond the limit go, those that were not used for longest first, and none of this hour", () => {
  const [old, older, now] = [graph("a", 2), graph("b", 3), graph("c", 0)];
  trimCache(2500);
  expect([old, older, now].map((folder) => existsSync(folder))).toEqual([true, false, true]);
  trimCache(0);
  expect([old, now].map((folder) => existsSync(folder))).toEqual([false, true]);
});

test("a graph that is used counts as new, and a new graph pushes out what the limit does not hold", async () => {
  const [used, unused] = [graph("a", 3), graph("b", 2)];
  await withCached(used, async () => {}, async () => {}); // biome-ignore format: a line
  vi.stubEnv("NEOBERT_CACHE_GIB", String(2100 / 2 ** 30));
  const write = async (folder: string) => writeFileSync(join(folder, "model.onnx"), new Uint8Array(1000));
  const made = join(cache, "onnx", "c");
  await withCached(made, write, async () => {});
  expect([used, unused, made].map((folder) => existsSync(folder))).toEqual([true, false, true]);
});

test("the cache is listed by kind, and clear removes what is made again but not libtorch", async () => {
  const print = vi.spyOn(console, "log").mockImplementation(() => {});
  const [old, recent] = [graph("a", 40), graph("b", 1)];
  mkdirSync(join(cache, "libtorch-2.9.1"));
  writeFileSync(join(cache, "libtorch-2.9.1", "libtorch.so"), new Uint8Array(5_000_000));
  expect(cacheText(cacheEntries())).toMatch(/graphs +2 +0\.0 MB[\s\S]*libtorch +1 +5\.0 MB/);
  const run = async (...args: string[]) => (await buildProgram(args)).parseAsync(args, { from: "user" });
  await run("cache", "clear", "--older-than", "30");
  expect([old, recent].map((folder) => existsSync(folder))).toEqual([false, true]);
  mkdirSync(join(cache, "int8", "d"), { recursive: true });
  expect(cacheEntries().map(({ kind }) => kind)).toContain("int8");
  await run("cache", "clear");
  expect(cacheEntries().map(({ kind }) => kind)).toEqual(["libtorch"]);
  await run("cache", "clear", "libtorch");
  expect(cacheEntries()).toEqual([]);
  expect(print).toHaveBeenLastCalledWith("removed 1 entries of libtorch, 5.0 MB");
  await expect(run("cache", "clear", "models")).rejects.toThrow(
    "expected kinds of graphs, int8, hashes, libtorch, other",
  );
});
