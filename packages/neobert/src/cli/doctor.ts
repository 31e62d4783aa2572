// `neobert doctor`: what this machine has of what the project needs, line by line: versions, processor, limits, libtorch, ONNX
// Runtime, GPUs, caches, disk. Nothing is fetched, and no request is made.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, freemem, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { availableCores, cgroupCores } from "../files/cores.js";
import { packageVersion } from "../files/package.js";
import { userCache } from "../files/user-cache.js";
import { accessToken, hubCachePath, isOffline } from "../hub/environment.js";
import { importOnnxRuntime } from "../onnx/onnxruntime.js";

/** One line: what was looked at, what was found, and what to do where something lacks. */
export interface Finding {
  name: string;
  found: string;
  remedy?: string;
}

export function doctorCommand(): Command {
  return new Command("doctor")
    .description(
      "Shows versions, processor, limits, libtorch, ONNX Runtime, GPUs, caches and disk, and what to do where something " +
        "lacks; status 1 where neither engine can run.",
    )
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: boolean }) => {
      const engines = [await libtorch(), await onnxRuntime()];
      const findings = [...machine(), ...engines.flat(), ...(await gpus()), ...hub(), ...disks()];
      console.log(json ? JSON.stringify(findings, null, 2) : findings.map(lineOf).join("\n"));
      if (engines.every(([first]) => first!.remedy !== undefined)) process.exitCode = 1;
    });
}

function lineOf({ name, found, remedy }: Finding): string {
  return `${name.padEnd(14)} ${found}${remedy === undefined ? "" : `\n${" ".repeat(15)}${remedy}`}`;
}

function machine(): Finding[] {
  const [cores, limit] = [availableCores(), cgroupCores()];
  const isLimited = Number.isFinite(limit);
  const memory = memoryLimit();
  return [
    { name: "neobert", found: `${packageVersion()}, Node ${process.version}, ${process.platform} ${process.arch}` },
    { name: "processor", found: `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} seen` },
    { name: "cores", found: `${cores} to compute with${isLimited ? `; the control group has time for ${limit}` : ""}` },
    {
      name: "memory",
      found: `${gib(freemem())} free of ${gib(totalmem())}${memory === undefined ? "" : `; the control group may have ${gib(memory)}`}`,
    },
  ];
}

/** Bytes that the control group of this process may have; undefined where there is no limit. */
function memoryLimit(): number | undefined {
  for (const file of ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]) {
    const limit = existsSync(file) ? Number(readFileSync(file, "utf8")) : Number.NaN;
    if (limit > 0 && limit < totalmem()) return limit;
  }
  return undefined;
}

async function libtorch(): Promise<Finding[]> {
  try {
    const torch = await import("@neobert/torch");
    const kernels = `kernels of libtorch ${torch.cpuCapability()}, ours ${torch.fusedKernels() ? torch.instructionSet() : "off (NEOBERT_FUSED=0)"}`;
    return [
      { name: "libtorch", found: `${torch.version()}, ${torch.getNumThreads()} threads; ${kernels}` },
      { name: "", found: loadedFile("libtorch_cpu") ?? "at a place that this system does not tell" },
    ];
  } catch (error) {
    const [found, remedy = "Run `npx neobert setup-torch`."] = (error as Error).message.split("\n");
    return [{ name: "libtorch", found: found!, remedy }];
  }
}

async function onnxRuntime(): Promise<Finding[]> {
  try {
    await importOnnxRuntime();
    const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
    return [{ name: "ONNX Runtime", found: version }];
  } catch (error) {
    const [found, remedy = "Run `npm install onnxruntime-node`."] = (error as Error).message.split("\n");
    return [{ name: "ONNX Runtime", found: found!, remedy }];
  }
}

/** The path of a library that this process has loaded, where the system tells. */
function loadedFile(name: string): string | undefined {
  const maps = "/proc/self/maps";
  if (!existsSync(maps)) return undefined;
  return new RegExp(`/\\S*${name}\\S*$`, "m").exec(readFileSync(maps, "utf8"))?.[0];
}

async function gpus(): Promise<Finding[]> {
  const name = "GPUs";
  const driver = "/proc/driver/nvidia/version";
  if (!existsSync(driver)) return [{ name, found: "none: no NVIDIA driver is loaded (device: cuda cannot be used)" }];
  const query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
  let devices: string[];
  try {
    devices = execFileSync("nvidia-smi", query, { encoding: "utf8", timeout: 10_000 }).trim().split("\n");
  } catch (error) {
    const got = (error as Error).message.split("\n")[0];
    return [{ name, found: `a driver, but nvidia-smi failed: ${got}`, remedy: "Install the driver's tools." }];
  }
  return [...devices.map((found, i) => ({ name: i === 0 ? name : "", found })), await cuda()];
}

/** Whether libtorch computes on a GPU here, or what lacks. */
async function cuda(): Promise<Finding> {
  const name = "CUDA";
  try {
    const torch = await import("@neobert/torch");
    return { name, found: `${torch.cudaDeviceCount()} usable as cuda:0 and on; ${loadedFile("libtorch_cuda") ?? ""}` };
  } catch (error) {
    const [found, remedy = "Run `npx neobert setup-torch --cuda`."] = (error as Error).message.split("\n");
    return { name, found: found!, remedy };
  }
}

function hub(): Finding[] {
  const token = accessToken() === undefined ? "no token" : "a token";
  return [
    { name: "Hub", found: `${hubCachePath()}, ${token}, ${isOffline() ? "offline by the environment" : "online"}` },
  ];
}

function disks(): Finding[] {
  return [
    ["cache", userCache()],
    ["", hubCachePath()],
    ["here", process.cwd()],
  ].map(([name, folder]) => ({ name: name!, found: `${freeSpace(folder!)} free for ${folder}` }));
}

/** Of the file system that a folder is on, or will be. */
function freeSpace(folder: string): string {
  let at = resolve(folder);
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  return gib(bavail * bsize);
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
