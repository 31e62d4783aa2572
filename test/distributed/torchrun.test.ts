// A run started by PyTorch's own launcher, whose agent serves the store: `torchrun --no-python neobert ...`. Skipped where there is no
// torchrun (TORCHRUN names one); nothing is installed.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finishedModelOf, latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { smallRun, writePreparedFolder } from "../../packages/neobert/src/train/fixture-train.js";
import { formatRunConfig } from "../../packages/neobert/src/train/run-file/run-file.js";

const program = fileURLToPath(new URL("../../packages/neobert/bin/neobert.js", import.meta.url));
const torchrun = process.env.TORCHRUN ?? "torchrun";
const isThere = spawnSync(torchrun, ["--help"]).status === 0;

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

function writeRun(name: string, ...overrides: string[]) {
  const config = smallRun(root, name, ...overrides);
  const file = join(root, `${name}.yaml`);
  writeFileSync(file, formatRunConfig(config));
  return { file, out: config.out };
}

function start(command: string, args: string[]) {
  const child = spawn(command, args);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return { child, ended: once(child, "close").then(([status]) => ({ status, output })) };
}

const underTorchrun = (file: string, ...flags: string[]) =>
  start(torchrun, [...flags, "--no-python", "--nproc-per-node", "2", process.execPath, program, "pretrain", file]);

const weightsOf = (out: string) => readFileSync(join(finishedModelOf(out), "model.safetensors"));

test.skipIf(!isThere)("two ranks of torchrun's make the bytes that two ranks of `neobert launch` make", async () => {
  const [theirs, ours] = [writeRun("theirs"), writeRun("ours")];
  const { status, output } = await underTorchrun(theirs.file, "--standalone").ended;
  expect(status, output).toBe(0);
  expect(output).toContain("torchrun: rank 0 of 2");
  const launched = await start(process.execPath, [program, "launch", "--processes", "2", "--", "pretrain", ours.file])
    .ended;
  expect(launched.status, launched.output).toBe(0);
  expect(weightsOf(theirs.out).equals(weightsOf(ours.out))).toBe(true);
});

test.skipIf(!isThere)(
  "a rank that is killed under torchrun is started anew with the others, and the run resumes by itself",
  async () => {
    const run = writeRun("killed", "steps=400", "evaluate.everySteps=1000");
    const { child, ended } = underTorchrun(run.file, "--standalone", "--max-restarts", "1");
    await expect.poll(() => latestCheckpoint(run.out), { timeout: 120_000 }).toBeDefined();
    const ranks = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number);
    const victim = ranks.find((pid) => /RANK=1\0/.test(readFileSync(`/proc/${pid}/environ`, "utf8")));
    process.kill(victim!, "SIGKILL");
    const { status, output } = await ended;
    expect(status, output).toBe(0);
    expect(output).toMatch(/resumed after step \d+/);
    expect(output).toContain("finished 400 steps");
  },
);
