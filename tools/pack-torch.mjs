// What `npm pack` and `npm publish` of packages/neobert run before and after: the tarball carries @neobert/torch (built code and
// native sources, a bundled dependency), the set-up that compiles it (`neobert setup-torch`), README and LICENSE.
//   node tools/pack-torch.mjs before|after
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const neobert = join(root, "packages", "neobert");
const torch = join(root, "packages", "torch");
const bundled = join(neobert, "node_modules");
const copies = ["README.md", "LICENSE"].map((name) => [join(root, name), join(neobert, name)]);
const setup = join(neobert, "setup");

function remove() {
  for (const path of [bundled, setup, ...copies.map(([, to]) => to)]) rmSync(path, { recursive: true, force: true });
}

function copy() {
  remove();
  if (!existsSync(join(neobert, "dist", "page", "page.js")) || !existsSync(join(torch, "dist"))) {
    throw new Error("pack: expected compiled packages and the page, got none\nRun `npm run build` first.");
  }
  const target = join(bundled, "@neobert", "torch");
  mkdirSync(target, { recursive: true });
  cpSync(join(torch, "package.json"), join(target, "package.json"));
  const isNeeded = (path) => !/\.(map|tsbuildinfo)$/.test(path);
  cpSync(join(torch, "dist"), join(target, "dist"), { recursive: true, filter: isNeeded });
  const build = join(torch, "native", "build");
  cpSync(join(torch, "native"), join(target, "native"), { recursive: true, filter: (from) => from !== build });
  // For the moment that the copy stands before the workspace, it serves as well: links are not packed.
  if (existsSync(build)) symlinkSync(build, join(target, "native", "build"));
  const headers = dirname(createRequire(join(torch, "package.json")).resolve("node-addon-api/package.json"));
  cpSync(headers, join(bundled, "node-addon-api"), { recursive: true }); // npm fetches nothing for a bundled package
  cpSync(join(root, "tools", "setup"), setup, { recursive: true });
  for (const [from, to] of copies) cpSync(from, to);
}

if (process.argv[2] === "before") copy();
else remove();
