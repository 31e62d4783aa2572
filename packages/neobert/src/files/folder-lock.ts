// One writer of a folder at a time: the file `.lock` in it says who. A lock whose process is gone, on this machine, is taken
// over, and one of an earlier start of this job, which its scheduler has ended. Of another machine's process that cannot be
// known, so it is named, and a person decides. NOTE: a heartbeat by timers would stop while libtorch computes, hence the
// process itself is looked for.

import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { temporaryPath } from "./atomic.js";

/** Taking over is a look and a removal; a file that says so for longer was left. */
const TAKEOVER_MS = 5000;

interface Holder {
  pid: number;
  host: string;
  /** When the process began, in the system's own count: another one of the same number began at another time. */
  began: string | null;
  /** For a person. */
  since: string;
  /** How often its job was started before, by the name of the job: Slurm's or torchrun's. */
  starts: Record<string, number>;
}

/** Jobs that end all of one start before the next: variables of their names and of the count of starts. */
const schedulers = [
  ["slurm", "SLURM_JOB_ID", "SLURM_RESTART_COUNT"],
  ["torchrun", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"],
] as const;

/** Takes the folder, which is made if it is not there; the function gives it back. Throws where another one is writing. */
export function lockFolder(folder: string, onNote: (text: string) => void = () => {}): () => void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, ".lock");
  const own: Holder = {
    pid: process.pid,
    host: hostname(),
    began: beginningOf(process.pid),
    since: new Date().toISOString(),
    starts: startsOf(process.env),
  };
  const text = `${JSON.stringify(own)}\n`;
  while (!createWhole(path, text)) {
    const found = readIfThere(path);
    if (found === undefined) continue; // given back in the meantime
    const holder = parseHolder(found);
    if (holder && !isEarlier(holder, own) && (holder.host !== own.host || isRunning(holder)))
      throw takenError(folder, path, holder, own.host);
    if (removeIfStill(path, found)) {
      onNote(`${folder}: took over from process ${holder?.pid ?? "unknown"}, which is gone and had not finished`);
    }
  }
  return () => {
    if (readIfThere(path) === text) rmSync(path);
    try {
      rmdirSync(folder); // where nothing was written
    } catch {}
  };
}

function startsOf(env: NodeJS.ProcessEnv): Record<string, number> {
  const found = schedulers.filter(([, name]) => env[name] && env[name] !== "none"); // torchrun's id of a run without one
  return Object.fromEntries(found.map(([job, name, count]) => [`${job} ${env[name]}`, Number(env[count] ?? 0)]));
}

/** Whether the holder is of this job, but of a start before ours. */
function isEarlier(holder: Holder, own: Holder): boolean {
  return Object.entries(holder.starts).some(([job, count]) => count < (own.starts[job] ?? 0));
}

function takenError(folder: string, path: string, { pid, host, since }: Holder, here: string): Error {
  const where = host === here ? "" : ` on ${host}`;
  const wayOut = `Wait for it, or stop it (kill ${pid}${where}); if it is gone, delete ${path}.`;
  return new Error(
    `${folder}: expected a folder that no one else is writing, got one that process ${pid}${where} has been writing since ${since}\n${wayOut}`,
  );
}

/** Makes the file with all its text at once; false where there is one. */
function createWhole(path: string, text: string): boolean {
  const temporary = temporaryPath(path);
  writeFileSync(temporary, text, { flag: "wx" });
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    return createByName(path, text); // a disk without hard links
  } finally {
    rmSync(temporary);
  }
}

function createByName(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Removes a dead holder's lock, which says `text`. One process at a time takes over, by a file of its own: what a lock says
 * then changes no more between the look at it and its removal.
 */
function removeIfStill(path: string, text: string): boolean {
  const takeover = `${path}.takeover`;
  if (!createWhole(takeover, `${process.pid}\n`)) {
    const made = statSync(takeover, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > TAKEOVER_MS) rmSync(takeover, { force: true }); // left by a kill
    return false;
  }
  try {
    if (readIfThere(path) !== text) return false;
    rmSync(path);
    return true;
  } finally {
    rmSync(takeover, { force: true });
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, host, began, since, starts = {} } = JSON.parse(text);
    return Number.isInteger(pid) && typeof host === "string" ? { pid, host, began, since, starts } : undefined;
  } catch {
    return undefined; // torn, by a kill
  }
}

function isRunning({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return began === null || beginningOf(pid) === null || beginningOf(pid) === began;
}

/** Ticks since the machine's start at which a process began: field 22 of its stat, see proc(5). Linux only. */
function beginningOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
