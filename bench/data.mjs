// `prepareData` on real books (six times over, 100 MB): MB/s of text and tokens/s from JSON lines to finished shards, all
// cores against one worker. The sides are interleaved; best and median of five runs, start of the workers included. Then how
// long the steps of a small model (runs/mini-1024.yaml, 20 steps) wait for their batches, which another worker makes.
//   npm run bench -- data
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { loadRunConfig, prepareData, pretrain } from "neobert/train";

const shared = (path) => fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
const [books, tokenizer] = [shared("classic-books/books.jsonl.gz"), shared("tokenizers/bert-base-uncased")];
const rounds = 5;

if (existsSync(books) && existsSync(tokenizer)) await measure();
else console.log("data: skipped, ../shared/data/classic-books or tokenizers/bert-base-uncased is not there");

async function measure() {
  const cores = availableParallelism();
  const folder = mkdtempSync(join(tmpdir(), "neobert-bench-"));
  const sources = join(folder, "books.jsonl");
  const lines = gunzipSync(readFileSync(books));
  for (let copy = 0; copy < 6; copy++) appendFileSync(sources, lines);
  const sides = cores > 1 ? [cores, 1] : [1];
  const seconds = new Map(sides.map((workers) => [workers, []]));
  let last;
  for (let round = 0; round < rounds; round++) {
    for (const workers of sides) {
      const out = join(folder, "out");
      const start = performance.now();
      await prepareData({ sources, tokenizer, out, workers, onProgress: (progress) => (last = progress) });
      seconds.get(workers).push((performance.now() - start) / 1000);
      if (round < rounds - 1 || workers !== sides.at(-1)) rmSync(out, { recursive: true });
    }
  }
  console.log(
    `data: ${cpus()[0].model}, ${cores} cores; ${(last.textBytes / 1e6).toFixed(1)} MB, ${last.tokens} tokens`,
  );
  for (const [workers, times] of seconds) {
    const sorted = times.toSorted((a, b) => a - b);
    const [best, median] = [sorted[0], sorted[rounds >> 1]];
    const speed = (time) =>
      `${(last.textBytes / 1e6 / time).toFixed(1)} MB/s (${(last.tokens / 1e6 / time).toFixed(2)}M tokens/s)`;
    console.log(`  ${workers} workers: best ${speed(best)}, median ${speed(median)}`);
  }
  const recipe = fileURLToPath(new URL("../runs/mini-1024.yaml", import.meta.url));
  const run = join(folder, "run");
  const never = ["evaluate.everySteps=1000", "checkpoint.everySteps=1000", "log.everySteps=1"];
  const settings = [
    `data=${join(folder, "out")}`,
    `out=${run}`,
    "steps=20",
    "schedule.decaySteps=20",
    "schedule.warmupSteps=2",
  ];
  await pretrain(loadRunConfig(recipe, [...settings, ...never]));
  const steps = readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const parts = steps.flatMap((step) => step.seconds ?? []).slice(2);
  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
  const waited = total(parts.map(({ data }) => data));
  const all = total(parts.flatMap(Object.values));
  console.log(`  a step waits ${((100 * waited) / all).toFixed(2)} % of its time for data (${parts.length} steps)`);
  rmSync(folder, { recursive: true });
}
