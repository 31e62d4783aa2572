// `npm run test:cuda-build`: the addon compiled against a libtorch with CUDA, in .cache/cuda-build and beside the usual one, and
// the tests of packages/torch and of the model over it, in processes that have all of CUDA's libraries loaded: what computes on
// the CPU is to compute the same with them. It needs no GPU. CUDA's libraries (3.6 GB) are fetched once into the user's cache
// where no Python on the PATH has them; that is why continuous integration does not run it. Names of test files run those alone.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "./setup/addon.mjs";
import { findLibtorch, userCacheFolder } from "./setup/libtorch.mjs";
import { run, SetupError, step, tail, withLock } from "./setup/steps.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, ".cache", "cuda-build");
const native = join(folder, "native");
const logFile = join(folder, "cuda-build.log");

// They start compilers, or look at what their processes print: CUDA's libraries are slow to load and print at it.
const OF_PROCESSES = /^(?!.*(a GPU that cannot be used|say once which interface))/;
const TESTS = ["packages/torch", "packages/neobert/src/model"];

async function build() {
  const libtorch = await step("libtorch", (note) => findLibtorch({ cacheFolder: userCacheFolder(), cuda: true, note }));
  cpSync(join(root, "packages", "torch", "native"), native, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !path.endsWith("native/build"),
  });
  const emulated = join(root, "packages", "torch", "test", "native", "emulated-attention.cc");
  cpSync(emulated, join(native, "emulated-attention.cc"), { preserveTimestamps: true });
  const nodeGyp = join(root, "node_modules", "node-gyp", "bin", "node-gyp.js");
  await step("addon", (note) => buildAddon({ nativeFolder: native, libtorch, nodeGyp, logFile, note }));
  return libtorch;
}

async function test({ lib }, files) {
  const env = {
    NEOBERT_ADDON: join(native, "build", "Release", "torch.node"),
    LD_PRELOAD: join(lib, "libtorch_cuda.so"),
  };
  await step("tests", async () => {
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    const { code, output } = await run(
      process.execPath,
      [vitest, "run", "--no-color", "--testNamePattern", OF_PROCESSES.source, ...files],
      {
        cwd: root,
        env,
        logFile,
      },
    );
    if (code === 0)
      return (
        output
          .split("\n")
          .find((line) => /^ +Tests /.test(line))
          ?.trim() ?? ""
      );
    process.exitCode = 1;
    return `failed\n${tail(output, 60)}`;
  });
}

try {
  if (process.platform !== "linux") throw new SetupError("test:cuda-build: skipped, as there is no CUDA but on Linux");
  await withLock(join(folder, "lock"), async () => {
    mkdirSync(folder, { recursive: true });
    rmSync(logFile, { force: true });
    await test(await build(), process.argv.length > 2 ? process.argv.slice(2) : TESTS);
  });
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
