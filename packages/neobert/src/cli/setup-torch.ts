// `neobert setup-torch`: makes `engine: "torch"` and training work where the package is installed: finds or fetches libtorch
// and compiles the addon from the sources in the package. The steps are the repository's own, tools/setup/.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command } from "commander";

interface Libtorch {
  summary: string;
}

interface Setup {
  userCacheFolder(): string;
  findLibtorch(options: { cacheFolder: string; cuda: boolean; note: Note }): Promise<Libtorch>;
  buildAddon(options: {
    nativeFolder: string;
    libtorch: Libtorch;
    nodeGyp: string;
    logFile: string;
    note: Note;
  }): Promise<string>;
  step<T>(title: string, work: (note: Note) => Promise<T>): Promise<T>;
  withLock<T>(file: string, work: () => Promise<T>): Promise<T>;
}
type Note = (text: string) => void;

export function setupTorchCommand(): Command {
  return new Command("setup-torch")
    .description(
      "Finds libtorch (LIBTORCH, Python's torch) or fetches it once into the user's cache, and compiles the addon that " +
        "training and engine torch need. Needs g++ or clang++, make and Python 3 with pip.",
    )
    .option(
      "--cuda",
      "one with CUDA: Python's torch where it has it, else 3.6 GB more are fetched beside the one in the cache (5.8 GB on the disk); a fetch that was cut off goes on where it stopped",
      process.env.NEOBERT_CUDA === "1",
    )
    .action(run);
}

async function run({ cuda }: { cuda: boolean }): Promise<void> {
  const { userCacheFolder, findLibtorch, buildAddon, step, withLock } = await loadSetup();
  const require = createRequire(import.meta.url);
  const nativeFolder = join(dirname(require.resolve("@neobert/torch/package.json")), "native");
  const nodeGyp = findNodeGyp(require);
  const cacheFolder = userCacheFolder();
  const logFile = join(cacheFolder, "setup-torch.log");
  await withLock(join(cacheFolder, "setup-torch.lock"), async () => {
    const libtorch = await step("libtorch", (note) => findLibtorch({ cacheFolder, cuda, note }));
    await step("addon", (note) => buildAddon({ nativeFolder, libtorch, nodeGyp, logFile, note }));
  });
  console.log('engine: "torch" and neobert/train are ready');
}

/** The set-up's scripts: in the published package `setup/`, in the repository `tools/setup/`. */
async function loadSetup(): Promise<Setup> {
  const folders = ["../../setup/", "../../../../tools/setup/"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const folder = folders.find((folder) => existsSync(join(folder, "addon.mjs")));
  if (!folder) throw new Error(`internal: no set-up scripts in ${folders.join(" or ")}`);
  const modules = await Promise.all(
    ["libtorch.mjs", "addon.mjs", "steps.mjs"].map((name) => import(pathToFileURL(join(folder, name)).href)),
  );
  return Object.assign({}, ...modules);
}

/** node-gyp's script: one that is installed, or npm's own. */
function findNodeGyp(require: NodeJS.Require): string {
  const script = join("node_modules", "node-gyp", "bin", "node-gyp.js");
  const bin = dirname(process.execPath);
  const npmFolders = [
    ...(process.env.npm_execpath ? [join(dirname(process.env.npm_execpath), "..")] : []),
    join(bin, "..", "lib", "node_modules", "npm"),
    join(bin, "node_modules", "npm"),
  ];
  const found = npmFolders.map((folder) => join(folder, script)).find((path) => existsSync(path));
  if (found) return found;
  try {
    return join(dirname(require.resolve("node-gyp/package.json")), "bin", "node-gyp.js");
  } catch {
    throw new Error(
      "setup-torch: expected node-gyp, in npm or beside this package, got neither\nInstall it: npm install node-gyp",
    );
  }
}
