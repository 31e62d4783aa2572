// Groups of real processes: what each collective gives against float64 sums of all ranks' inputs, in every layout; ranks that die,
// stop, or never come, against the error that the others get. test/ranks.mjs is what a rank does.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

interface Ended {
  lines: string[];
  stderr: string;
  signal: string | null;
}

interface Result {
  name: string;
  op: string;
  dtype: string;
  inputs: number[] | number[][];
  output: number[] | number[][];
  margin?: number[];
}

interface Report {
  rank: number;
  results: Result[];
  late: { wasCompleted: boolean; isCompleted: boolean; ticks: number; sum: number[] };
  refusals: string[];
  closed: string;
  lines: string[];
  message: string;
  ms: number;
}

const SCRIPT = fileURLToPath(new URL("../test/ranks.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ranks-"));
const started: number[] = [];
let stores = 0;
afterAll(() => {
  for (const pid of started) {
    try {
      process.kill(pid, "SIGKILL"); // a stopped rank, or one left over by a failure
    } catch {}
  }
  rmSync(folder, { recursive: true });
});

function startRank(part: string, env: Record<string, string>): Promise<Ended> {
  const child = spawn(process.execPath, [SCRIPT, part], {
    env: { ...process.env, OMP_NUM_THREADS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child.pid!);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => void (output[name] += text));
  return new Promise((resolve) => {
    const end = (signal: string | null) =>
      resolve({ lines: output.stdout.split("\n").slice(0, -1), stderr: output.stderr, signal });
    child.on("close", (_, signal) => end(signal));
    if (part === "stopped") child.stdout.on("data", () => output.stdout.includes("pid") && end("SIGSTOP"));
  });
}

/** The ranks `present` of a group of `size` at one file store, or at a TCP store by the environment that `env` tells. */
function startRanks(part: string, size: number, env: Record<string, string> = {}, present = size): Promise<Ended[]> {
  const file = join(folder, `store-${stores++}`);
  const where: Record<string, string> = env.MASTER_ADDR ? {} : { STORE_FILE: file };
  return Promise.all(
    Array.from({ length: present }, (_, rank) =>
      startRank(part, { RANK: `${rank}`, WORLD_SIZE: `${size}`, ...where, ...env }),
    ),
  );
}

function reportOf({ lines, stderr }: Ended): Report {
  if (lines.length !== 1) throw new Error(`expected one line of output, got ${lines.join("\n")}\n${stderr}`);
  return JSON.parse(lines[0]!) as Report;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** What rank `rank` has to have, of all ranks' inputs, in float64. */
function expectedOf(results: Result[], rank: number): number[] | number[][] {
  const inputs = results.map((result) => result.inputs) as number[][];
  const parts = results.map((result) => result.inputs) as number[][][];
  const total = (lists: number[][]) => lists[0]!.map((_, i) => lists.reduce((sum, list) => sum + list[i]!, 0));
  switch (results[0]!.op) {
    case "sum":
      return total(inputs);
    case "max":
      return inputs[0]!.map((_, i) => Math.max(...inputs.map((list) => list[i]!)));
    case "last":
      return inputs.at(-1)!;
    case "gather":
      return inputs;
    case "exchange":
      return parts.map((sent) => sent[rank]!);
    default:
      return total(parts.map((shares) => shares[rank]!));
  }
}

// Half a unit in the last place a rounding, of values up to 9: one in a sum in float32, one a rank in a ring of bfloat16.
function toleranceOf({ op, dtype }: Result): number {
  if (op !== "sum" && op !== "scatter") return 0;
  if (dtype === "float32") return 2e-6;
  return op === "scatter" ? 2 ** -5 + 1e-5 : 2 ** -4 + 1e-5;
}

describe("three processes", () => {
  let reports: Report[];
  let ended: Ended[];
  beforeAll(async () => {
    const env = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${await freePort()}`, GLOO_SOCKET_IFNAME: "" };
    ended = await startRanks("collectives", 3, env);
    reports = ended.map(reportOf);
  }, 60_000);

  test("have of every collective, in every layout, what float64 sums of all inputs say", () => {
    expect(reports[0]!.results.length).toBeGreaterThan(50);
    reports[0]!.results.forEach(({ name }, i) => {
      const results = reports.map((report) => report.results[i]!);
      results.forEach((result, rank) => {
        const [got, wanted] = [result.output.flat(), expectedOf(results, rank).flat()];
        expect(got.length, name).toBe(wanted.length);
        const worst = Math.max(0, ...got.map((value, at) => Math.abs(value - wanted[at]!)));
        expect(worst, `${name} on rank ${rank}`).toBeLessThanOrEqual(toleranceOf(result));
      });
    });
  });

  test("have the same bits of an all-reduce", () => {
    const sums = reports.map(({ results }) => results.filter(({ op }) => op === "sum").map(({ output }) => output));
    expect(sums[1]).toEqual(sums[0]);
    expect(sums[2]).toEqual(sums[0]);
  });

  test("change nothing beside a tensor that is part of another", () => {
    const margins = reports.flatMap(({ results }) => results.flatMap(({ margin }) => margin ?? []));
    expect(margins.length).toBeGreaterThan(0);
    expect(new Set(margins)).toEqual(new Set([77]));
  });

  test("go on with their event loops while a collective waits for a late rank", () => {
    for (const { late } of reports) expect(late).toMatchObject({ isCompleted: true, sum: [3, 3, 3, 3] });
    for (const { late } of reports.slice(1)) {
      expect(late.wasCompleted).toBe(false);
      expect(late.ticks).toBeGreaterThan(5);
    }
  });

  test("refuse what does not fit, before anything is sent", () => {
    expect(reports[0]!.refusals).toEqual([
      "allReduce: expected tensors of float32 or bfloat16, got int64",
      "allReduce: expected op sum, avg, min or max, got mean",
      "broadcast: expected src of 0 to 2, got 3",
      "allGather: expected an output for each of 3 ranks, got 1",
      "allToAll: expected an output for each of 3 ranks, got 1",
      "reduceScatter: expected an output of the shape of this rank's input [2], got [3]",
    ]);
    expect(reports[0]!.closed).toBe("barrier: expected a process group, got one that was closed");
  });

  test("say once which interface they took, the one of the route to MASTER_ADDR, and nothing else", () => {
    expect(reports.map(({ lines }) => lines)).toEqual(
      [0, 1, 2].map((rank) => [`rank ${rank} of 3: lo 127.0.0.1, by the route to 127.0.0.1`]),
    );
    expect(ended.map(({ stderr }) => stderr)).toEqual(["", "", ""]);
  });
});

const soon = 10_000; // of a time-out of 30 s

describe.concurrent("the others of a group", () => {
  test("are told at once which rank on which host died", async () => {
    const ended = await startRanks("killed", 4);
    expect(ended[3]!.signal).toBe("SIGKILL");
    const reports = ended.slice(0, 3).map(reportOf);
    const named = new RegExp(
      `^allReduce on rank (0|2) of 4 \\(${hostname()}\\): expected an answer of every rank, got none of rank 3 \\(${hostname()}\\): `,
    );
    const neighbours = [reports[0]!, reports[2]!];
    expect(neighbours.filter(({ message }) => named.test(message)).map(({ message }) => message)).not.toEqual([]);
    for (const { message, ms, rank } of reports) {
      expect(message).toMatch(new RegExp(`^allReduce on rank ${rank} of 4 .*got none of rank \\d`));
      expect(ms).toBeLessThan(soon);
    }
  }, 60_000);

  test("are told after the time-out which rank on which host stopped", async () => {
    const ended = await startRanks("stopped", 3, { TIMEOUT_MS: "3000" });
    for (const { message, ms, rank } of ended.slice(0, 2).map(reportOf)) {
      expect(message).toContain(`allReduce on rank ${rank} of 3 (${hostname()}): expected an answer of every rank`);
      expect(message).toContain(`got none of rank 2 (${hostname()}): Timed out waiting 3000ms`);
      expect(ms).toBeGreaterThan(2500);
      expect(ms).toBeLessThan(soon);
    }
  }, 60_000);

  test("are told which ranks never came", async () => {
    const ended = await startRanks("joining", 4, { TIMEOUT_MS: "2500" }, 2);
    for (const { message, ms } of ended.map(reportOf)) {
      expect(message).toContain("initProcessGroup: expected 4 ranks within 2.5 s, got none of rank 2, 3");
      expect(ms).toBeLessThan(soon);
    }
  }, 60_000);

  test("are told by a monitored barrier which rank did not call it", async () => {
    const ended = await startRanks("missing", 2);
    expect(reportOf(ended[0]!).message).toMatch(/^monitoredBarrier on rank 0 of 2 .*rank.*1/s);
  }, 60_000);
});

describe.concurrent("a group of one", () => {
  test("takes the interface that GLOO_SOCKET_IFNAME names, whatever the route is, and refuses one that is not there", async () => {
    const [named, none] = await Promise.all(
      ["lo", "none0"].map((GLOO_SOCKET_IFNAME) =>
        startRanks("joining", 1, { GLOO_SOCKET_IFNAME, MASTER_PORT: "1" }).then(([ended]) => reportOf(ended!)),
      ),
    );
    expect(named).toMatchObject({ message: "joined", lines: ["rank 0 of 1: lo, as GLOO_SOCKET_IFNAME says"] });
    expect(none!.message).toMatch(/^processGroup: .*none0/s);
  }, 60_000);

  test("over NCCL is refused in plain words where the addon has none", async () => {
    const [ended] = await startRanks("joining", 1, { BACKEND: "nccl" });
    expect(reportOf(ended!).message).toMatch(/^processGroup: expected backend gloo, got nccl: .* without NCCL\n/);
  }, 60_000);
});

describe("a store", () => {
  test("keeps texts and counts for other processes, by prefix, and ends a wait at its time-out", async () => {
    const { lines } = await startRank("stores", { RANK: "0", WORLD_SIZE: "1" });
    expect(JSON.parse(lines[0]!)).toEqual({
      sums: [2, 5, 10],
      whole: true,
      seen: [true, false],
      deleted: true,
      after: false,
      waited: expect.stringMatching(/^wait: .*200 ?ms/),
    });
  }, 60_000);
});

describe("the compiled addon", () => {
  test("holds no table of virtual functions of Gloo's, whose headers are ours", () => {
    const addon = fileURLToPath(new URL("../native/build/Release/torch.node", import.meta.url));
    const symbols = execFileSync("nm", ["-C", addon], { encoding: "utf8", maxBuffer: 1 << 28 });
    expect(symbols).toMatch(/c10d::ProcessGroupGloo/);
    const tables = symbols.split("\n").filter((line) => /(vtable|typeinfo).*gloo/i.test(line) && !/ U /.test(line));
    expect(tables).toEqual([]);
  });
});
