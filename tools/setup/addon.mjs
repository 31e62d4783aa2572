// Compiles the Node-API addon against a libtorch folder with node-gyp. Unchanged sources are not looked at again (a hash
// in build/ tells), changed ones are recompiled one by one by make; another libtorch rebuilds all. The binary uses
// Node-API only, so it serves every Node version, and CUDA is loaded when it runs, so it serves a libtorch with it and without. Folders are arguments: the published package compiles with this too.
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { hashFiles, listFiles, readText, run, SetupError, tail } from "./steps.mjs";

const BYTES_A_COMPILER = 2e9; // libtorch's headers are large

/**
 * Makes `nativeFolder/build/Release/torch.node` and returns what it did. `libtorch` is `findLibtorch`'s result, `nodeGyp`
 * the path of node-gyp's script. Throws SetupError with the compiler's last lines; the rest is in `logFile`. A build of
 * another kind adds to the environment of the compiler (`compileEnv`) and of the process that tries the addon (`loadEnv`).
 */
export async function buildAddon({ nativeFolder, libtorch, nodeGyp, logFile, note = () => {}, compileEnv, loadEnv }) {
  const addon = join(nativeFolder, "build", "Release", "torch.node");
  const stamp = join(nativeFolder, "build", "sources.sha256");
  const sources = listFiles(nativeFolder, () => true);
  const against = JSON.stringify([libtorch.folder, libtorch.version, process.platform, process.arch, compileEnv]);
  const hash = hashFiles(sources, against);
  const previous = readText(stamp)?.split("\n");
  if (existsSync(addon) && previous?.[0] === hash) return "up to date";
  if (previous?.[1] !== against) rmSync(join(nativeFolder, "build"), { recursive: true, force: true });

  await checkTools();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, `not built\n${against}`);
  const gyp = (command, args) =>
    run(process.execPath, [nodeGyp, command, ...headers(), ...args], {
      cwd: nativeFolder,
      env: compileEnv,
      logFile,
      onLine: (line) => line.includes("CXX(target)") && note(`compiling ${line.trim().split("/").at(-1)}`),
    });
  const variables = {
    libtorch_include: libtorch.include,
    libtorch_lib: libtorch.lib,
    libtorch_openmp: libtorch.libgomp ?? "",
  };
  const defines = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  const jobs = Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / BYTES_A_COMPILER)));
  for (const [command, args] of [
    ["configure", ["--", ...defines]],
    ["build", ["--jobs", String(jobs)]],
  ]) {
    const { code, output } = await gyp(command, args);
    if (code !== 0) {
      throw new SetupError(
        `${compilerErrors(output)}\nset-up: the addon does not compile\n` +
          `mend the first error above (the whole output is in ${logFile}), or delete ${join(nativeFolder, "build")} after a change of compiler`,
      );
    }
  }
  const loaded = await run(process.execPath, ["-e", `require(${JSON.stringify(addon)})`], { env: loadEnv });
  if (loaded.code !== 0) {
    const reason = loaded.output.match(/Error: (.*)/)?.[1] ?? tail(loaded.output, 3);
    throw new SetupError(
      `set-up: the addon is compiled but does not load (${reason})\n` +
        "set LIBTORCH to a whole libtorch, or unset it and delete the one in the user's cache to have it fetched anew",
    );
  }
  writeFileSync(stamp, `${hash}\n${against}`);
  return `compiled, ${jobs} at a time`;
}

// Node's own headers, where they lie beside it as in its archives; else node-gyp fetches them.
function headers() {
  const folder = dirname(dirname(process.execPath));
  return existsSync(join(folder, "include", "node", "node_api.h")) ? ["--nodedir", folder] : [];
}

async function checkTools() {
  const wanted = [process.env.CXX || (process.platform === "darwin" ? "clang++" : "g++"), "make"];
  const missing = [];
  for (const name of wanted) if ((await run(name, ["--version"])).code !== 0) missing.push(name);
  if (missing.length > 0) {
    throw new SetupError(
      `set-up: expected ${wanted.join(" and ")} on the PATH to compile the addon, found no ${missing.join(", no ")}\n` +
        "install them (Debian, Ubuntu: apt install g++ make; macOS: xcode-select --install)",
    );
  }
}

// From the first error to where make gives up; node-gyp's own report after it says nothing more.
function compilerErrors(output) {
  const lines = output.split("\n");
  const first = lines.findIndex((line) => /\berror:/.test(line));
  if (first < 0) return tail(output);
  const rest = lines.slice(first, first + 30);
  const end = rest.findIndex((line) => /^make/.test(line));
  return rest.slice(0, end < 0 ? rest.length : end).join("\n");
}
