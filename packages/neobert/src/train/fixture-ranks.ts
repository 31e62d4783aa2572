// For tests: the command line started as the ranks of one world.

import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Starts `neobert ARGS` as each rank of a world of `size`. */
export async function startRanks(
  size: number,
  args: string[],
): Promise<{ children: ChildProcess[]; ended: Promise<Ended[]> }> {
  const port = await freePort();
  const children = Array.from({ length: size }, (_, rank) => {
    const world = { RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: size, LOCAL_WORLD_SIZE: size };
    const env = { ...process.env, ...texts({ ...world, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port }) };
    return spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  });
  return { children, ended: Promise.all(children.map(endOf)) };
}

/** Runs `neobert ARGS` in a world of `size` ranks to the end; throws what they have written where one fails. */
export async function runRanks(size: number, args: string[]): Promise<void> {
  const { ended } = await startRanks(size, args);
  for (const [rank, { code, signal, output }] of (await ended).entries()) {
    if (code !== 0) throw new Error(`rank ${rank} of ${size} ended with ${signal ?? code}: ${output}`);
  }
}

function endOf(child: ChildProcess): Promise<Ended> {
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, output })));
}

const texts = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, `${value}`]));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
