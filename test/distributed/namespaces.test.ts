// Two machines, as two network namespaces with a cable (veth) between them, and a launcher on each: the run goes over the cable,
// and when it is cut one goes on alone while the other ends. Needs root and iproute2, else it is skipped.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finishedModelOf, latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";
import { neobert, program, start } from "./fixture.js";

const [near, far] = [`neobert-near-${process.pid}`, `neobert-far-${process.pid}`];
const isAble = process.getuid?.() === 0 && spawnSync("ip", ["netns", "add", near]).status === 0;
const ip = (line: string) => execFileSync("ip", line.split(" "));

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
  if (!isAble) return;
  ip(`netns add ${far}`);
  ip(`link add cable0 netns ${near} type veth peer name cable1 netns ${far}`);
  for (const [name, end] of [[near, 0] as const, [far, 1] as const]) {
    ip(`-n ${name} address add 10.77.0.${end + 1}/24 dev cable${end}`);
    for (const device of ["lo", `cable${end}`]) ip(`-n ${name} link set ${device} up`);
  }
});
afterAll(() => {
  rmSync(root, { recursive: true });
  for (const name of isAble ? [near, far] : []) spawnSync("ip", ["netns", "delete", name]);
});

/** A launcher on each machine. */
function launch(file: string, ...flags: string[]) {
  return [near, far].map((name, node) => {
    const place = ["--processes", "1", "--nodes", "2", "--node-rank", `${node}`, "--rendezvous", "10.77.0.1:29400"];
    const command = [program, "launch", ...place, ...flags, "--", "pretrain", file, "--resume"];
    return start("ip", ["netns", "exec", name, process.execPath, ...command]);
  }) as [ReturnType<typeof start>, ReturnType<typeof start>];
}

test.skipIf(!isAble)("two machines of a rank each make the bytes of two ranks on one, over the cable", async () => {
  const [here, there] = [writeSmallRun(root, "one-machine"), writeSmallRun(root, "two-machines")];
  const alone = neobert(["launch", "--processes", "2", "--", "pretrain", here.file]);
  expect(await alone.ended, alone.output()).toBe(0);
  const nodes = launch(there.file);
  expect(await Promise.all(nodes.map(({ ended }) => ended)), nodes[0].output()).toEqual([0, 0]);
  expect(nodes[0].output()).toContain("rank 0 of 2: cable0 10.77.0.1, by the route to 10.77.0.1");
  const [ofOne, ofTwo] = [here, there].map(({ out }) => readFileSync(join(finishedModelOf(out), "model.safetensors")));
  expect(ofTwo!.equals(ofOne!)).toBe(true);
});

test.skipIf(!isAble)("when the cable is cut node 0 goes on alone, and the other ends with status 76", async () => {
  const { file, out } = writeSmallRun(
    root,
    "cut",
    "steps=600",
    "checkpoint.everySteps=20",
    "evaluate.everySteps=100000",
  );
  const [first, second] = launch(file, "--min-nodes", "1", "--silence", "6", "--grace", "2", "--join-timeout", "5");
  await expect.poll(() => latestCheckpoint(out), { timeout: 60_000, interval: 20 }).toBeDefined();
  ip(`-n ${near} link set cable0 down`);
  expect(await second.ended, second.output()).toBe(76);
  expect(second.output()).toContain("node 0's launcher was lost; the ranks here are ended");
  expect(await first.ended, first.output()).toBe(0);
  expect(first.output()).toContain("node 1 was lost; all ranks are started anew (1 of 3)");
  expect(first.output()).toMatch(/resumed after step \d+/);
});
