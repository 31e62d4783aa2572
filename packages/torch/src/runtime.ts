// What this thread and build of libtorch are: threads, CUDA, version, live tensors, and the memory of CPU tensors.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { addonPath, native } from "./native.js";

/** Sets the number of threads of this JavaScript thread's ops; before, it is libtorch's choice or what another thread set. */
export function setNumThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1)
    throw new RangeError(`setNumThreads: expected an integer of 1 or more, got ${threads}`);
  native.setNumThreads(threads);
}

export const getNumThreads: () => number = native.getNumThreads;

/** Tensors of this thread that have not been freed. */
export const liveTensors: () => number = native.liveTensors;

export const cudaIsAvailable: () => boolean = native.cudaIsAvailable;

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

/** Memory of the process's CPU tensors, in bytes, those below 64 KiB not counted. */
export interface MemoryStats {
  /** In use now. */
  allocatedBytes: number;
  /** The most that was in use at once. */
  peakBytes: number;
  /** Freed, and kept for the next tensors. */
  cachedBytes: number;
}

export function memoryStats(): MemoryStats {
  const [allocatedBytes, peakBytes, cachedBytes] = native.memoryStats() as [number, number, number];
  return { allocatedBytes, peakBytes, cachedBytes };
}

/** Gives memory that is kept for the next CPU tensors back to the system. */
export const emptyCache: () => void = native.emptyCache;
