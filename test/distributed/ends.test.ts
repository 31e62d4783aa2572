// How runs of several ranks end, by their status: one told to stop stops all with a checkpoint, a lost peer, a loss that is not
// finite, wrong input; and two machines' launchers, of which one is lost.

import { existsSync, rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finishedModelOf, latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { startRanks } from "../../packages/neobert/src/train/fixture-ranks.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";
import { readState } from "../../packages/neobert/src/train/loop/checkpoint.js";
import { childrenOf, findRank, neobert } from "./fixture.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const long = ["steps=100000", "checkpoint.everySteps=20", "evaluate.everySteps=100000"];
const hasCheckpoint = (out: string) =>
  expect.poll(() => latestCheckpoint(out), { timeout: 60_000, interval: 20 }).toBeDefined();

test.each([0, 1])(
  "SIGTERM to rank %i alone stops all after one step, with a checkpoint and status 75",
  async (rank) => {
    const { file, out } = writeSmallRun(root, `told-${rank}`, ...long);
    const { child, ended, output } = neobert(["launch", "--processes", "2", "--", "pretrain", file]);
    await hasCheckpoint(out);
    process.kill(findRank(childrenOf(child.pid!), rank), "SIGTERM");
    expect(await ended, output()).toBe(75);
    const { step } = readState(latestCheckpoint(out)!);
    expect(output()).toContain(`stopped after ${step} steps`);
  },
);

test("a rank whose peer is killed ends with status 76 and names it", async () => {
  const { file, out } = writeSmallRun(root, "lost", ...long);
  const { children, ended } = await startRanks(2, ["pretrain", file]);
  await hasCheckpoint(out);
  children[1]!.kill("SIGKILL");
  const [first] = await ended;
  expect(first!.code, first!.output).toBe(76);
  expect(first!.output).toMatch(/on rank 0 of 2 \(.*\): expected an answer of every rank, got none of rank 1/);
});

test("a rank whose peer is stopped ends with status 76 after its time-out, and names it", async () => {
  const { file, out } = writeSmallRun(root, "stopped", ...long, "timeoutMinutes=0.1");
  const port = 30_000 + Math.floor(Math.random() * 20_000);
  const [first, second] = [0, 1].map((rank) => {
    const place = { RANK: `${rank}`, WORLD_SIZE: "2", LOCAL_RANK: `${rank}`, LOCAL_WORLD_SIZE: "2" };
    const env = { ...place, MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}` };
    return neobert(["pretrain", file], env);
  }) as [ReturnType<typeof neobert>, ReturnType<typeof neobert>];
  await hasCheckpoint(out);
  second.child.kill("SIGSTOP");
  expect(await first.ended, first.output()).toBe(76);
  expect(first.output()).toMatch(/expected an answer of every rank, got none of rank 1/);
  second.child.kill("SIGKILL");
});

test.each([
  [77, "a loss that is not finite", "optimizer.lr=1e30", "expected a finite"],
  [2, "an option that is none", "optimizer.lrr=1", "Did you mean"],
])("status %i: %s ends a launched run, which is not started anew", async (status, _, override, said) => {
  const { file } = writeSmallRun(root, `status-${status}`, ...long);
  const { ended, output } = neobert(["launch", "--processes", "2", "--", "pretrain", file, override]);
  expect(await ended, output()).toBe(status);
  expect(output()).toContain(said);
  expect(output()).not.toContain("anew");
});

test("a run of two machines goes on with one when the other is lost", async () => {
  const { file, out } = writeSmallRun(
    root,
    "machines",
    "steps=600",
    "checkpoint.everySteps=20",
    "evaluate.everySteps=100000",
  );
  const port = 30_000 + Math.floor(Math.random() * 20_000);
  const [first, second] = [0, 1].map((node) => {
    const place = ["--processes", "1", "--nodes", "2", "--node-rank", `${node}`, "--rendezvous", `127.0.0.1:${port}`];
    const flags = ["--min-nodes", "1", "--join-timeout", "5", "--grace", "2"];
    return neobert(["launch", ...place, ...flags, "--", "pretrain", file, "--resume"]);
  }) as [ReturnType<typeof neobert>, ReturnType<typeof neobert>];
  await hasCheckpoint(out);
  for (const pid of [second.child.pid!, ...childrenOf(second.child.pid!)]) process.kill(pid, "SIGKILL");
  expect(await first.ended, first.output()).toBe(0);
  expect(first.output()).toContain("1 of 2 nodes have come: starting with 1 rank");
  expect(first.output()).toMatch(/resumed after step \d+/);
  expect(existsSync(finishedModelOf(out))).toBe(true);
});
