// What is said where a GPU cannot be used, each thing that lacks made by stub libraries, in processes of their own as a library
// that is loaded stays so; and the parts of a GPU's way that need none.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addonPath, native } from "./native.js";

const canStub = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;
const hasDriver = existsSync("/proc/driver/nvidia/version");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-stubs-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function library(path: string, source: string, ...flags: string[]): void {
  mkdirSync(join(path, ".."), { recursive: true });
  const file = `${path}.c`;
  writeFileSync(file, source);
  const name = path.split("/").at(-1)!;
  const { status, stderr } = spawnSync("cc", ["-shared", "-fPIC", `-Wl,-soname,${name}`, "-o", path, file, ...flags], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
}

interface Driver {
  version: number;
  init?: number;
  devices?: number;
}

/** A folder with a driver. */
function driver(name: string, { version, init = 0, devices = 1 }: Driver): string {
  library(
    join(folder, name, "libcuda.so.1"),
    `int cuInit(unsigned flags) { return ${init}; }
     int cuDriverGetVersion(int *version) { *version = ${version}; return 0; }
     int cuDeviceGetCount(int *count) { *count = ${devices}; return 0; }`,
  );
  return join(folder, name);
}

/** What asking for the GPU says, with these folders for the driver and for libtorch_cuda. */
function said({ driver = "", libtorch = folder, device = "cuda", env = {} }): string {
  const script =
    "const [, addon, device, folder] = process.argv; const native = require(addon);" +
    "try { native.useCuda(device, folder); console.log('used'); } catch (error) { console.log(error.message); }";
  const { stdout } = spawnSync(process.execPath, ["-e", script, addonPath, device, libtorch], {
    encoding: "utf8",
    env: { ...process.env, LD_LIBRARY_PATH: driver, ...env },
  });
  return stdout.trim();
}

describe.skipIf(!canStub)("a GPU that cannot be used", () => {
  test.skipIf(hasDriver)("without a driver is refused in one sentence, by every way to ask for it", () => {
    const expected =
      /^device: expected an NVIDIA driver for cuda, got none: .*libcuda\.so\.1\nInstall the driver, .*the cpu\.$/;
    expect(said({})).toMatch(expected);
    expect(native.cudaIsAvailable()).toBe(false);
    expect(() => native.empty([2], "float32", "cuda")).toThrow(/^empty: expected an NVIDIA driver for cuda, got none/);
    expect(() => native.makeGenerator(1, "cuda:1")).toThrow(/^makeGenerator: expected an NVIDIA driver/);
  });

  test("whose driver does not start or shows none is refused with what the driver says", () => {
    expect(said({ driver: driver("mismatch", { version: 12040, init: 803 }) })).toMatch(
      /starts, got error 803 of cuInit from the driver for CUDA 12\.4\n.*restarted/,
    );
    const empty = driver("empty", { version: 12080, init: 100 });
    expect(said({ driver: empty, env: { CUDA_VISIBLE_DEVICES: "7" } })).toMatch(
      /expected a GPU for cuda, got none from the driver with CUDA_VISIBLE_DEVICES=7\nSee what `nvidia-smi -L` lists/,
    );
    expect(said({ driver: driver("none", { version: 12080, devices: 0 }) })).toMatch(/got none from the driver/);
  });

  test("whose libraries are missing is refused with the library's name and the command that fetches it", () => {
    const good = driver("good", { version: 12080 });
    const bare = join(folder, "bare");
    mkdirSync(bare);
    expect(said({ driver: good, libtorch: bare })).toBe(
      `device: expected libtorch_cuda.so beside libtorch for cuda, got none in ${bare}\n` +
        "Run `npx neobert setup-torch --cuda`, which fetches it, or `pip install --force-reinstall torch` where libtorch is a Python's.",
    );
    const half = join(folder, "half");
    library(join(half, "libcublas.so.99"), "int cublas(void) { return 0; }");
    const linked = ["-Wl,--no-as-needed", "-L", half, "-l:libcublas.so.99"];
    library(join(half, "libtorch_cuda.so"), "int ours(void) { return 0; }", ...linked);
    rmSync(join(half, "libcublas.so.99"));
    expect(said({ driver: good, libtorch: half })).toMatch(
      /^device: expected libcublas\.so\.99, which libtorch_cuda\.so loads, got no such library\nRun `npx neobert setup-torch --cuda`/,
    );
    writeFileSync(join(bare, "libtorch_cuda.so"), "no library");
    expect(said({ driver: good, libtorch: bare })).toMatch(/expected a libtorch_cuda\.so that loads, got: .*\nRun/);
  });

  test("that CUDA does not get is refused with CUDA's words", () => {
    const libtorch = join(folder, "busy");
    library(
      join(libtorch, "libtorch_cuda.so"),
      `int cudaGetDeviceCount(int *count) { return 46; }
       const char *cudaGetErrorString(int code) { return "CUDA-capable device(s) is/are busy or unavailable"; }`,
    );
    expect(said({ driver: driver("fine", { version: 12080 }), libtorch })).toMatch(
      /expected CUDA to start, got error 46: CUDA-capable device\(s\) is\/are busy or unavailable\n.*compute mode/,
    );
  });

  test("whose driver is too old for this libtorch's CUDA is refused with both versions", () => {
    const libtorch = join(folder, "made-with-12");
    library(
      join(libtorch, "libtorch_cuda.so"),
      "int cudaRuntimeGetVersion(int *version) { *version = 12080; return 0; }",
    );
    expect(said({ driver: driver("old", { version: 11040 }), libtorch })).toMatch(
      /expected a driver for CUDA 12 or later, as this libtorch is made with CUDA 12\.8, got one for CUDA 11\.4\nUpdate the driver, or/,
    );
    // An older one of the same major version serves (CUDA's minor version compatibility): the next thing that lacks is named.
    expect(said({ driver: driver("minor", { version: 12020 }), libtorch })).toMatch(
      /expected a libtorch that finds CUDA/,
    );
  });
});

test("a GPU that is full is told with what this process holds and the settings that help, and the CPU as before", () => {
  const message =
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB of which 1.2 GiB is free. " +
    "Process 4711 has 40.00 GiB memory in use. Of the allocated memory 30 GiB is allocated by PyTorch, and 2 GiB is reserved";
  const text = native.outOfMemoryText(message, [3 << 20, 5 << 20, 1 << 20]);
  expect(text).toBe(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB of which 1.2 GiB is free. " +
      "Process 4711 has 40.00 GiB memory in use. This process has 3 MiB in use, had at most 5 MiB, and keeps 1 MiB more for its next tensors.\n" +
      "Compute fewer tokens at a time (microBatchTokens of a run, batchTokens of an encoder), set activationCheckpointing: true or dtype: bf16; " +
      "`nvidia-smi` shows what other processes hold of this GPU.",
  );
});
