// The npm packages: installed when what lies in node_modules is not what package-lock.json names. `npm install` and not
// `npm ci`: it leaves what fits in place, and a lock file written where some platforms' packages were not to be had serves too.
// onnxruntime-node's own download at install time is switched off: the package carries the CPU libraries it needs.
import { join } from "node:path";
import { readText, run, SetupError, tail } from "./steps.mjs";

/** Throws unless this Node is of major version `major` or later. */
export function checkNode(major) {
  const [current] = process.versions.node.split(".").map(Number);
  if (current < major) {
    throw new SetupError(
      `set-up: expected Node ${major} or later, got ${process.versions.node}\ninstall a newer Node and run the command again`,
    );
  }
}

/** Installs the packages of the lock file in `root` unless they are there; returns what it did. */
export async function installPackages({ root, logFile }) {
  const missing = missingPackages(root);
  if (missing.length === 0) return "up to date with package-lock.json";
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm?.endsWith("js") ? [process.execPath, npm] : ["npm"];
  const { code, output } = await run(program, [...first, "install", "--no-save", "--no-audit", "--no-fund"], {
    cwd: root,
    env: { ONNXRUNTIME_NODE_INSTALL: "skip" },
    logFile,
  });
  if (code !== 0) {
    const reasons = output.split("\n").filter((line) => /^npm err/i.test(line));
    throw new SetupError(
      `${reasons.slice(0, 8).join("\n") || tail(output, 8)}\nset-up: npm install failed\n` +
        `check the network and npm's proxy and registry settings (the whole output is in ${logFile})`,
    );
  }
  return `${missing.length} from npm installed`;
}

// npm keeps a copy of the lock file of what it has installed; optional packages of other platforms are not in it.
function missingPackages(root) {
  const wanted = JSON.parse(readText(join(root, "package-lock.json"))).packages;
  const installed = JSON.parse(readText(join(root, "node_modules", ".package-lock.json")) ?? "{}").packages ?? {};
  return Object.keys(wanted).filter((path) => {
    if (!path.includes("node_modules/")) return false;
    const found = installed[path];
    return found ? found.version !== wanted[path].version : !wanted[path].optional;
  });
}
