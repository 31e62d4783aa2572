// `npm run test:peers [-- NAME...] [--plot]`: the checks against Python's libraries and llama.cpp, the clients of other
// servers against ours, then all tests on the newest Node.
// A check NAME is two scripts beside this file: NAME.mjs writes what we make into a folder, NAME.py reads it with their
// libraries (and may write theirs, which `NAME.mjs read` takes). Virtual environments, Node and files are in .cache/peers/.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SetupError, step } from "../../tools/setup/steps.mjs";
import { cache, installPackages, logFile, makeEnvironment, pythonOf, succeed } from "./environments.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");

const environments = ["transformers-4", "transformers-5"];
const checks = [
  { name: "events", environments: ["transformers-4"] },
  { name: "tensors", environments, reads: true },
  { name: "tokenizer", environments, reads: true },
  { name: "outputs", environments: ["transformers-5"] },
  { name: "folders", environments, reads: true },
  { name: "training", environments: ["transformers-4"] },
  { name: "distributed", environments: ["transformers-4"] },
  { name: "evaluate", environments: ["transformers-4"] },
];

const everyEnvironment = [...environments, "onnx", "clients"];

const words = process.argv.slice(2);
const plot = words.includes("--plot");
const wanted = words.filter((word) => word !== "--plot");
const isWanted = (name) => wanted.length === 0 || wanted.includes(name);

// Compiled modules are kept, and not beside the sources.
const bytecode = { PYTHONPYCACHEPREFIX: join(cache, "pycache"), PYTHONDONTWRITEBYTECODE: "" };
const lastLine = (output) => output.split("\n").at(-1);

async function runCheck({ name, environments, reads = false }) {
  const files = join(cache, "files", name);
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files, { recursive: true });
  const ours = (mode) => succeed(process.execPath, [join(here, `${name}.mjs`), mode, files]);
  await ours("write");
  const lines = [];
  for (const environment of environments) {
    const env = { HF_HUB_OFFLINE: "1", MPLBACKEND: "agg", ...bytecode };
    lines.push(lastLine(await succeed(pythonOf(environment), [join(here, `${name}.py`), files], { env })));
    if (reads) lines.push(lastLine(await ours("read")));
  }
  if (plot && name === "training") {
    copyFileSync(join(files, "parity.svg"), join(root, "docs", "pytorch-parity.svg"));
  }
  return [...new Set(lines)].join("; ");
}

/** Our GGUF files in llama.cpp, as the prebuilt binary of node-llama-cpp for the processor. */
async function runGguf() {
  const folder = await installPackages("node-llama-cpp");
  const files = join(cache, "files", "gguf");
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files, { recursive: true });
  return lastLine(await succeed(process.execPath, [join(here, "gguf.mjs"), files, folder]));
}

/** Our ONNX files in transformers.js, in onnxruntime-web, which it brings along, and in ONNX's checker. */
async function runOnnx() {
  const folder = await installPackages("transformers-js");
  const files = join(cache, "files", "onnx");
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files, { recursive: true });
  const ours = lastLine(await succeed(process.execPath, [join(here, "onnx-export.mjs"), files, folder]));
  return `${ours}; ${lastLine(await succeed(pythonOf("onnx"), [join(here, "onnx-export.py"), files], { env: bytecode }))}`;
}

/** Clients of npm and PyPI against our server; npm's are installed from a lock file of their own, away from the sources. */
async function runClients() {
  const folder = join(cache, "clients-node");
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(join(here, "clients"))) copyFileSync(join(here, "clients", name), join(folder, name));
  await succeed("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]);
  const files = join(cache, "files", "clients");
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files, { recursive: true });
  return lastLine(await succeed(process.execPath, [join(here, "clients.mjs"), files, folder, pythonOf("clients")]));
}

/** A check that needs no Python: NAME.mjs, given an empty folder, says in its last line what it found. */
async function runAlone(name) {
  const files = join(cache, "files", name);
  rmSync(files, { recursive: true, force: true });
  mkdirSync(files, { recursive: true });
  return lastLine(await succeed(process.execPath, [join(here, `${name}.mjs`), files]));
}

/** Every test of `npm test`, on the newest Node that npm has; the addon is the one compiled for this Node. */
async function testOnNewestNode(note) {
  const folder = join(cache, "node");
  await succeed("npm", ["install", "--no-audit", "--no-fund", "--prefix", folder, "node@latest"]);
  const bin = join(folder, "node_modules", "node", "bin");
  const node = join(bin, "node");
  const version = await succeed(node, ["--version"]);
  const output = await succeed(node, [join(root, "node_modules", "vitest", "vitest.mjs"), "run"], {
    env: { PATH: `${bin}${delimiter}${process.env.PATH}`, NO_COLOR: "1" },
    onLine: (line) => note(line.trim()),
  });
  return `${version}: ${/Tests +(.*)/.exec(output)?.[1]}`;
}

const results = { passed: 0, failed: 0 };
async function check(name, work) {
  if (!isWanted(name)) return;
  try {
    await step(name, work);
    results.passed++;
  } catch (error) {
    console.log(`${name.padEnd(12)}failed: ${error instanceof SetupError ? error.message : error.stack}`);
    results.failed++;
  }
}

rmSync(logFile, { force: true });
const needed = checks.filter(({ name }) => isWanted(name)).flatMap(({ environments }) => environments);
const made = [];
needed.push(...["onnx", "clients"].filter(isWanted));
for (const name of everyEnvironment.filter((name) => needed.includes(name))) {
  try {
    await step(name.replace("transformers", "python"), (note) => makeEnvironment(name, note));
    made.push(name);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    results.failed++;
  }
}
for (const entry of checks) {
  if (entry.environments.every((name) => made.includes(name))) await check(entry.name, () => runCheck(entry));
}
await check("gguf", runGguf);
if (made.includes("onnx")) await check("onnx", runOnnx);
if (made.includes("clients")) await check("clients", runClients);
await check("package", () => runAlone("package"));
await check("browser", () => runAlone("browser"));
await check("deploy", () => runAlone("deploy"));
await check("node", testOnNewestNode);
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exitCode = results.failed > 0 || results.passed === 0 ? 1 : 0;
