// How many cores a computation may use: those of the machine that this process may run on, and no more than its control
// group (a container's limit) has time for. Node, ONNX Runtime and libtorch see the machine's alone.

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

const CGROUPS = "/sys/fs/cgroup";
const MEMBERSHIP = "/proc/self/cgroup";

/** Cores to compute with, 1 or more: threads beyond a control group's time would stop one another. */
export function availableCores(): number {
  return Math.min(availableParallelism(), Math.max(1, Math.floor(cgroupCores())));
}

/** Cores that the control groups of this process have time for, of version 1 and 2; infinite where there is no limit. */
export function cgroupCores(root = CGROUPS, membership = MEMBERSHIP): number {
  const lines = textOf(membership).trim().split("\n");
  const limits = lines.flatMap((line) => {
    const [, controllers = "", path = "/"] = line.split(":");
    const isOld = controllers.split(",").includes("cpu");
    if (!isOld && controllers !== "") return [];
    return foldersOf(path).map((folder) => (isOld ? oldCores(join(root, "cpu", folder)) : cores(join(root, folder))));
  });
  return Math.min(...limits);
}

/** A group and those it is in, as a path; a container may see its own as the root. */
function foldersOf(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return [...parts, ""].map((_, i) => parts.slice(0, i).join("/"));
}

function cores(folder: string): number {
  const [quota, period] = textOf(join(folder, "cpu.max")).trim().split(" ");
  return ratio(Number(quota), Number(period));
}

function oldCores(folder: string): number {
  return ratio(Number(textOf(join(folder, "cpu.cfs_quota_us"))), Number(textOf(join(folder, "cpu.cfs_period_us"))));
}

function ratio(quota: number, period: number): number {
  return quota > 0 && period > 0 ? quota / period : Number.POSITIVE_INFINITY; // "max" and -1 are no limit
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
