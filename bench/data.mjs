// `prepareData` on real books (six times over, 100 MB): MB/s of text and tokens/s from JSON lines to finished shards, all
// cores against one worker. The sides are interleaved; best and median of five runs, start of the workers included. Then how
// long the steps of a small model (runs/mini-1024.yaml, 20 steps) wait for their batches, which another worker makes.
//   npm run bench -- data
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { loadRunConfig, prepareData, pretrain } from "neobert/train";
import { cores, here, inTurns, machine, median, msOf, needFiles, shared, total } from "./measure.mjs";

const [books, tokenizer] = [shared("classic-books/books.jsonl.gz"), shared("tokenizers/bert-base-uncased")];
needFiles(books, tokenizer);
const folder = mkdtempSync(join(tmpdir(), "neobert-bench-"));
const [sources, out] = [join(folder, "books.jsonl"), join(folder, "out")];
const lines = gunzipSync(readFileSync(books));
for (let copy = 0; copy < 6; copy++) appendFileSync(sources, lines);
let last;
const prepareWith = (workers) => () => {
  rmSync(out, { recursive: true, force: true });
  return msOf(() => prepareData({ sources, tokenizer, out, workers, onProgress: (progress) => (last = progress) }));
};
const sides = [...new Set([cores, 1])].map((workers) => [`${workers} workers`, prepareWith(workers)]);
const times = await inTurns(Object.fromEntries(sides), 5, 0);
console.log(`data: ${machine(cores)}; ${(last.textBytes / 1e6).toFixed(1)} MB, ${last.tokens} tokens`);
for (const [side, list] of Object.entries(times)) {
  const speed = (ms) =>
    `${(last.textBytes / 1e3 / ms).toFixed(1)} MB/s (${(last.tokens / 1e3 / ms).toFixed(2)}M tokens/s)`;
  console.log(`  ${side}: best ${speed(Math.min(...list))}, median ${speed(median(list))}`);
}

const recipe = here("../runs/mini-1024.yaml");
const run = join(folder, "run");
const never = ["evaluate.everySteps=1000", "checkpoint.everySteps=1000", "log.everySteps=1"];
const settings = [`data=${out}`, `out=${run}`, "steps=20", "schedule.decaySteps=20", "schedule.warmupSteps=2"];
await pretrain(loadRunConfig(recipe, [...settings, ...never]));
const steps = readFileSync(join(run, "metrics.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const parts = steps.flatMap((step) => step.seconds ?? []).slice(2);
const waited = total(parts.map(({ data }) => data));
const all = total(parts.flatMap(Object.values));
console.log(`  a step waits ${((100 * waited) / all).toFixed(2)} % of its time for data (${parts.length} steps)`);
rmSync(folder, { recursive: true });
