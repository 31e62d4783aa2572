// `node tools/gpu-bundle.mjs [FILE.tar.gz]`: one file with all that `npm run test:gpu` and `npm run bench -- gpu` need on a machine
// with a GPU and without a network: Node, what is compiled here, the golden files, the addon and what builds it anew. There:
//   tar xzf neobert-gpu.tar.gz && neobert-gpu/run test && neobert-gpu/run bench
// libtorch is the torch with CUDA of that machine's Python (LIBTORCH names another); the addon is compiled there, with its g++,
// where that torch is not of the version that it was compiled for here. At most 60 MB.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MOST_BYTES = 60e6;
const target = resolve(process.argv[2] ?? join(root, ".cache", "neobert-gpu.tar.gz"));

const work = mkdtempSync(join(tmpdir(), "neobert-bundle-"));
const bundle = join(work, "neobert-gpu");

function copy(path, filter = () => true) {
  const from = join(root, path);
  cpSync(from, join(bundle, path), { recursive: true, filter: (file) => filter(relative(from, file)) });
}

/** Packages that are needed to run, with those that they need, as npm lists them; workspaces are copied by themselves. */
function packages() {
  const list = (...args) =>
    execFileSync("npm", ["ls", "--all", "--parseable", ...args], { cwd: root, encoding: "utf8" }).split("\n");
  const needed = [...list("--omit=dev"), ...dependenciesOf("node-gyp")];
  const paths = needed.filter((path) => path.includes("node_modules")).map((path) => relative(root, path));
  return [...new Set(paths)].filter((path) => !/onnxruntime|@neobert|node_modules\/neobert$|js-tiktoken/.test(path));
}

/** The folders of a package and of all that it depends on. */
function dependenciesOf(name, seen = new Map()) {
  const folder = join(root, "node_modules", name);
  if (seen.has(name) || !existsSync(folder)) return [...seen.values()];
  seen.set(name, folder);
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const other of Object.keys(dependencies)) dependenciesOf(other, seen);
  return [...seen.values()];
}

/** Node and of its headers those of Node-API, where node-gyp looks for them. */
function copyNode() {
  const node = join(bundle, "node");
  mkdirSync(join(node, "bin"), { recursive: true });
  cpSync(process.execPath, join(node, "bin", "node"));
  try {
    execFileSync("strip", [join(node, "bin", "node")]);
  } catch {
    // It is as good unstripped, and larger.
  }
  const headers = ["include/node", "../include/node"]
    .map((path) => resolve(dirname(dirname(process.execPath)), path))
    .find((path) => existsSync(join(path, "node_api.h")));
  if (!headers)
    throw new Error("gpu-bundle: expected Node's headers beside it, got none\nInstall Node from its archive.");
  const needed = /^$|^(node_api|js_native_api).*\.h$|^node_version\.h$|^(common|config)\.gypi$/;
  cpSync(headers, join(node, "include", "node"), {
    recursive: true,
    filter: (file) => needed.test(relative(headers, file)),
  });
}

const RUN = `#!/bin/sh
# neobert-gpu/run test|bench [arguments]
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/node/bin/node" "$here/tools/gpu/run.mjs" "$@"
`;

try {
  mkdirSync(bundle);
  const isCode = (path) => !/\.(map|d\.ts|tsbuildinfo)$/.test(path);
  for (const name of ["torch", "neobert"]) {
    copy(`packages/${name}/package.json`);
    copy(`packages/${name}/dist`, (path) => isCode(path) && !path.startsWith("page"));
  }
  copy("packages/torch/native", (path) => !/^build\/(?!Release$|Release\/torch\.node$)/.test(path));
  for (const path of packages())
    copy(path, (path) => !/\.(map|md|markdown|d\.[cm]?ts)$|(^|\/)(test|tests|docs)\//.test(path));
  for (const path of ["package.json", "tools/setup", "tools/gpu", "test/gpu", "bench/gpu.mjs", "bench/measure.mjs", "bench/random-step.mjs", "bench/train-ours.mjs", "bench/train-torch.py"]) copy(path); // biome-ignore format: a list
  copy(
    "test/golden",
    (path) => path === "" || /^(bert|roberta|nomicbert|modernbert|eurobert|neobert)(\/|$)/.test(path),
  );
  const lengths = join(root, "..", "shared", "peers", "c4-lengths.json");
  if (existsSync(lengths)) cpSync(lengths, join(bundle, "bench", "c4-lengths.json"));
  mkdirSync(join(bundle, "node_modules", "@neobert"), { recursive: true });
  symlinkSync("../../packages/torch", join(bundle, "node_modules", "@neobert", "torch"));
  copyNode();
  const { version } = await import("#torch/index");
  writeFileSync(join(bundle, "libtorch-version"), version());
  writeFileSync(join(bundle, "run"), RUN);
  chmodSync(join(bundle, "run"), 0o755);
  mkdirSync(dirname(target), { recursive: true });
  execFileSync("tar", ["-C", work, "-I", "gzip -9", "-cf", target, basename(bundle)]);
  const { size } = statSync(target);
  console.log(`${target}: ${(size / 1e6).toFixed(1)} MB`);
  if (size > MOST_BYTES) throw new Error(`gpu-bundle: expected at most ${MOST_BYTES / 1e6} MB, got ${size / 1e6}`);
} finally {
  rmSync(work, { recursive: true });
}
