// Makes a fresh clone ready to run: npm packages, libtorch, the addon, the compiled TypeScript, the page of the server, one printed line each.
// `npm start`, `npm test` and `npm run setup` call it. It needs Node, g++, make and Python's pip, and nothing installed.
// `npm run setup` asks whether CUDA is to be used where a GPU answers; NEOBERT_CUDA=1 or 0 decides it.
// What is done already is seen by hashes and takes well under two seconds. Logs and stamps are in .cache/.
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "./setup/addon.mjs";
import { findLibtorch, userCacheFolder } from "./setup/libtorch.mjs";
import { checkNode, installPackages } from "./setup/packages.mjs";
import { bundlePage } from "./setup/page.mjs";
import { SetupError, step, withLock } from "./setup/steps.mjs";
import { compileTypeScript } from "./setup/typescript.mjs";
import { wantedCuda } from "./setup/wanted-cuda.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const local = (...parts) => join(root, ".cache", "setup", ...parts);
const torch = join(root, "packages", "torch");
const neobert = join(root, "packages", "neobert");

async function setUp() {
  checkNode(20);
  const logFile = local("setup.log");
  rmSync(logFile, { force: true });
  await step("packages", () => installPackages({ root, logFile }));
  const cuda = await wantedCuda({ isAsking: process.env.npm_lifecycle_event === "setup" });
  const libtorch = await step("libtorch", (note) => findLibtorch({ cacheFolder: userCacheFolder(), cuda, note }));
  await step("addon", (note) =>
    buildAddon({
      nativeFolder: join(torch, "native"),
      libtorch,
      nodeGyp: join(root, "node_modules", "node-gyp", "bin", "node-gyp.js"),
      logFile,
      note,
    }),
  );
  await step("typescript", () =>
    compileTypeScript({ root, workspaces: [torch, neobert], stamp: local("typescript.sha256"), logFile }),
  );
  await step("page", () => bundlePage({ root, stamp: local("page.sha256"), logFile }));
}

try {
  await withLock(local("lock"), setUp);
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
