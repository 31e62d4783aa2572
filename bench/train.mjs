// The whole training step (or encoding) of NeoBERT, tokens/s: ours against PyTorch at its best, in turns, and against the limit
// of the matrix products. PyTorch is eager and compiled; texts of mixed length it takes padded as they come, sorted by length, and
// packed without padding. Its environment is made on first use. At the end the cases as a table.
//   npm run bench -- train [case ...] [--rounds=2] [--dtypes=fp32,bf16] [--threads=N]
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { makeEnvironment, pythonOf } from "../test/peers/environments.mjs";
import { bestOf, cores, here, machine, markdown, optionsOf } from "./measure.mjs";

const python = pythonOf("encode");
const realLengths = here("../../shared/peers/c4-lengths.json");
const cases = {
  "6 x 8x512": { layers: 6, batch: 8, length: 512 },
  "6 x 32x128": { layers: 6, batch: 32, length: 128 },
  "6 x 1x4096": { layers: 6, batch: 1, length: 4096, steps: 4 },
  "6 x mixed": { layers: 6, batch: 8, lengths: realLengths, steps: 8 },
  "6 x 1x16384": { layers: 6, batch: 1, length: 16384, steps: 2, alone: true },
  "28 x 8x512": { layers: 28, batch: 8, length: 512, steps: 3, checkpointing: true },
  "6 x 8x512 encode": { layers: 6, batch: 8, length: 512, task: "encode" },
  "28 x 8x512 encode": { layers: 28, batch: 8, length: 512, task: "encode", steps: 4 },
  "6 x mixed encode": { layers: 6, batch: 8, lengths: realLengths, task: "encode", steps: 8 },
};

const options = optionsOf({ rounds: 2, dtypes: "fp32,bf16", threads: cores }, Object.keys(cases));
const { names, rounds, threads } = options;
const dtypes = options.dtypes.split(",");
await makeEnvironment("encode", () => {});

function run(program, script, options) {
  const flags = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  const { status, stdout, stderr } = spawnSync(program, [here(script), ...flags], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`${script} ${flags.join(" ")}: exit ${status}\n${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const warmup = 2;
const medianOf = (results) => {
  const rates = results.map((result) => result.tokens_per_s_median).sort((a, b) => a - b);
  return (rates[(rates.length - 1) >> 1] + rates[rates.length >> 1]) / 2;
};
const shown = (results) =>
  `${medianOf(results).toFixed(0)} (${Math.max(...results.map((result) => result.tokens_per_s_best)).toFixed(0)})`;
const memoryOf = (results) => Math.max(...results.map((result) => result.peak_rss_mb));

/** How PyTorch takes the texts of a case, and in which modes. */
const waysOf = ({ lengths }) =>
  lengths ? { padded: {}, sorted: { sort: true }, packed: { pack: true } } : { padded: {} };

console.log(`${machine(threads)}; tokens/s, median (best) over ${rounds} rounds in turns`);
const head = "case|type|ours|best of PyTorch|which|ours / best|limit|reached|MB, ours / PyTorch";
const rows = [head.split("|")];
for (const name of names) {
  // `alone`: without PyTorch; `checkpointing`: our step also with blocks computed again, for its memory.
  const { steps = 6, alone = false, checkpointing = false, ...shape } = cases[name];
  if (shape.lengths && !existsSync(realLengths)) {
    console.log(`${name}: skipped, ${realLengths} is absent`);
    continue;
  }
  const sides = Object.fromEntries(dtypes.map((dtype) => [dtype, {}]));
  for (let round = 0; round < rounds; round++) {
    for (const dtype of dtypes) {
      const add = (side, program, script, how) => {
        const result = run(program, script, { ...shape, dtype, steps, warmup, threads, ...how });
        (sides[dtype][side] ??= []).push(result);
      };
      add("ours", process.execPath, "train-ours.mjs", {});
      if (checkpointing && round === 0)
        add("ours, recomputed", process.execPath, "train-ours.mjs", { checkpointing, steps: 1, warmup: 1 });
      if (alone) continue;
      for (const [way, how] of Object.entries(waysOf(shape))) {
        for (const mode of ["eager", "compile"]) add(`${mode}, ${way}`, python, "train-torch.py", { mode, ...how });
      }
    }
  }
  for (const dtype of dtypes) {
    console.log(`\n${name}, ${dtype}`);
    for (const [side, results] of Object.entries(sides[dtype])) {
      console.log(`  ${side.padEnd(24)} ${shown(results).padStart(14)}  ${memoryOf(results)} MB`);
    }
    const { ours, "ours, recomputed": _, ...peers } = sides[dtype];
    const best = bestOf({ ours, ...peers }, (results) => ({ rate: medianOf(results) })).rate;
    const limit = limitOf(shape, steps, dtype);
    const peer = best && peers[best.peer];
    rows.push([
      ...[name, dtype, shown(ours)],
      ...(peer ? [shown(peer), best.peer, best.ratio.toFixed(2)] : ["-", "-", "-"]),
      ...[limit.toFixed(0), `${((100 * medianOf(ours)) / limit).toFixed(0)} %`],
      `${memoryOf(ours)} / ${peer ? memoryOf(peer) : "-"}`,
    ]);
    console.log(`  limit of the products    ${limit.toFixed(0)}`);
  }
}
console.log(`\n${markdown(rows)}`);

/** Tokens/s of the matrix products of the timed batches alone. */
function limitOf({ layers, batch, length, lengths, task = "train" }, steps, dtype) {
  const texts = lengths && JSON.parse(readFileSync(lengths, "utf8")).map((tokens) => Math.min(tokens, 1024));
  const batches = texts
    ? Array.from({ length: steps }, (_, i) => texts.slice((warmup + i) * batch, (warmup + i + 1) * batch))
    : [Array(batch).fill(length)];
  const how = { layers, batches: JSON.stringify(batches), task, dtype, threads };
  const { tokens, seconds } = run(process.execPath, "product-limit.mjs", how);
  return tokens / seconds;
}
