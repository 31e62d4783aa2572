// For tests: the command line started as the ranks of one world.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort } from "../launch/launch.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

export interface RanksPlace {
  /** What a rank's command line begins with, such as `ip netns exec NAME`. */
  within?: (rank: number) => string[];
  /** Of rank 0, as the others reach it. */
  host?: string;
}

/** Starts `neobert ARGS` as each rank of a world of `size`, on this machine unless told otherwise. */
export async function startRanks(
  size: number,
  args: string[],
  { within = () => [], host = "127.0.0.1" }: RanksPlace = {},
): Promise<{ children: ChildProcess[]; ended: Promise<Ended[]> }> {
  const port = await freePort();
  const children = Array.from({ length: size }, (_, rank) => {
    const world = { RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: size, LOCAL_WORLD_SIZE: size };
    const env = { ...process.env, ...texts({ ...world, MASTER_ADDR: host, MASTER_PORT: port }) };
    const [command, ...rest] = [...within(rank), process.execPath, program, ...args];
    return spawn(command!, rest, { env, stdio: ["ignore", "pipe", "pipe"] });
  });
  return { children, ended: Promise.all(children.map(endOf)) };
}

/** Runs `neobert ARGS` in a world of `size` ranks to the end and gives what each has written; throws it where one fails. */
export async function runRanks(size: number, args: string[], place: RanksPlace = {}): Promise<string[]> {
  const { ended } = await startRanks(size, args, place);
  for (const [rank, { code, signal, output }] of (await ended).entries()) {
    if (code !== 0) throw new Error(`rank ${rank} of ${size} ended with ${signal ?? code}: ${output}`);
  }
  return (await ended).map(({ output }) => output);
}

function endOf(child: ChildProcess): Promise<Ended> {
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, output })));
}

const texts = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, `${value}`]));
