// The world of this process, by what its launcher has set in the environment.

import { initProcessGroup } from "@neobert/torch";
import { alone, type World, worldOfGroup } from "./world.js";

/**
 * Joins the group of the environment's ranks (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), or is alone where
 * there is none. `log` is told which network interface was taken, on rank 0. Throws where a rank does not come in time.
 */
export async function joinWorld({ env = process.env, log = () => {} }: JoinOptions = {}): Promise<World> {
  const size = Number(env.WORLD_SIZE ?? 1);
  if (size === 1) return alone;
  const rank = Number(env.RANK);
  const group = await initProcessGroup({ rank, worldSize: size, log: rank === 0 ? log : () => {} });
  return worldOfGroup(group, Number(env.LOCAL_RANK ?? rank));
}

export interface JoinOptions {
  env?: NodeJS.ProcessEnv;
  log?: (line: string) => void;
}
