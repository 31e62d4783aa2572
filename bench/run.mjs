// `npm run bench -- NAME [arguments]`: runs one benchmark, bench/NAME.mjs; without a name, lists them.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const [name, ...rest] = process.argv.slice(2);
const file = `${folder}${name}.mjs`;
if (name === undefined || name === "run" || !existsSync(file)) {
  if (name !== undefined) console.error(`bench: expected one of the benchmarks below, got ${name}`);
  const parts = ["encode-sides", "measure", "network", "random-step", "run", "serve-soak", "side", "team"];
  for (const entry of readdirSync(folder).filter((entry) => entry.endsWith(".mjs"))) {
    if (parts.includes(entry.replace(".mjs", ""))) continue;
    const first = readFileSync(folder + entry, "utf8")
      .split("\n")[0]
      .replace(/^\/\/ /, "");
    console.log(`${entry.replace(".mjs", "").padEnd(20)} ${first}`);
  }
  process.exitCode = name === undefined ? 0 : 1;
} else {
  process.exitCode = spawnSync(process.execPath, [file, ...rest], { stdio: "inherit" }).status ?? 1;
}
