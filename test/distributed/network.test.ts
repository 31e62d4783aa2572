// Two ranks on two machines, as the kernel can make them of one: network namespaces with a cable (a veth pair) between them. Each
// has a second interface that leads nowhere, and this host's own name is often the loopback's, which is what misleads others.
// The cable can be slow (`tc`: tbf for the rate, and netem for the delay where the kernel has it) and can be cut. Needs root.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { finishedModelOf, latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { type RanksPlace, runRanks, startRanks } from "../../packages/neobert/src/train/fixture-ranks.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";

const spaces = ["a", "b"].map((name) => `neobert-${process.pid}-${name}`);
const isPossible = process.getuid?.() === 0 && spawnSync("ip", ["netns", "add", spaces[0]!]).status === 0;
if (isPossible) execFileSync("ip", ["netns", "del", spaces[0]!]);
else console.log("network.test.ts: skipped, as it needs root and `ip netns`");

const addresses = ["10.213.7.1", "10.213.7.2"];
const apart: RanksPlace = { within: (rank) => ["ip", "netns", "exec", spaces[rank]!], host: addresses[0]! };
const ip = (space: number, ...args: string[]) => execFileSync("ip", ["-n", spaces[space]!, ...args]);
const tc = (space: number, ...args: string[]) =>
  spawnSync("ip", ["netns", "exec", spaces[space]!, "tc", "qdisc", "replace", "dev", "cable", ...args]).status === 0;

function connect(): void {
  for (const space of spaces) execFileSync("ip", ["netns", "add", space]);
  ip(0, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", spaces[1]!);
  for (const [space, address] of addresses.entries()) {
    ip(space, "link", "add", "aside", "type", "veth", "peer", "name", "nowhere");
    ip(space, "address", "add", `192.168.213.${space + 1}/24`, "dev", "aside");
    ip(space, "address", "add", `${address}/24`, "dev", "cable");
    for (const device of ["lo", "aside", "nowhere", "cable"]) ip(space, "link", "set", device, "up");
  }
}

/** 1 Gbit/s and 1 ms each way; says what of it the kernel can do. */
function slowDown(): string {
  const both = (...args: string[]) => [0, 1].every((space) => tc(space, ...args));
  if (both("root", "netem", "delay", "1ms", "rate", "1gbit")) return "1 Gbit/s, 1 ms";
  if (both("root", "tbf", "rate", "1gbit", "burst", "128kb", "latency", "20ms")) return "1 Gbit/s (no netem: no delay)";
  throw new Error("tc: neither netem nor tbf");
}

describe.skipIf(!isPossible)("two machines", () => {
  let root: string;
  let together: Buffer;
  beforeAll(async () => {
    root = await writePreparedFolder();
    const { file, out } = writeRun("together");
    await runRanks(2, ["pretrain", file]);
    together = weightsOf(out);
  }, 300_000);
  afterAll(() => rmSync(root, { recursive: true }));
  beforeEach(connect);
  afterEach(() => {
    for (const space of spaces) execFileSync("ip", ["netns", "del", space]);
  });

  const writeRun = (name: string, ...overrides: string[]) =>
    writeSmallRun(root, name, "sharding=gradients", ...overrides);

  const weightsOf = (out: string) => readFileSync(join(finishedModelOf(out), "model.safetensors"));

  test("talk over the interface of the route, and make the bytes that one machine makes", async () => {
    const { file, out } = writeRun("apart");
    const [first] = await runRanks(2, ["pretrain", file], apart);
    expect(first).toContain(`rank 0 of 2: cable ${addresses[0]}, by the route to ${addresses[0]}`);
    expect(weightsOf(out).equals(together)).toBe(true);
  });

  test("make them over a slow cable too", async () => {
    console.log(`the cable: ${slowDown()}`);
    const { file, out } = writeRun("slow");
    await runRanks(2, ["pretrain", file], apart);
    expect(weightsOf(out).equals(together)).toBe(true);
  });

  test("end with an error that names the other and status 76 when the cable is cut, within the time-out", async () => {
    const timeoutMinutes = 0.15;
    const { file, out } = writeRun("cut", "steps=100000", `timeoutMinutes=${timeoutMinutes}`);
    const { ended } = await startRanks(2, ["pretrain", file], apart);
    while (!latestCheckpoint(out)) await sleep(50);
    ip(0, "link", "set", "cable", "down");
    const cut = performance.now();
    const [first, second] = await ended;
    const seconds = (performance.now() - cut) / 1000;
    for (const { code, output } of [first!, second!]) expect(code, output).toBe(76);
    expect(first!.output).toMatch(/on rank 0 of 2 .*: expected an answer of every rank, got none of rank 1 /);
    expect(second!.output).toMatch(/on rank 1 of 2 .*: expected an answer of every rank, got none of /);
    expect(seconds).toBeLessThan(60 * timeoutMinutes + 20);
  });

  test("say that rank 0 is not there where the cable was never plugged in", async () => {
    ip(1, "link", "set", "cable", "down");
    const { file } = writeRun("unplugged", "timeoutMinutes=0.1");
    const { ended } = await startRanks(2, ["pretrain", file], apart);
    const [first, second] = await ended;
    for (const { code, output } of [first!, second!]) expect(code, output).toBe(76);
    expect(first!.output).toContain("expected 2 ranks within 6 s, got none of rank 1");
    expect(second!.output).toContain(`expected rank 0's store at ${addresses[0]}`);
  });
});
