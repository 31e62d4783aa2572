// Where libtorch is: the folder LIBTORCH names, else the `torch` of the Python on the PATH if it is 2.9 or later (it may
// have CUDA), else one in the user's cache, fetched there once. Nothing here knows the repository: folders are arguments.
// Where CUDA is asked for, one without it is passed over, and its part is fetched beside the one in the cache. macOS is untested.
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fetchCuda, hasFetchedCuda } from "./fetch-cuda.mjs";
import { fetchLibtorch, LIBTORCH_VERSION } from "./fetch-libtorch.mjs";
import { readText, run, SetupError } from "./steps.mjs";

const OLDEST = [2, 9];

/** The folder for what is fetched once a user: NEOBERT_CACHE, else neobert under XDG_CACHE_HOME or ~/.cache. */
export function userCacheFolder(env = process.env) {
  return resolve(env.NEOBERT_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "neobert"));
}

/**
 * Finds libtorch, or fetches it into `cacheFolder`, and returns what `describeLibtorch` does, with a `summary`.
 * With `cuda` it is one whose CUDA part is there too, or fetched. Throws SetupError where LIBTORCH names no usable folder or the
 * fetch fails.
 */
export async function findLibtorch({ cacheFolder, cuda = false, env = process.env, note = () => {} }) {
  if (env.LIBTORCH) {
    const libtorch = await describeLibtorch(resolve(env.LIBTORCH));
    if (libtorch.problem) {
      throw new SetupError(
        `set-up: expected LIBTORCH to name a folder with libtorch ${OLDEST.join(".")} or later, got ${env.LIBTORCH} (${libtorch.problem})\n` +
          "unset LIBTORCH to have libtorch found or fetched, or name the folder that holds its include/ and lib/",
      );
    }
    if (cuda && !libtorch.cuda) {
      throw new SetupError(
        `set-up: expected LIBTORCH to name a libtorch with CUDA, got ${env.LIBTORCH}, which lacks libtorch_cuda.so or what that loads\n` +
          "unset LIBTORCH to have one with CUDA found or fetched, or name the torch folder of a Python that has it",
      );
    }
    return { ...libtorch, summary: `${libtorch.version} of LIBTORCH${cudaText(libtorch)}` };
  }
  const python = await pythonOnPath(env);
  if (python) {
    const spec =
      "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
    const { code, output } = await run(python, ["-c", spec], { env });
    if (code === 0 && output.trim()) {
      const libtorch = await describeLibtorch(output.trim());
      if (!libtorch.problem && (libtorch.cuda || !cuda)) {
        return { ...libtorch, summary: `${libtorch.version} of Python's torch${cudaText(libtorch)}` };
      }
    }
  }
  const cached = join(cacheFolder, `libtorch-${LIBTORCH_VERSION}-${process.platform}-${process.arch}`);
  const source = existsSync(cached) ? undefined : await fetchLibtorch({ target: cached, python, note });
  if (cuda && !hasFetchedCuda(cached)) await fetchCuda({ folder: cached, version: LIBTORCH_VERSION, python, note });
  const libtorch = await usable(join(cached, "torch"));
  const from = source ? `fetched (${source})` : "in the user's cache";
  return { ...libtorch, summary: `${LIBTORCH_VERSION} ${from}${cudaText(libtorch)}` };
}

/**
 * Reads a libtorch folder: `{ folder, include, lib, version, libgomp, cuda }`, with `problem` set where it cannot be
 * used. `libgomp` is the OpenMP library that libtorch_cpu itself loads, if it lies beside it; `cuda` says that libtorch_cuda and
 * all that it loads are there.
 */
export async function describeLibtorch(folder) {
  const include = join(folder, "include");
  const lib = join(folder, "lib");
  const version = headerVersion(include);
  if (!version) return { problem: "it has no torch/version.h" };
  const [major, minor] = version.split(".").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) return { problem: `it is ${version}` };
  const extension = process.platform === "darwin" ? "dylib" : "so";
  for (const name of ["libtorch_cpu", "libc10"]) {
    if (!existsSync(join(lib, `${name}.${extension}`))) return { problem: `it has no lib/${name}.${extension}` };
  }
  const openmp = readdirSync(lib).find((name) => /^lib(gomp|omp|iomp5)\b.*\.(so|dylib)/.test(name));
  return {
    folder: realpathSync(folder),
    include,
    lib,
    version,
    libgomp: openmp && join(lib, openmp),
    cuda: await hasCuda(lib),
  };
}

/** The first of python3 and python that runs, or undefined. */
async function pythonOnPath(env) {
  for (const name of ["python3", "python"]) {
    const { code, output } = await run(name, ["-c", "import sys; print(sys.version_info[0])"], { env });
    if (code === 0 && output.trim() === "3") return name;
  }
  return undefined;
}

async function usable(folder) {
  const libtorch = await describeLibtorch(folder);
  if (!libtorch.problem) return libtorch;
  throw new SetupError(
    `set-up: expected libtorch ${LIBTORCH_VERSION} in ${folder}, got a folder that cannot be used (${libtorch.problem})\n` +
      "delete that folder and run the command again",
  );
}

function headerVersion(include) {
  for (const path of ["torch/csrc/api/include/torch/version.h", "torch/headeronly/version.h"]) {
    const header = readText(join(include, path));
    const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => header?.match(`TORCH_VERSION_${part} (\\d+)`)?.[1]);
    if (parts.every(Boolean)) return parts.join(".");
  }
  return undefined;
}

async function hasCuda(lib) {
  const library = join(lib, "libtorch_cuda.so");
  if (!existsSync(library)) return false;
  const { code, output } = await run("ldd", [library]);
  return code === 0 && !output.includes("not found");
}

function cudaText({ cuda }) {
  return cuda ? ", with CUDA" : "";
}
