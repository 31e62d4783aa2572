// Prints the lines of code and of tests by folder, the median and the longest files, from what git tracks.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const SOURCE = /(\.(ts|mjs|cc|h|py|sh|gyp)|^\.ci\/run)$/;

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
  encoding: "utf8",
})
  .split("\0")
  .filter((path) => SOURCE.test(path) && existsSync(path))
  .map((path) => ({ path, lines: countLines(path), isTest: /\.test\.ts$|^test\//.test(path) }));

const folders = new Map();
for (const { path, lines, isTest } of files) {
  const folder = path.match(/^packages\/\w+\/(?:src\/\w+(?=\/)|\w+)|^[^/]+/)[0];
  const sums = folders.get(folder) ?? { files: 0, code: 0, tests: 0 };
  sums.files += 1;
  sums[isTest ? "tests" : "code"] += lines;
  folders.set(folder, sums);
}
const total = { files: 0, code: 0, tests: 0 };
console.log(row("", "files", "code", "tests"));
for (const [folder, { files, code, tests }] of [...folders].sort(([a], [b]) => a.localeCompare(b))) {
  console.log(row(folder, files, code, tests));
  total.files += files;
  total.code += code;
  total.tests += tests;
}
console.log(row("all", total.files, total.code, total.tests));

const code = files.filter((file) => !file.isTest).sort((a, b) => b.lines - a.lines);
const longest = code.slice(0, 3).map(({ path, lines }) => `${path} (${lines})`);
console.log(`median file ${code[Math.floor(code.length / 2)]?.lines ?? 0} lines, longest ${longest.join(", ")}`);

function countLines(path) {
  return readFileSync(path, "utf8").split("\n").length - 1;
}

function row(name, ...numbers) {
  return name.padEnd(32) + numbers.map((number) => String(number).padStart(8)).join("");
}
