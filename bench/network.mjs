// Machines that the kernel makes of this one: a network namespace for each rank, with a cable of a given rate to a switch. Needs
// root, `ip` and `tc`.

import { execFileSync, spawnSync } from "node:child_process";

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });

/** `within(rank)` is what a rank's command line begins with, `host` rank 0's address; `remove` takes all away. */
export function makeNetwork(ranks) {
  const base = `neobert-${process.pid}`;
  const spaces = Array.from({ length: ranks }, (_, rank) => `${base}-${rank}`);
  const center = `${base}-switch`;
  const remove = () => {
    for (const space of [...spaces, center]) spawnSync("ip", ["netns", "del", space]);
  };
  try {
    for (const space of [...spaces, center]) ip("netns", "add", space);
    ip("-n", center, "link", "add", "name", "hub", "type", "bridge");
    ip("-n", center, "link", "set", "hub", "up");
    for (const [rank, space] of spaces.entries()) {
      const port = `port${rank}`;
      ip("-n", space, "link", "add", "name", "cable", "type", "veth", "peer", "name", port, "netns", center);
      ip("-n", center, "link", "set", port, "master", "hub", "up");
      ip("-n", space, "address", "add", `10.214.7.${rank + 1}/24`, "dev", "cable");
      for (const device of ["lo", "cable"]) ip("-n", space, "link", "set", device, "up");
    }
  } catch (error) {
    remove();
    throw error;
  }
  /** Of every rank, in each direction. A bucket of tokens holds what comes in a tick of the kernel's, 4 ms. */
  const setRate = (bytesPerSecond) => {
    const burst = Math.max(128_000, Math.round(bytesPerSecond / 250));
    const limit = `${4 * burst}`;
    const shape = ["root", "tbf", "rate", `${bytesPerSecond}bps`, "burst", `${burst}`, "limit", limit];
    for (const [rank, space] of spaces.entries()) {
      ip("netns", "exec", space, "tc", "qdisc", "replace", "dev", "cable", ...shape);
      ip("netns", "exec", center, "tc", "qdisc", "replace", "dev", `port${rank}`, ...shape);
    }
  };
  return { within: (rank) => ["ip", "netns", "exec", spaces[rank]], host: "10.214.7.1", setRate, remove };
}
