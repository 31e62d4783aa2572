// What this thread and build of libtorch are: threads, GPUs, version, live tensors, and the memory of tensors.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { addonPath, type Device, native } from "./native.js";

/** Sets the number of threads of this JavaScript thread's ops; before, it is libtorch's choice or what another thread set. */
export function setNumThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1)
    throw new RangeError(`setNumThreads: expected an integer of 1 or more, got ${threads}`);
  native.setNumThreads(threads);
}

export const getNumThreads: () => number = native.getNumThreads;

/** Tensors of this thread that have not been freed. */
export const liveTensors: () => number = native.liveTensors;

/** Whether a GPU can be used; loads CUDA where it is. */
export const cudaIsAvailable: () => boolean = native.cudaIsAvailable;

/** Throws where a GPU cannot be used: no driver, one too old, a library that is missing, no such GPU. Loads CUDA before that. */
export function useCuda(device: Device = "cuda"): void {
  native.useCuda(device, undefined);
}

/** GPUs that CUDA shows to this process. Throws where CUDA cannot be used. */
export function cudaDeviceCount(): number {
  useCuda();
  return native.cudaDeviceCount();
}

/** Waits until a GPU has done what it was asked for; the CPU has always. */
export function synchronize(device: Device): void {
  if (device.startsWith("cuda")) native.synchronize(device);
}

/**
 * How often each of libtorch's ops worked, in all threads, while `fn` ran, views and composed ops not counted: `{ "aten::add": 3 }`.
 * About what a GPU would have to launch, also of tensors on "meta".
 */
export function countOps(fn: () => void): Record<string, number> {
  native.startOpCounts();
  let lines: string[] = [];
  try {
    fn();
  } finally {
    lines = native.stopOpCounts();
  }
  return Object.fromEntries(lines.map((line) => line.split(" ")).map(([name, times]) => [name, Number(times)]));
}

/** libtorch's version, such as "2.9.1". */
export const version: () => string = native.version;

/** The vector instructions that libtorch's kernels use here: "DEFAULT", "AVX2" or "AVX512". */
export const cpuCapability: () => string = native.cpuCapability;

/** The vector instructions that our own kernels use here: "portable", "avx2", "avx512" or "avx512bf16". */
export const instructionSet: () => string = native.instructionSet;

let build: string | undefined;

/** Tells this build of our own kernels from others, of the same version too: 16 hexadecimal digits of its bytes' SHA-256. */
export function buildId(): string {
  build ??= createHash("sha256").update(readFileSync(addonPath)).digest("hex").slice(0, 16);
  return build;
}

/** Memory of the process's tensors on one device, in bytes; on the CPU those below 64 KiB are not counted. */
export interface MemoryStats {
  /** In use now. */
  allocatedBytes: number;
  /** The most that was in use at once. */
  peakBytes: number;
  /** Freed, and kept for the next tensors. */
  cachedBytes: number;
}

export function memoryStats(device: Device = "cpu"): MemoryStats {
  const stats = device === "cpu" ? native.memoryStats() : native.deviceMemoryStats(device);
  const [allocatedBytes, peakBytes, cachedBytes] = stats as [number, number, number];
  return { allocatedBytes, peakBytes, cachedBytes };
}

/** Gives memory that is kept for the next tensors of a device back to the system. */
export function emptyCache(device: Device = "cpu"): void {
  if (device === "cpu") native.emptyCache();
  else native.emptyDeviceCache(device);
}
