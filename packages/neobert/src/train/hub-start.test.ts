// Runs that start from a model of the Hub, by its name: run.yaml means the same on another machine, with a cache elsewhere,
// and when the repository has moved on. The cache is written by hand, and nothing is asked for.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { smallRun, writePreparedFolder } from "./fixture-train.js";
import { loadRunConfig } from "./pretrain/pretrain-config.js";
import { runPretraining } from "./pretrain/pretrain-task.js";
import { pretrain } from "./worker/train-runs.js";

const [first, second] = ["1".repeat(40), "2".repeat(40)];
let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
  const { model } = await runPretraining(smallRun(root, "start", "steps=1"));
  for (const commit of [first, second]) addSnapshot(join(root, "hub"), model!, commit);
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

function addSnapshot(cache: string, model: string, commit: string): void {
  const repository = join(cache, "models--acme--small");
  cpSync(model, join(repository, "snapshots", commit), { recursive: true });
  mkdirSync(join(repository, "refs"), { recursive: true });
  writeFileSync(join(repository, "refs/main"), commit);
}

function useCache(cache: string, main: string): void {
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  writeFileSync(join(cache, "models--acme--small/refs/main"), main);
}

const stopAfterOne = () => {
  const controller = new AbortController();
  return { signal: controller.signal, onStep: () => controller.abort() };
};

test("run.yaml names model and commit, and a resume goes on after the cache has moved and the Hub has a newer commit", async () => {
  const cache = join(root, "hub");
  useCache(cache, first);
  const config = smallRun(root, "from-hub", "steps=200", "model={ from: acme/small }", "schedule={ name: constant }");
  const begun = await pretrain(config, stopAfterOne());
  expect(begun.finished).toBe(false);
  const file = join(config.out, "run.yaml");
  expect(parse(readFileSync(file, "utf8")).model.from).toBe(`acme/small@${first}`);
  expect(readFileSync(join(begun.checkpoint!, "README.md"), "utf8")).toContain(`continued from acme/small@${first}`);

  const moved = mkdtempSync(join(tmpdir(), "neobert-hub-"));
  renameSync(cache, join(moved, "hub"));
  useCache(join(moved, "hub"), second);
  const steps = begun.step + 2;
  const asBegun = await pretrain({ ...config, steps }, { resume: true });
  expect(asBegun).toMatchObject({ step: steps, finished: true });
  const byRunFile = loadRunConfig(file, [`steps=${steps + 1}`]);
  expect(await pretrain(byRunFile, { resume: true })).toMatchObject({ step: steps + 1, finished: true });
  // The run file alone begins the same run anew, from the commit that it names.
  const anew = await pretrain(loadRunConfig(file, ["steps=1", `out=${root}/anew`]));
  expect(parse(readFileSync(join(root, "anew/run.yaml"), "utf8")).model.from).toBe(`acme/small@${first}`);
  expect(anew.finished).toBe(true);
  renameSync(join(moved, "hub"), cache);
  rmSync(moved, { recursive: true });
});

test("another commit than the run's own, asked for by name, is refused", async () => {
  useCache(join(root, "hub"), first);
  const config = smallRun(root, "other-commit", "steps=200", "model={ from: acme/small }");
  await pretrain(config, stopAfterOne());
  const other = { ...config, model: { from: `acme/small@${second}` } };
  await expect(pretrain(other, { resume: true })).rejects.toThrow(
    `model.from: was acme/small@${first}, is acme/small@${second}`,
  );
});
