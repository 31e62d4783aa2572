// Runs that others have started: torchrun itself (`torchrun --no-python neobert ...`, whose agent serves the store), and the variables
// of srun, mpirun and Kubernetes. Oracle: the bytes that two ranks of `neobert launch` make. torchrun is that of TORCHRUN, of
// `npm run test:peers`, or of the PATH; its tests are skipped where there is none, and nothing is installed.

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finishedModelOf, latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";
import { childrenOf, findRank, neobert, program, start } from "./fixture.js";

const ofPeers = fileURLToPath(new URL("../../.cache/peers/transformers-4/bin/torchrun", import.meta.url));
const torchrun = [process.env.TORCHRUN ?? "torchrun", ofPeers].find((path) => spawnSync(path, ["--help"]).status === 0);

const weightsOf = (out: string) => readFileSync(join(finishedModelOf(out), "model.safetensors"));

let root: string;
let ofLaunch: Buffer;
beforeAll(async () => {
  root = await writePreparedFolder();
  const { file, out } = writeSmallRun(root, "launched");
  const launched = neobert(["launch", "--processes", "2", "--", "pretrain", file]);
  expect(await launched.ended, launched.output()).toBe(0);
  ofLaunch = weightsOf(out);
}, 60_000);
afterAll(() => rmSync(root, { recursive: true }));

const underTorchrun = (file: string, ...flags: string[]) =>
  start(torchrun!, [...flags, "--no-python", "--nproc-per-node", "2", process.execPath, program, "pretrain", file]);

test.skipIf(!torchrun)("two ranks of torchrun's make the bytes of `neobert launch`", async () => {
  const { file, out } = writeSmallRun(root, "torchrun");
  const { ended, output } = underTorchrun(file, "--standalone");
  expect(await ended, output()).toBe(0);
  expect(output()).toContain("torchrun: rank 0 of 2");
  expect(weightsOf(out).equals(ofLaunch)).toBe(true);
});

test.skipIf(!torchrun)("ranks that torchrun starts anew after one was killed resume by themselves", async () => {
  const { file, out } = writeSmallRun(root, "killed", "steps=400", "evaluate.everySteps=1000");
  const { child, ended, output } = underTorchrun(file, "--standalone", "--max-restarts", "1");
  await expect.poll(() => latestCheckpoint(out), { timeout: 120_000 }).toBeDefined();
  process.kill(findRank(childrenOf(child.pid!), 1), "SIGKILL");
  expect(await ended, output()).toBe(0);
  expect(output()).toMatch(/resumed after step \d+/);
  expect(output()).toContain("finished 400 steps");
});

const port = 20_000 + Math.floor(Math.random() * 9_000);
const master = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}` };
test.each<{ source: string; env: Record<string, string>; ofRank: (rank: number) => Record<string, string> }>([
  {
    source: "slurm",
    // The port comes from the job's number.
    env: { SLURM_NTASKS: "2", SLURM_NODEID: "0", SLURM_JOB_ID: `777${port % 10_000}`, SLURM_JOB_NODELIST: "localhost" },
    ofRank: (rank: number) => ({ SLURM_PROCID: `${rank}`, SLURM_LOCALID: `${rank}` }),
  },
  {
    source: "openmpi",
    env: { OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_LOCAL_SIZE: "2", MASTER_PORT: `${port}` },
    ofRank: (rank: number) => ({ OMPI_COMM_WORLD_RANK: `${rank}`, OMPI_COMM_WORLD_LOCAL_RANK: `${rank}` }),
  },
  {
    source: "kubernetes",
    env: { WORLD_SIZE: "2", ...master },
    ofRank: (rank: number) => ({ JOB_COMPLETION_INDEX: `${rank}` }),
  },
])(
  "two processes with the variables of $source make the bytes of `neobert launch`",
  async ({ source, env, ofRank }) => {
    const { file, out } = writeSmallRun(root, source);
    const ranks = [0, 1].map((rank) => neobert(["pretrain", file], { ...env, ...ofRank(rank) }));
    expect(await Promise.all(ranks.map(({ ended }) => ended)), ranks.map(({ output }) => output()).join()).toEqual([
      0, 0,
    ]);
    expect(ranks[0]!.output()).toContain(`${source}: rank 0 of 2`);
    expect(ranks[1]!.output()).toBe("");
    expect(weightsOf(out).equals(ofLaunch)).toBe(true);
  },
);
