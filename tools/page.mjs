// Bundles the page of the server, packages/neobert/page, into that package's dist: the script and its workers, each a file of
// its own, and the licences of the libraries in them.
//   node tools/page.mjs
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "packages", "neobert", "page");
const out = join(root, "packages", "neobert", "dist", "page");
mkdirSync(out, { recursive: true });

const libraries = new Set();
for (const name of ["page", "projection-worker", "parquet-worker"]) {
  const { output } = await build({
    input: join(source, `${name}.ts`),
    platform: "browser",
    resolve: { extensionAlias: { ".js": [".ts", ".js"] } },
    output: { file: join(out, `${name}.js`), format: "esm", minify: true },
  });
  for (const path of output.flatMap((chunk) => chunk.moduleIds ?? [])) {
    const library = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
    if (library) libraries.add(library);
  }
}
const licences = [...libraries].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : ""}\n`;
});
writeFileSync(join(out, "licences.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
for (const name of ["index.html", "style.css"]) copyFileSync(join(source, name), join(out, name));
