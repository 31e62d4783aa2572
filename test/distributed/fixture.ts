// For these tests: tiny runs, the program started in several ways, and what was written.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const program = fileURLToPath(new URL("../../packages/neobert/bin/neobert.js", import.meta.url));

export interface Started {
  child: ChildProcess;
  output: () => string;
  /** NOTE: a program that is told to end while it is being loaded has no status; a shell would say 143. */
  ended: Promise<number>;
}

export function start(command: string, args: string[], env: Record<string, string> = {}): Started {
  const child = spawn(command, args, { env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const ended = once(child, "close").then(([status]) => (status ?? 143) as number);
  return { child, output: () => output, ended };
}

export const neobert = (args: string[], env?: Record<string, string>) =>
  start(process.execPath, [program, ...args], env);

/** Processes that a process has started and that run. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

/** Which of these processes is a rank. */
export function findRank(pids: readonly number[], rank: number): number {
  return pids.find((pid) => readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`RANK=${rank}`))!;
}
