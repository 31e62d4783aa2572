// Processes of one side of a benchmark that do each task together, as the ranks of a world.

import { cores, here } from "./measure.mjs";
import { startSide } from "./side.mjs";

let port = 29_600;

/**
 * Starts `size` processes of `program script OPTIONS` as ranks of one world, on cores in turn. `within` and `host` are where they
 * run; `apart`: no world, each by itself.
 */
export async function startTeam(
  size,
  program,
  script,
  options,
  { within = () => [], host = "127.0.0.1", apart = false } = {},
) {
  port++;
  const sides = Array.from({ length: size }, (_, rank) => {
    const world = { RANK: rank, WORLD_SIZE: size, LOCAL_RANK: rank, LOCAL_WORLD_SIZE: size };
    const env = size > 1 && !apart ? { ...world, MASTER_ADDR: host, MASTER_PORT: port } : {};
    const own = size > 1 ? `${rank % cores}` : `0-${cores - 1}`;
    return startSide(program, here(script), options, { env, within: [...within(rank), "taskset", "-c", own] });
  });
  await Promise.all(sides.map((side) => side.next()));
  return {
    /** Rank 0's answer. */
    ask: async (task) => (await Promise.all(sides.map((side) => side.ask(task))))[0],
    end: () => Promise.all(sides.map((side) => side.end())),
  };
}
