// The world of this process, by what its launcher has set in the environment.

import { initProcessGroup, LostPeerError, PrefixStore, TCPStore } from "@neobert/torch";
import { worldOf } from "./launchers.js";
import { alone, type World, worldOfGroup } from "./world.js";

export interface JoinOptions {
  env?: NodeJS.ProcessEnv;
  log?: (line: string) => void;
  /** Of the start and of every collective; @neobert/torch's five minutes unless given. */
  timeoutMs?: number;
}

/**
 * Joins the group of the ranks that the launcher has started, or is alone where there is none. `log` is told which launcher
 * and which network interface it was, on rank 0. Throws where a rank does not come in time.
 */
export async function joinWorld({ env = process.env, log = () => {}, ...rest }: JoinOptions = {}): Promise<World> {
  const place = worldOf(env);
  if (!place) return alone;
  const { rank, size, localRank, agentStore, master, prefix, source } = place;
  const isServer = rank === 0 && !agentStore;
  const served = await TCPStore.connect({ ...master, isServer, ...rest }).catch((cause: Error) => {
    const at = `${master.host}:${master.port}`;
    throw isServer
      ? new Error(
          `world: expected port ${master.port} to be free for rank 0, got an error\nSet MASTER_PORT to another.`,
          { cause },
        )
      : new LostPeerError(
          `world: expected rank 0's store at ${at}, got none\nSee whether rank 0 was started, and MASTER_ADDR and MASTER_PORT.`,
          { cause },
        );
  });
  const store = new PrefixStore(prefix, served);
  const say = rank === 0 ? (line: string) => log(`${source}: ${line}`) : () => {};
  return worldOfGroup(await initProcessGroup({ rank, worldSize: size, store, log: say, ...rest }), localRank);
}
