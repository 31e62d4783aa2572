// Virtual environments with Python's libraries, made from `requirements-NAME.txt`, and npm packages in folders of their own,
// both in .cache/peers/: for the peers' checks and for benchmarks against them.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { hashFiles, readText, run, SetupError, tail } from "../../tools/setup/steps.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
export const cache = join(root, ".cache", "peers");
export const logFile = join(cache, "peers.log");
const python = process.env.PYTHON || "python3";

/** Runs a program to its end and returns its output; throws with the end of it where the program fails. */
export async function succeed(program, args, options = {}) {
  const { code, output } = await run(program, args, { cwd: root, logFile, ...options });
  if (code === 0) return output.trimEnd();
  const name = [program, ...args].join(" ").replaceAll(`${root}/`, "");
  throw new SetupError(
    `${name}: expected exit code 0, got ${code}\n${tail(output)}\nThe whole output is in ${logFile}.`,
  );
}

export const pythonOf = (environment) => join(cache, environment, "bin", "python");

/** Makes a virtual environment of the versions in `requirements-NAME.txt`, or leaves the one that has them. */
export async function makeEnvironment(name, note) {
  const requirements = join(here, `requirements-${name}.txt`);
  const folder = join(cache, name);
  const stamp = join(folder, "requirements.sha256");
  const hash = hashFiles([requirements], await succeed(python, ["--version"]));
  if (readText(stamp) === hash) return "up to date";
  rmSync(folder, { recursive: true, force: true });
  await succeed(python, ["-m", "venv", folder]);
  await succeed(pythonOf(name), ["-m", "pip", "install", "--quiet", "uv"]);
  const index = await run(python, ["-m", "pip", "config", "get", "global.index-url"]);
  const mirror = process.env.PIP_INDEX_URL || (index.code === 0 && index.output.trim()); // uv does not read pip's settings
  const uv = ["-m", "uv", "pip", "install", "--python", pythonOf(name), "-r", requirements];
  const env = { UV_HTTP_TIMEOUT: "120", ...(mirror && { UV_DEFAULT_INDEX: mirror }) };
  await succeed(pythonOf(name), uv, { env, onLine: (line) => note(line.trim()) });
  writeFileSync(stamp, hash);
  return "installed";
}

const llamaVersion = "3.22.1";
const llamaBinaries = { "darwin-arm64": "mac-arm64-metal", "darwin-x64": "mac-x64", "win32-x64": "win-x64" };
const platform = `${process.platform}-${process.arch}`;

/** The npm packages that are run or measured against; llama.cpp is node-llama-cpp's prebuilt binary for the processor. */
export const peerPackages = {
  "transformers-js": ["@huggingface/transformers@4.3.1"],
  "node-llama-cpp": [
    `node-llama-cpp@${llamaVersion}`,
    `@node-llama-cpp/${llamaBinaries[platform] ?? platform}@${llamaVersion}`,
  ],
};

/** Installs the packages of that name without running their scripts, or leaves those that are there; returns the folder. */
export async function installPackages(name) {
  const folder = join(cache, name);
  const stamp = join(folder, "packages.txt");
  const packages = peerPackages[name].join("\n");
  if (readText(stamp) === packages) return folder;
  mkdirSync(folder, { recursive: true });
  const optional = name === "node-llama-cpp" ? ["--omit=optional"] : []; // binaries for other processors and GPUs
  const flags = ["--no-audit", "--no-fund", "--ignore-scripts", ...optional, "--prefix", folder];
  await succeed("npm", ["install", ...flags, ...peerPackages[name]]);
  writeFileSync(stamp, packages);
  return folder;
}
