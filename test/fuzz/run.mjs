// `npm run fuzz -- [TARGET ...] [--seconds 3600] [--seed N]`: every reader of files of others, one after another and two at a
// time, for the time given in all, from a seed that is printed. `--runs N` in place of a time, as the tests do.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { targetNames } from "./targets.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "3600" }, seed: { type: "string" }, runs: { type: "string" } },
});
const wanted = positionals.length > 0 ? positionals : targetNames;
const unknown = wanted.filter((name) => !targetNames.includes(name));
if (unknown.length > 0)
  throw new Error(`fuzz: expected targets of ${targetNames.join(", ")}, got ${unknown.join(", ")}`);
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
const perTarget = ["--seconds", String(Math.max(1, (2 * Number(values.seconds)) / wanted.length))];
const amount = values.runs === undefined ? perTarget : ["--runs", values.runs];
console.log(`seed ${seed}`);

const property = fileURLToPath(new URL("property.mjs", import.meta.url));
const environment = { ...process.env, ORT_DISABLE_TELEMETRY: "1", NODE_OPTIONS: "" };
const waiting = [...wanted];
const failed = [];
async function runWaiting() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const args = ["--max-old-space-size=256", "--max-semi-space-size=8", property, name, "--seed", seed, ...amount];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"], env: environment });
    const code = await new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ?? code)));
    if (code !== 0) failed.push(`${name} (${code})`);
  }
}
await Promise.all([runWaiting(), runWaiting()]);
if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
