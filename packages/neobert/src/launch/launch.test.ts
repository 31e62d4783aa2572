// Launchers as processes, whose ranks are a line or two of JavaScript each: what they are told, what is shown of them, and
// what comes of one that dies, hangs or is told to stop. Training under it is in test/distributed/.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { compiledFile } from "../files/package.js";
import { freePort, type LaunchOptions } from "./launch.js";

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

const driver = `
  import { launch } from ${JSON.stringify(compiledFile("launch/launch").href)};
  process.exitCode = await launch({ ...JSON.parse(process.argv[1]), note: (text) => console.error("launch: " + text) });
`;

interface Running {
  child: ChildProcess;
  /** Standard output and standard error so far. */
  out: () => string;
  err: () => string;
  /** Waits for a text of either. */
  says: (text: string | RegExp) => Promise<void>;
  ended: Promise<number | null>;
}

/** A launcher whose ranks run `code`, with `R` and `S` their rank and how often they were started before. */
function start(code: string, options: Partial<LaunchOptions> = {}): Running {
  const rank = `const R = +process.env.RANK, S = +process.env.NEOBERT_RESTART, stay = () => setInterval(() => {}, 1e6);\n${code}`;
  const given: Omit<LaunchOptions, "note"> = {
    command: [process.execPath, "--input-type=module", "-e", rank],
    ...{ processes: 2, nodes: 1, nodeRank: 0, minNodes: options.nodes ?? 1, maxRestarts: 3, bind: false },
    ...{ graceMs: 500, silenceMs: 5000, joinMs: 10_000, ...options },
  };
  const child = spawn(process.execPath, ["--input-type=module", "-e", driver, JSON.stringify(given)], {
    env: { ...process.env, RANK: "", OMP_NUM_THREADS: undefined },
  });
  started.push(child);
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name]!.on("data", (chunk) => (texts[name] += chunk));
  const says = async (text: string | RegExp) => {
    while (!`${texts.stdout}${texts.stderr}`.match(text)) {
      if (child.exitCode !== null) throw new Error(`ended without ${text}: ${texts.stdout}${texts.stderr}`);
      await sleep(10);
    }
  };
  return {
    child,
    out: () => texts.stdout,
    err: () => texts.stderr,
    says,
    ended: once(child, "close").then(([status]) => status),
  };
}

test("ranks have torchrun's variables, rank 0's output is untouched, the others' lines have their number", async () => {
  const { out, err, ended } = start(`
    const { RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT, NEOBERT_RESTART } = process.env;
    const port = +MASTER_PORT > 0;
    console.log(JSON.stringify({ RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, port, NEOBERT_RESTART }));
    process.stderr.write("warning\\nand more");
    if (R === 0) process.stdout.write("no line's end");
  `);
  expect(await ended).toBe(0);
  const line = (rank: number) =>
    `{"RANK":"${rank}","WORLD_SIZE":"2","LOCAL_RANK":"${rank}","LOCAL_WORLD_SIZE":"2","MASTER_ADDR":"127.0.0.1","port":true,"NEOBERT_RESTART":"0"}\n`;
  expect(out()).toContain(`[1] ${line(1)}`);
  expect(out().replace(`[1] ${line(1)}`, "")).toBe(`${line(0)}no line's end`);
  expect(err()).toContain("[1] warning\n[1] and more\n");
  expect(err().replace(/\[1\].*\n/g, "")).toBe("warning\nand more");
});

test("each rank is bound to cores of its own, with as many threads", async () => {
  const code = `
    import { readFileSync } from "node:fs";
    import { availableParallelism } from "node:os";
    const cores = /Cpus_allowed_list:\\s*(\\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    console.log("cores", cores, process.env.OMP_NUM_THREADS, availableParallelism());
  `;
  const { out, err, ended } = start(code, { bind: true });
  expect(await ended, err()).toBe(0);
  const rows = [...out().matchAll(/cores (\S+) (\S+) (\S+)/g)].map(([, ...row]) => row);
  expect(rows).toHaveLength(2);
  const threads = /2 ranks here, (\d+) cores? each(, bound to none)?/.exec(err())!;
  expect(rows.map(([, threads]) => threads)).toEqual([threads[1], threads[1]]);
  if (threads[2] === undefined) {
    expect(rows[0]![0]).not.toBe(rows[1]![0]);
    expect(rows.map(([, , parallel]) => parallel)).toEqual([threads[1], threads[1]]);
  }
});

test("a rank that is killed ends all, and all start anew", async () => {
  const { out, err, ended } = start(`
    process.on("SIGTERM", () => { console.log("told", R); process.exit(75); });
    console.log("start", R, S);
    if (S === 2) process.exit(0);
    stay();
    if (R === 1) setTimeout(() => process.kill(process.pid, "SIGKILL"), 150);
  `);
  expect(await ended, err()).toBe(0);
  for (const restart of [0, 1, 2]) expect(out()).toContain(`start 0 ${restart}\n`);
  expect(out()).toContain("told 0");
  expect(err().match(/launch: .*/g)).toEqual([
    "launch: rank 1 ended by SIGKILL; all ranks are started anew (1 of 3)",
    "launch: rank 1 ended by SIGKILL; all ranks are started anew (2 of 3)",
  ]);
});

test("a rank that does not end when another has failed is killed after the grace", async () => {
  const { err, ended } = start(`
    process.on("SIGTERM", () => {});
    if (S === 1) process.exit(0);
    stay();
    if (R === 1) setTimeout(() => process.exit(1), 150);
  `);
  expect(await ended).toBe(0);
  expect(err()).toContain("rank 1 ended with status 1; all ranks are started anew (1 of 3)");
});

test.each([
  ["process.kill(process.pid, 'SIGKILL')", 76, "rank 1 ended by SIGKILL, after 1 restart"],
  ["process.exit(5)", 5, "rank 1 ended with status 5, after 1 restart"],
])("when %s has had its restarts the status is %i", async (failure, status, text) => {
  const { out, err, ended } = start(`console.log("start", R); R === 1 ? ${failure} : stay()`, { maxRestarts: 1 });
  expect(await ended).toBe(status);
  expect(err()).toContain(text);
  expect(out().match(/start 1/g)).toHaveLength(2);
});

test.each([0, 2, 75, 77, 130, 143])("ranks that end with %i are not started anew", async (status) => {
  const { err, ended } = start(`process.exit(S === 0 ? ${status} : 9)`);
  expect(await ended).toBe(status);
  expect(err()).not.toContain("anew");
});

test("a program that is not there is said, with status 127", async () => {
  const { err, ended } = start("", { command: ["/no/such/program"], maxRestarts: 0 });
  expect(await ended).toBe(127);
  expect(err()).toContain("rank 0 could not be started: spawn /no/such/program ENOENT");
});

test.each([
  ["SIGTERM", 75],
  ["SIGINT", 130],
] as const)("%s is passed on once and waited for, with status %i", async (signal, status) => {
  const { child, out, says, ended } = start(`
    process.on("${signal}", () => { console.log("told", R); setTimeout(() => process.exit(${status}), 1000); });
    console.log("ready", R);
    stay();
  `);
  await says(/ready 0[\s\S]*ready 1|ready 1[\s\S]*ready 0/);
  child.kill(signal);
  expect(await ended).toBe(status);
  expect(out().match(/told/g)).toHaveLength(2);
});

test("a second signal ends the ranks at once", async () => {
  const { child, says, ended } = start(`
    process.on("SIGTERM", () => console.log("told", R));
    console.log("ready", R);
    stay();
  `);
  await says(/ready 0[\s\S]*ready 1|ready 1[\s\S]*ready 0/);
  child.kill("SIGTERM");
  await says(/told 0[\s\S]*told 1|told 1[\s\S]*told 0/);
  child.kill("SIGTERM");
  expect(await ended).toBe(143);
});

const follow = `import { followLauncher } from ${JSON.stringify(compiledFile("launch/launched").href)}; followLauncher();`;

test("a stopped rank counts as hung and all start anew", async () => {
  const { err, ended } = start(
    `${follow} if (S === 1) process.exit(0); stay(); if (R === 1) setTimeout(() => process.kill(process.pid, "SIGSTOP"), 200);`,
    { silenceMs: 3000 },
  );
  expect(await ended).toBe(0);
  expect(err()).toContain(
    "rank 1 gave no sign of life for 3 s and was ended by SIGKILL; all ranks are started anew (1 of 3)",
  );
});

test("ranks whose launcher is killed are told to stop", async () => {
  const { child, out, says } = start(
    `${follow} process.on("SIGTERM", () => process.exit(0)); console.log(R, "pid", process.pid); stay();`,
  );
  await says(/0 pid[\s\S]*1 pid|1 pid[\s\S]*0 pid/);
  child.kill("SIGKILL");
  const pids = [...out().matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  for (const pid of pids) {
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  }
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Launchers of several machines, all on this one. */
async function startNodes(code: string, nodes: number, options: Partial<LaunchOptions> = {}) {
  const rendezvous = { host: "127.0.0.1", port: await freePort() };
  const startNode = (nodeRank: number) => start(code, { ...options, nodes, nodeRank, rendezvous });
  return { startNode, running: Array.from({ length: nodes }, (_, nodeRank) => startNode(nodeRank)) };
}

test("two launchers make one world; a rank that dies on one starts the ranks of both anew", async () => {
  const code = `
    process.on("SIGTERM", () => process.exit(75));
    console.log("start", R, "of", process.env.WORLD_SIZE, process.env.LOCAL_RANK, S, process.env.NEOBERT_LAUNCH, process.env.MASTER_PORT);
    if (S === 1) process.exit(0);
    stay();
    if (R === 3) setTimeout(() => process.exit(9), 300);
  `;
  const { running } = await startNodes(code, 2);
  expect(await Promise.all(running.map(({ ended }) => ended)), running[0]!.err()).toEqual([0, 0]);
  const rows = running.flatMap(({ out }) =>
    [...out().matchAll(/start (\d) of 4 (\d) (\d) (\S+) (\d+)/g)].map(([, ...row]) => row),
  );
  expect(rows.map(([rank, local, restart]) => `${restart}: ${rank} ${local}`).sort()).toEqual(
    [0, 1].flatMap((restart) => ["0 0", "1 1", "2 0", "3 1"].map((row) => `${restart}: ${row}`)),
  );
  expect(new Set(rows.map(([, , , id, port]) => `${id} ${port}`)).size).toBe(1);
  expect(running[0]!.err()).toContain("rank 3 ended with status 9; all ranks are started anew (1 of 3)");
});

test("a run goes on with fewer machines, and with all from the next start on when one is back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neobert-launch-"));
  const go = join(folder, "go");
  const code = `
    import { existsSync } from "node:fs";
    process.on("SIGTERM", () => process.exit(75));
    console.log("start", R, "of", process.env.WORLD_SIZE);
    if (S === 2) process.exit(0);
    stay();
    if (S === 1 && R === 1) setInterval(() => existsSync(${JSON.stringify(go)}) && process.exit(9), 50);
  `;
  const { startNode, running } = await startNodes(code, 2, { minNodes: 1, joinMs: 1000 });
  const [first, second] = running as [Running, Running];
  await second.says(/start 2 of 4/);
  second.child.kill("SIGKILL");
  await first.says(/start 0 of 2/);
  expect(first.err()).toContain("node 1 was lost; all ranks are started anew (1 of 3)");
  expect(first.err()).toContain("1 of 2 nodes have come: starting with 2 ranks");
  const back = startNode(1);
  await first.says("node 1 has come; it takes part from the next start on");
  writeFileSync(go, "");
  expect(await Promise.all([first.ended, back.ended])).toEqual([0, 0]);
  rmSync(folder, { recursive: true });
  expect(first.err()).toContain("all 2 nodes are there again: starting with 4 ranks");
  expect(back.out()).toContain("start 3 of 4");
});

test("a machine that does not come is waited for, then the status says that a peer is lost", async () => {
  const port = await freePort();
  const { err, ended } = start("stay()", {
    nodes: 2,
    nodeRank: 0,
    rendezvous: { host: "127.0.0.1", port },
    joinMs: 500,
  });
  expect(await ended).toBe(76);
  expect(err()).toContain("expected 2 nodes within 0.5 s, got 1");
});

test("a launcher ends with its ranks when that of node 0 is gone", async () => {
  const { running } = await startNodes(
    `process.on("SIGTERM", () => process.exit(75)); console.log("start", R); stay();`,
    2,
  );
  const [first, second] = running as [Running, Running];
  await second.says(/start 3/);
  first.child.kill("SIGKILL");
  expect(await second.ended).toBe(76);
  expect(second.err()).toContain("node 0's launcher was lost; the ranks here are ended");
});

test("launchers that do not fit together are refused, and so is what is none", async () => {
  const { startNode, running } = await startNodes("console.log('start', R); stay()", 2);
  await running[0]!.says("start 0");
  const again = startNode(1);
  expect(await again.ended).toBe(2);
  expect(again.err()).toContain("expected one launcher with --node-rank 1, got a second one");
});
