// Virtual environments with Python's libraries, in .cache/peers/, made from `requirements-NAME.txt`: for the peers' checks and
// for benchmarks against them.
import { rmSync, writeFileSync } from "node:fs";
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
