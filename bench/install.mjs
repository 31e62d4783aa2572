// Size of an install from npm alone: the packed `neobert` and transformers.js, each in an empty folder, MiB of node_modules.
//   npm run bench -- install
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { peerPackages } from "../test/peers/environments.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "neobert-install-"));
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
const npm = (args, cwd) =>
  execFileSync("npm", [...args, "--silent", "--no-audit", "--no-fund"], {
    cwd,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });

function sizeOf(name, what) {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }');
  npm(["install", what], project);
  const du = (path) => Number(execFileSync("du", ["-sm", path], { cwd: project, encoding: "utf8" }).split("\t")[0]);
  const parts = readdirSync(join(project, "node_modules"))
    .filter((name) => !name.startsWith("."))
    .map((name) => ({ name, size: du(`node_modules/${name}`) }))
    .sort((a, b) => b.size - a.size);
  const largest = parts.slice(0, 4).map(({ name, size }) => `${name} ${size}`);
  console.log(`${name.padEnd(18)}${String(du("node_modules")).padStart(5)} MiB (${largest.join(", ")})`);
}

try {
  npm(["pack", "--pack-destination", folder], join(root, "packages", "neobert"));
  const packed = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  sizeOf("neobert", join(folder, packed));
  sizeOf("transformers.js", peerPackages["transformers-js"][0]);
} finally {
  rmSync(folder, { recursive: true });
}
