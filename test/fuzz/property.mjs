// One target's property in a process of its own: `node property.mjs TARGET --seed N --runs N --seconds N`. Whatever mutant of
// its files it reads, the target takes it, or throws an error of ours: what was expected and what came, no words of the
// engine, not a screen full; within a second or so and a bounded memory, and Object.prototype stays as it was. With --survey
// it goes on after a fault and lists each kind of fault once.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { mutantsOf, plainJson } from "./mutants.mjs";
import { loadTarget } from "./targets.mjs";

const MAX_INPUT_BYTES = 1 << 24;
const MAX_MESSAGE = 6000;
/** Beside three times the input: what the heap holds before it is swept, and a first use of every reader. */
const MEMORY_BYTES = 320 << 20;
const engineWords =
  /is not (a function|iterable|defined|a constructor|an object)|Cannot (read|convert|set|destructure|mix|use|access|create|perform)|Invalid (array|typed array|string|count|time) |Maximum call stack|reading '|out of (range|bounds)|outside the bounds|should be a multiple|\[object Object\]|internal:|\[native code\]|deep recursion|\bmust be (of type|an instance)/;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string" },
    runs: { type: "string" },
    seconds: { type: "string" },
    survey: { type: "boolean", default: false },
  },
});
const name = positionals[0];
const folder = mkdtempSync(join(tmpdir(), `fuzz-${name}-`));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const target = await loadTarget(name);
const files = Object.fromEntries(Object.entries(target.files).map(([path, content]) => [path, Buffer.from(content)]));
const write = (path, bytes) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), bytes);
};
for (const [path, bytes] of Object.entries(files)) write(path, bytes);
const prototypeKeys = () => [Object, Array, Function].map((one) => Object.getOwnPropertyNames(one.prototype)).join();
const keysBefore = prototypeKeys();

/** What is wrong with an error that a reader threw; undefined where it is one of ours. */
function faultOf(error) {
  if (!(error instanceof Error)) return `threw ${String(error)}, which is no Error`;
  const { message } = error;
  const frames = error.stack.match(/^ +at .*\/dist\/.*$/gm)?.slice(0, 2) ?? [];
  const said = `${error.constructor.name}: ${message.slice(0, 300)}\n${frames.join("\n")}`;
  if (message.length > MAX_MESSAGE) return `a message of ${message.length} characters: ${said}`;
  if (!/expected [\s\S]*got\b/.test(message)) return `an error that does not say what was expected: ${said}`;
  return engineWords.test(message) ? `the engine's words: ${said}` : undefined;
}

await target.read(folder, Object.keys(files)[0]); // the files as they are must be taken
const shared = new SharedArrayBuffer(8 + MAX_INPUT_BYTES);
const [count, length] = [new Int32Array(shared, 0, 1), new Int32Array(shared, 4, 1)];
Atomics.store(count, 0, -1);
const limits = { cpuMs: 2500, wallMs: 20_000, rssBytes: process.memoryUsage.rss() + 2 * MEMORY_BYTES };
const input = join(tmpdir(), `fuzz-${name}-${process.pid}.input`);
const watchdog = new Worker(new URL("watchdog.mjs", import.meta.url), { workerData: { shared, input, limits, name } });
await new Promise((resolve) => watchdog.once("online", resolve));

let [tried, taken] = [0, 0];
const surveyed = new Map();
let baseBytes = 0;
const peakBytes = () => process.resourceUsage().maxRSS * 1024;
const mutants = fc.oneof(
  ...target.mutate.map((path) =>
    mutantsOf(files[path], target.structures?.[path] ?? (path.endsWith(".json") ? plainJson : undefined)).map(
      (bytes) => {
        return { path, bytes };
      },
    ),
  ),
);
const property = fc.asyncProperty(mutants, async ({ path, bytes }) => {
  if (bytes.length > MAX_INPUT_BYTES) return;
  new Uint8Array(shared).set(bytes, 8);
  Atomics.store(length, 0, bytes.length);
  Atomics.store(count, 0, ++tried);
  try {
    write(path, bytes);
    await target.read(folder, path);
    taken++;
  } catch (error) {
    const fault = faultOf(error);
    if (fault && values.survey) surveyed.set(/^ +at .*$/m.exec(fault)?.[0] ?? fault, `${path}: ${fault}`);
    else if (fault) throw new Error(`${path}: expected an error of ours, got ${fault}`);
  } finally {
    Atomics.store(count, 0, -1);
    write(path, files[path]);
  }
  if (prototypeKeys() !== keysBefore) throw new Error("expected Object.prototype as it was, got another");
  if (tried === 50) baseBytes = peakBytes();
  const more = peakBytes() - baseBytes - 3 * bytes.length;
  if (tried > 50 && more > MEMORY_BYTES) throw new Error(`expected bounded memory, got ${more >> 20} MiB more`);
});

const seconds = Number(values.seconds ?? 0);
const result = await fc.check(property, {
  seed: Number(values.seed ?? 1),
  numRuns: seconds > 0 ? 1e9 : Number(values.runs ?? 1000),
  endOnFailure: false,
  ...(seconds > 0 && { interruptAfterTimeLimit: seconds * 1000 }),
});
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(`${name.padEnd(22)} ${String(tried).padStart(9)} inputs ${String(taken).padStart(9)} taken ${peak} MiB`);
for (const fault of surveyed.values()) console.log(`  ${fault}`);
if (result.failed && result.counterexample !== null) {
  const { path, bytes } = result.counterexample[0];
  writeFileSync(input, bytes);
  console.error(`${name}: seed ${result.seed}: ${result.errorInstance?.message ?? "failed"}`);
  console.error(`The input in place of ${path} is ${input}: ${JSON.stringify(bytes.toString("latin1").slice(0, 300))}`);
  process.exitCode = 1;
}
await watchdog.terminate();
