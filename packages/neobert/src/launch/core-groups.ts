// The cores of this machine divided among the ranks on it: groups of equal size, so that no rank waits for a slower one, each
// within one memory node (NUMA) and with both threads of a core where that can be. Linux; elsewhere one group a rank by number.
//   https://www.kernel.org/doc/Documentation/ABI/stable/sysfs-devices-node

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { availableCores } from "../files/cores.js";

const SYSTEM = "/sys/devices/system";
const STATUS = "/proc/self/status";

/** Cores in numbers, `0-3,8`. */
export function parseCores(list: string): number[] {
  return list
    .trim()
    .split(",")
    .filter(Boolean)
    .flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number) as [number, number?];
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
    });
}

/** The numbers of the cores that this process may run on; undefined where the system does not say. */
function allowedCores(status = STATUS): number[] | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(textOf(status))?.[1];
  return list === undefined ? undefined : parseCores(list);
}

/** The cores of each memory node, siblings (threads of one core) beside each other. */
function memoryNodes(allowed: readonly number[], system: string): number[][] {
  const names = foldersIn(join(system, "node")).filter((name) => /^node\d+$/.test(name));
  const nodes = names.map((name) => parseCores(textOf(join(system, "node", name, "cpulist"))));
  const siblingsOf = (core: number) =>
    parseCores(textOf(join(system, "cpu", `cpu${core}`, "topology/thread_siblings_list")));
  const known = new Set(nodes.flat());
  return [...nodes, allowed.filter((core) => !known.has(core))]
    .map((node) => [...new Set(node.flatMap((core) => [core, ...siblingsOf(core)]))])
    .map((node) => node.filter((core) => allowed.includes(core)))
    .filter((node) => node.length > 0);
}

export interface CoreGroups {
  /** Cores a rank may compute with, one or more. */
  threads: number;
  /** The cores of each rank; undefined where they cannot be told apart or ranks are more than cores. */
  groups: number[][] | undefined;
}

/** Cores for `ranks` ranks on this machine. The other arguments are for tests. */
export function coreGroups(
  ranks: number,
  {
    system = SYSTEM,
    status = STATUS,
    cores = availableCores(),
  }: { system?: string; status?: string; cores?: number } = {},
): CoreGroups {
  const threads = Math.max(1, Math.floor(cores / ranks));
  const allowed = allowedCores(status);
  if (!allowed || threads * ranks > allowed.length) return { threads, groups: undefined };
  const free = memoryNodes(allowed, system);
  const groups = Array.from({ length: ranks }, () => {
    const roomiest = free.reduce((best, node) => (node.length > best.length ? node : best));
    if (roomiest.length >= threads) return roomiest.splice(0, threads);
    const rest = free.splice(0).flat(); // no node has room for all of it
    const group = rest.splice(0, threads);
    free.push(rest);
    return group;
  });
  return { threads, groups };
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
