// In the folder that tools/gpu-bundle.mjs makes, `run test` and `run bench`: finds the torch with CUDA of this machine's Python,
// compiles the addon where it was made for another version, and starts the tests or the benchmark.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "../setup/addon.mjs";
import { findLibtorch } from "../setup/libtorch.mjs";
import { SetupError, step } from "../setup/steps.mjs";

const bundle = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const [what, ...rest] = process.argv.slice(2);
const script = { test: "test/gpu/run.mjs", bench: "bench/gpu.mjs" }[what];

/** libtorch's C++ interface is that of a minor version. */
const minor = (version) => version.split(".").slice(0, 2).join(".");

try {
  if (!script) throw new SetupError(`run: expected test or bench, got ${what ?? "nothing"}\nneobert-gpu/run test`);
  const cacheFolder = join(bundle, "cache");
  const cuda = process.env.NEOBERT_CUDA !== "0";
  const libtorch = await step("libtorch", (note) => findLibtorch({ cacheFolder, cuda, note }));
  const nodeGyp = join(bundle, "node_modules", "node-gyp", "bin", "node-gyp.js");
  const nativeFolder = join(bundle, "packages", "torch", "native");
  if (minor(readFileSync(join(bundle, "libtorch-version"), "utf8")) !== minor(libtorch.version)) {
    const logFile = join(bundle, "build.log");
    await step("addon", (note) => buildAddon({ nativeFolder, libtorch, nodeGyp, logFile, note }));
  }
  const LD_LIBRARY_PATH = [libtorch.lib, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  const { status } = spawnSync(process.execPath, [join(bundle, script), ...rest], {
    stdio: "inherit",
    cwd: bundle,
    env: { ...process.env, LD_LIBRARY_PATH },
  });
  process.exitCode = status ?? 1;
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
