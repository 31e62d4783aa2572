import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { lockFolder } from "./folder-lock.js";
import { compiledFile } from "./package.js";

const root = mkdtempSync(join(tmpdir(), "neobert-lock-"));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});
const file = join(root, ".lock");
const source = `import { lockFolder } from ${JSON.stringify(compiledFile("files/folder-lock").href)};`;

/** A process that holds the folder until it is killed. */
async function holder(): Promise<ChildProcess> {
  const script = `${source} lockFolder(${JSON.stringify(root)}); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  return child;
}

test("a second writer is refused, naming the process, and is let in once the first gives the folder back", () => {
  const release = lockFolder(root);
  expect(() => lockFolder(root)).toThrow(
    new RegExp(`no one else is writing, got one that process ${process.pid} has .*\\nWait .*delete .*\\.lock`),
  );
  writeFileSync(join(root, "result"), "");
  release();
  lockFolder(root)();
  expect(readdirSync(root)).toEqual(["result"]);
});

test("a living process of another program keeps others out; a killed one is replaced, which is said", async () => {
  const child = await holder();
  expect(() => lockFolder(root)).toThrow(`process ${child.pid}`);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  const notes: string[] = [];
  lockFolder(root, (note) => notes.push(note))();
  expect(notes).toEqual([`${root}: took over from process ${child.pid}, which is gone and had not finished`]);
});

test("a process of another machine is never taken for dead, and its machine is named", () => {
  lockFolder(root);
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  writeFileSync(file, JSON.stringify({ pid: dead, host: `not-${hostname()}`, began: null, since: "then" }));
  expect(() => lockFolder(root)).toThrow(`process ${dead} on not-${hostname()}`);
});

test("another machine's process of an earlier start of this job is replaced, and of no other job or start", () => {
  const held = (starts: object) => {
    rmSync(file, { force: true });
    writeFileSync(file, JSON.stringify({ pid: 1, host: `not-${hostname()}`, began: null, since: "then", starts }));
  };
  lockFolder(root);
  vi.stubEnv("SLURM_JOB_ID", "77");
  vi.stubEnv("SLURM_RESTART_COUNT", "2");
  for (const starts of [{ "slurm 77": 2 }, { "slurm 78": 0 }, { "torchrun 77": 0 }, {}]) {
    held(starts);
    expect(() => lockFolder(root)).toThrow(`process 1 on not-${hostname()}`);
  }
  held({ "slurm 77": 1 });
  lockFolder(root);
  expect(JSON.parse(readFileSync(file, "utf8")).starts).toEqual({ "slurm 77": 2 });
  vi.unstubAllEnvs();
});

test("a torn lock, and one of an earlier process of the same number, are taken over", () => {
  lockFolder(root)();
  for (const text of ["", JSON.stringify({ pid: process.pid, host: hostname(), began: "1", since: "then" })]) {
    if (text !== "" && !existsSync("/proc/self/stat")) continue;
    lockFolder(root)();
    const release = lockFolder(root);
    writeFileSync(file, text);
    lockFolder(root)();
    release();
  }
});

test("of many processes that find a dead one's lock at once exactly one gets it", { timeout: 60_000 }, async () => {
  const child = await holder();
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  const script = `${source}
    try { lockFolder(${JSON.stringify(root)}); process.stdout.write("held"); setInterval(() => {}, 1000); }
    catch { process.stdout.write("refused"); }`;
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => {
      const racer = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(racer);
      return new Promise((resolve) => racer.stdout.once("data", (data) => resolve(String(data))));
    }),
  );
  expect(answers.filter((answer) => answer === "held")).toHaveLength(1);
  expect(JSON.parse(readFileSync(file, "utf8")).host).toBe(hostname());
});
